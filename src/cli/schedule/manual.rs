//! Runs by hand: now, and for ticks that have passed.
//!
//! Responsible for: the same run that the controller would make, under the same name. Must never: make a tick twice, or
//! anything before it is known that all of it can be made.

use std::io::Write;

use jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::discovery::ApiResource;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};

use super::{BackfillArguments, Refusal, just_before, line, refusal, time};
use crate::api::orchestration_schedule::{self, ConcurrencyPolicy};
use crate::api::{Orchestration, OrchestrationSchedule};
use crate::client::{answer, bounded, words};
use crate::engine::condition;
use crate::engine::schedule::template::{self, Name};
use crate::engine::schedule::{Schedule, child_name, removed};

/// Longest part of a schedule's name in the name of a run that is made now.
const NAME_LENGTH: usize = 200;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Everything that was asked for is there.
    All,
    /// Something is not.
    Some,
}

/// What became of one tick.
enum Tick {
    Made,
    /// It has a run, in this state.
    Exists(String),
    /// It had a run, which was deleted.
    Removed,
    Failed(String),
}

/// A schedule of the cluster.
pub async fn find(
    client: &Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Result<OrchestrationSchedule, Refusal>> {
    let api: Api<OrchestrationSchedule> = Api::namespaced(client.clone(), namespace);
    match bounded(api.get_opt(name)).await {
        Ok(Some(found)) => Ok(Ok(found)),
        Ok(None) => {
            let message = format!("OrchestrationSchedule \"{name}\" not found in the namespace {namespace}");
            Ok(Err(Refusal(vec![message])))
        }
        Err(error) => anyhow::bail!("cannot read OrchestrationSchedule \"{name}\": {}", words(&error)),
    }
}

/// The times of a schedule.
pub fn compiled(schedule: &OrchestrationSchedule) -> Result<Schedule, Refusal> {
    Schedule::compile(&schedule.spec.schedule, Some(&schedule.spec.time_zone))
        .map_err(|problems| refusal(&problems))
}

/// Makes a run now.
pub async fn trigger(
    client: &Client,
    namespace: &str,
    name: &str,
    now: Timestamp,
    output: &mut impl Write,
) -> anyhow::Result<Result<Made, Refusal>> {
    let schedule = match find(client, namespace, name).await? {
        Ok(schedule) => schedule,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(why) = unready(&schedule) {
        return Ok(Err(why));
    }
    let cut: String = name.chars().take(NAME_LENGTH).collect();
    let prefix = format!("{}-manual-", cut.trim_end_matches(['.', '-']));
    let now = condition::stamp(now).0;
    match create(client, &schedule, Name::Generated(&prefix), now).await {
        Ok(made) => {
            drop(writeln!(output, "made {}", made.name_any()));
            Ok(Ok(Made::All))
        }
        Err(error) => Ok(Err(Refusal(vec![words(&error)]))),
    }
}

/// Makes the runs of ticks that have passed.
pub async fn backfill(
    client: &Client,
    namespace: &str,
    arguments: &BackfillArguments,
    now: Timestamp,
    output: &mut impl Write,
) -> anyhow::Result<Result<Made, Refusal>> {
    let found = find(client, namespace, &arguments.name).await?;
    let prepared = found.and_then(|schedule| {
        let times = compiled(&schedule)?;
        let ticks = ticks(&times, arguments, now).map_err(|why| Refusal(vec![why]))?;
        match unready(&schedule) {
            Some(why) => Err(why),
            None => Ok((schedule, times, ticks)),
        }
    });
    let (schedule, times, ticks) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let is_alone = schedule.spec.concurrency_policy != ConcurrencyPolicy::Allow;
    let had_run = |tick: Timestamp| !arguments.again && had_run(&schedule, tick);
    let (mut made, mut existed, mut failed) = (0_usize, 0_usize, 0_usize);
    for tick in ticks {
        let name = child_name(&schedule.name_any(), tick);
        let became = if arguments.dry_run {
            let otherwise = if had_run(tick) { Tick::Removed } else { Tick::Made };
            look(client, &schedule, &name).await?.unwrap_or(otherwise)
        } else {
            match look(client, &schedule, &name).await? {
                Some(there) => there,
                None if had_run(tick) => Tick::Removed,
                None => {
                    if is_alone {
                        wait_for_others(client, &schedule).await?;
                    }
                    make(client, &schedule, &name, tick).await?
                }
            }
        };
        let what = match became {
            Tick::Made => {
                made += 1;
                if arguments.dry_run { "would make".to_owned() } else { "made".to_owned() }
            }
            Tick::Exists(state) => {
                existed += 1;
                format!("exists ({state})")
            }
            Tick::Removed => {
                existed += 1;
                "existed (deleted by the history limits; --again makes it once more)".to_owned()
            }
            Tick::Failed(why) => {
                failed += 1;
                format!("not made: {why}")
            }
        };
        drop(writeln!(output, "{}  {name}  {what}", line(&times, tick)));
    }
    let verb = if arguments.dry_run { "would be made" } else { "made" };
    drop(writeln!(
        output,
        "{made} {verb}, {existed} skipped because they exist or existed, {failed} not made"
    ));
    Ok(Ok(if failed == 0 { Made::All } else { Made::Some }))
}

/// The ticks that are asked for.
fn ticks(times: &Schedule, arguments: &BackfillArguments, now: Timestamp) -> Result<Vec<Timestamp>, String> {
    let from = time(&arguments.from, times).map_err(|why| format!("--from: {why}"))?;
    let to = match &arguments.to {
        Some(text) => time(text, times).map_err(|why| format!("--to: {why}"))?,
        None => now,
    };
    if to > now {
        let to = condition::stamp(to).0;
        return Err(format!("--to: {to} is still to come: the schedule itself makes what is to come"));
    }
    if from >= to {
        let (from, to) = (line(times, from), line(times, to));
        return Err(format!("--from: {from} is not before --to: {to}"));
    }
    let most = usize::try_from(arguments.max).unwrap_or(usize::MAX);
    let mut ticks = times.after(just_before(from)).take_while(|tick| *tick < to);
    let found: Vec<Timestamp> = ticks.by_ref().take(most).collect();
    if ticks.next().is_some() {
        let (from, to) = (condition::stamp(from).0, condition::stamp(to).0);
        return Err(format!("--max: there are more than {most} ticks from {from} to {to}; nothing is made"));
    }
    Ok(found)
}

/// Why no run of a schedule can be made; nothing if it may be.
fn unready(schedule: &OrchestrationSchedule) -> Option<Refusal> {
    let status = schedule.status.as_ref()?;
    if status.observed_generation != schedule.metadata.generation {
        return None;
    }
    let ready = condition::find(&status.conditions, "Ready").filter(|ready| ready.status == "False")?;
    // What the server refuses, or a clock that was wrong, says nothing of a run by hand.
    if matches!(ready.reason.as_str(), "RunRefused" | "ClockBehind") {
        return None;
    }
    let name = schedule.name_any();
    Some(Refusal(vec![format!(
        "OrchestrationSchedule \"{name}\" is not ready: {}",
        condition::explained(ready)
    )]))
}

async fn make(
    client: &Client,
    schedule: &OrchestrationSchedule,
    name: &str,
    tick: Timestamp,
) -> anyhow::Result<Tick> {
    match create(client, schedule, Name::Exact(name), tick).await {
        Ok(_) => Ok(Tick::Made),
        Err(error) if answer(&error).is_some_and(kube::core::Status::is_already_exists) => {
            // The schedule was faster.
            Ok(look(client, schedule, name).await?.unwrap_or_else(|| Tick::Failed(words(&error))))
        }
        Err(error) => Ok(Tick::Failed(words(&error))),
    }
}

async fn create(
    client: &Client,
    schedule: &OrchestrationSchedule,
    name: Name<'_>,
    tick: Timestamp,
) -> Result<DynamicObject, kube::Error> {
    let resource = ApiResource::erase::<Orchestration>(&());
    let namespace = schedule.namespace().unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
    let body =
        serde_json::from_value(template::run(schedule, name, tick)).map_err(kube::Error::SerdeError)?;
    bounded(api.create(&PostParams::default(), &body)).await
}

/// What has a name already; nothing if nothing has.
async fn look(client: &Client, schedule: &OrchestrationSchedule, name: &str) -> anyhow::Result<Option<Tick>> {
    let found = bounded(runs(client, schedule).get_opt(name)).await;
    let found =
        found.map_err(|error| anyhow::anyhow!("cannot read Orchestration \"{name}\": {}", words(&error)))?;
    Ok(found.map(|found| match is_owned(&found, schedule) {
        true => {
            let state = found.status.and_then(|status| status.state);
            Tick::Exists(state.unwrap_or_else(|| "Pending".to_owned()))
        }
        false => {
            Tick::Failed(format!("the Orchestration \"{name}\" exists and does not belong to this schedule"))
        }
    }))
}

/// Whether a tick is known to have had a run.
fn had_run(schedule: &OrchestrationSchedule, tick: Timestamp) -> bool {
    schedule.status.as_ref().is_some_and(|status| {
        let is_made =
            |told: &orchestration_schedule::Tick| told.schedule_time.0 == tick && told.name.is_some();
        removed::holds(&status.removed, tick) || status.history.iter().any(is_made)
    })
}

/// Waits until no run of a schedule is unfinished, whoever made it, and no tick waits for its turn. What it waits for is
/// told.
async fn wait_for_others(client: &Client, schedule: &OrchestrationSchedule) -> anyhow::Result<()> {
    let (api, name) = (runs(client, schedule), schedule.name_any());
    let schedules: Api<OrchestrationSchedule> =
        Api::namespaced(client.clone(), &schedule.namespace().unwrap_or_default());
    loop {
        // Not by label: a run that is made with kubectl need not have ours.
        let found = bounded(api.list(&ListParams::default())).await;
        let found = found.map_err(|error| anyhow::anyhow!("cannot list the runs: {}", words(&error)))?;
        let mut unfinished = found
            .items
            .iter()
            .filter(|run| is_owned(run, schedule) && !run.is_finished())
            .map(ResourceExt::name_any);
        if let Some(run) = unfinished.next() {
            say(&format!("waiting for the end of Orchestration \"{run}\""));
            // One that is deleted has ended too.
            await_condition(api.clone(), &run, |found: Option<&Orchestration>| {
                found.is_none_or(Orchestration::is_finished)
            })
            .await?;
            continue;
        }
        let waits = |found: Option<&OrchestrationSchedule>| {
            found
                .and_then(|found| found.status.as_ref())
                .is_some_and(|status| status.waiting_schedule_time.is_some())
        };
        let fresh = bounded(schedules.get_opt(&name)).await;
        let fresh = fresh.map_err(|error| anyhow::anyhow!("cannot read the schedule: {}", words(&error)))?;
        if !waits(fresh.as_ref()) {
            return Ok(());
        }
        // It has been waiting for longer than we have.
        say("waiting for the tick of the schedule itself that is due");
        await_condition(schedules.clone(), &name, |found: Option<&OrchestrationSchedule>| !waits(found))
            .await?;
    }
}

fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "orchestrator: {line}"));
}

fn runs(client: &Client, schedule: &OrchestrationSchedule) -> Api<Orchestration> {
    Api::namespaced(client.clone(), &schedule.namespace().unwrap_or_default())
}

fn is_owned(run: &Orchestration, schedule: &OrchestrationSchedule) -> bool {
    let mut owners = run.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && Some(&owner.uid) == schedule.metadata.uid.as_ref())
}
