//! `orchestrator schedule`: when a schedule is due, and runs of it by hand.
//!
//! Responsible for: flags, output and exit codes. Must never: know when a schedule is due, or what a run looks like; the
//! engine does.

use std::io::Write;
use std::process::ExitCode;

use clap::Subcommand;
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use kube::Client;

use crate::clock::{Clock, SystemClock};
use crate::engine::problem::Problem;
use crate::engine::schedule::{Schedule, zone};
use crate::engine::text::one_line;
use manual::Made;

pub mod manual;

/// Exit code when something was refused before anything was made.
const REFUSED: u8 = 2;

/// What to do with schedules.
#[derive(Debug, clap::Args)]
pub struct ScheduleArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the coming ticks of an expression, with no cluster, or of an OrchestrationSchedule.
    ///
    /// Each line has the local time with its difference from UTC, and the same instant in UTC. Exit code 0: they are
    /// printed, 2: the expression or the zone is wrong.
    Next(NextArguments),
    /// Make a run of an OrchestrationSchedule now.
    ///
    /// It belongs to the schedule, and its tick is this moment. The schedule's concurrency policy is not asked; a run
    /// that is not wanted beside others can be ended with shutdown: Terminate.
    Trigger(TriggerArguments),
    /// Make the runs of ticks that have passed. Ticks that have a run, or had one, are skipped.
    ///
    /// Unless the concurrency policy is Allow, each run is made when no other one is unfinished and no tick of the schedule
    /// itself waits; after an interruption the same command goes on where it was. Exit code 0: every tick has a run, 1: one could not be made, 2: something is
    /// wrong and nothing was made.
    Backfill(BackfillArguments),
}

/// Flags of `next`.
#[derive(Debug, clap::Args)]
pub struct NextArguments {
    /// Five fields or a word such as @daily; or the name of an OrchestrationSchedule.
    pub schedule: String,
    /// Zone of an expression, a name of the IANA database. Default: Etc/UTC. An OrchestrationSchedule has its own.
    #[arg(long)]
    pub zone: Option<String>,
    /// How many ticks.
    #[arg(short, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub number: u16,
    /// Only ticks after this time, such as 2026-10-25 or 2026-10-25T01:30:00Z. Default: now.
    #[arg(long)]
    pub after: Option<String>,
    /// Namespace of the OrchestrationSchedule. Default: that of the kubeconfig.
    #[arg(long)]
    pub namespace: Option<String>,
}

/// Flags of `trigger`.
#[derive(Debug, clap::Args)]
pub struct TriggerArguments {
    /// Name of the OrchestrationSchedule.
    pub name: String,
    /// Its namespace. Default: that of the kubeconfig.
    #[arg(long)]
    pub namespace: Option<String>,
}

/// Flags of `backfill`.
#[derive(Debug, clap::Args)]
pub struct BackfillArguments {
    /// Name of the OrchestrationSchedule.
    pub name: String,
    /// The first time, such as 2026-11-20, 2026-11-20T09:00 (in the schedule's zone) or 2026-11-20T09:00:00Z.
    #[arg(long)]
    pub from: String,
    /// The end, in the same forms; a tick at this very time is left out. Default: now.
    #[arg(long)]
    pub to: Option<String>,
    /// Most ticks. If there are more, nothing is made.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub max: u32,
    /// Only tell what would be made.
    #[arg(long)]
    pub dry_run: bool,
    /// Make those too whose runs were deleted by the history limits: once more.
    #[arg(long)]
    pub again: bool,
    /// Its namespace. Default: that of the kubeconfig.
    #[arg(long)]
    pub namespace: Option<String>,
}

/// Why nothing was done.
#[derive(Debug)]
pub struct Refusal(pub Vec<String>);

/// Carries out what the command line says.
pub fn run(arguments: &ScheduleArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = SystemClock.now();
    let output = &mut std::io::stdout();
    runtime.block_on(async {
        let result = match &arguments.command {
            Command::Next(arguments) => next(arguments, now, output).await?,
            Command::Trigger(arguments) => {
                let (client, namespace) = connect(arguments.namespace.as_deref()).await?;
                manual::trigger(&client, &namespace, &arguments.name, now, output).await?
            }
            Command::Backfill(arguments) => {
                let (client, namespace) = connect(arguments.namespace.as_deref()).await?;
                manual::backfill(&client, &namespace, arguments, now, output).await?
            }
        };
        Ok(match result {
            Ok(Made::All) => ExitCode::SUCCESS,
            Ok(Made::Some) => ExitCode::FAILURE,
            Err(Refusal(lines)) => {
                for line in lines {
                    drop(writeln!(std::io::stderr(), "orchestrator: {}", one_line(&line)));
                }
                ExitCode::from(REFUSED)
            }
        })
    })
}

/// A client, and the namespace that is meant.
async fn connect(namespace: Option<&str>) -> anyhow::Result<(Client, String)> {
    let client = crate::client::connect().await?;
    let namespace = namespace.unwrap_or(client.default_namespace()).to_owned();
    Ok((client, namespace))
}

async fn next(
    arguments: &NextArguments,
    now: Timestamp,
    output: &mut impl Write,
) -> anyhow::Result<Result<Made, Refusal>> {
    let text = &arguments.schedule;
    let is_expression = text.contains(char::is_whitespace) || text.starts_with('@') || text.contains('*');
    let refused = |why: &str| Ok(Err(Refusal(vec![why.to_owned()])));
    let compiled = if is_expression || text.is_empty() {
        let zone = arguments.zone.as_deref().unwrap_or(zone::DEFAULT);
        Schedule::compile(text, Some(zone)).map_err(|problems| refusal(&problems))
    } else if arguments.zone.is_some() {
        return refused("--zone: an OrchestrationSchedule has its own, this is for expressions");
    } else {
        let (client, namespace) = connect(arguments.namespace.as_deref()).await?;
        manual::find(&client, &namespace, text).await?.and_then(|found| manual::compiled(&found))
    };
    let schedule = match compiled {
        Ok(schedule) => schedule,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let after = match arguments.after.as_deref().map(|text| time(text, &schedule)) {
        None => now,
        Some(Ok(after)) => after,
        Some(Err(why)) => return Ok(Err(Refusal(vec![format!("--after: {why}")]))),
    };
    let mut ticks = schedule.after(after).take(arguments.number.into()).peekable();
    if ticks.peek().is_none() {
        return refused("there is no tick to come");
    }
    for tick in ticks {
        // A reader that has gone away (a closed pipe) wants no more.
        if writeln!(output, "{}", line(&schedule, tick)).is_err() {
            break;
        }
    }
    Ok(Ok(Made::All))
}

/// A tick for people: local time with its difference from UTC, and UTC.
fn line(schedule: &Schedule, tick: Timestamp) -> String {
    format!("{}  {tick}", schedule.local(tick).strftime("%a %Y-%m-%d %H:%M:%S %:z"))
}

fn refusal(problems: &[Problem]) -> Refusal {
    Refusal(problems.iter().map(ToString::to_string).collect())
}

/// A time as people write it: an instant, or a local time where the schedule is.
fn time(text: &str, schedule: &Schedule) -> Result<Timestamp, String> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local =
        text.parse::<DateTime>().ok().or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)));
    local.and_then(|local| schedule.instant(local)).ok_or_else(|| {
        format!("{text:?} is no time, as 2026-11-20, 2026-11-20T09:00 and 2026-11-20T09:00:00Z are")
    })
}

/// A little before an instant: a tick at the instant itself comes after it.
fn just_before(instant: Timestamp) -> Timestamp {
    instant.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn printed(schedule: &str, zone: &str, number: u16, after: &str) -> Result<String, Vec<String>> {
        let arguments = NextArguments {
            schedule: schedule.to_owned(),
            zone: Some(zone.to_owned()),
            number,
            after: Some(after.to_owned()),
            namespace: None,
        };
        let mut output = Vec::new();
        let result = next(&arguments, Timestamp::UNIX_EPOCH, &mut output).await.unwrap();
        result.map(|_| String::from_utf8(output).unwrap()).map_err(|Refusal(lines)| lines)
    }

    #[tokio::test]
    async fn the_coming_ticks_are_printed_offline() {
        assert_eq!(
            printed("0 9-16 * * 0-5", "Europe/Paris", 3, "2026-11-20T14:30").await.unwrap(),
            "Fri 2026-11-20 15:00:00 +01:00  2026-11-20T14:00:00Z\n\
             Fri 2026-11-20 16:00:00 +01:00  2026-11-20T15:00:00Z\n\
             Sun 2026-11-22 09:00:00 +01:00  2026-11-22T08:00:00Z\n"
        );
        // The hour that comes twice is there twice for every hour, and once for a fixed time.
        assert_eq!(
            printed("0 * * * *", "Europe/Paris", 3, "2026-10-24T23:30:00Z").await.unwrap(),
            "Sun 2026-10-25 02:00:00 +02:00  2026-10-25T00:00:00Z\n\
             Sun 2026-10-25 02:00:00 +01:00  2026-10-25T01:00:00Z\n\
             Sun 2026-10-25 03:00:00 +01:00  2026-10-25T02:00:00Z\n"
        );
        // A time that the gap leaves out is the first instant after it, where a fixed time in it is due.
        assert_eq!(
            printed("30 2 * * *", "Europe/Paris", 1, "2026-03-29T01:59").await.unwrap(),
            "Sun 2026-03-29 03:00:00 +02:00  2026-03-29T01:00:00Z\n"
        );
        let paris = Schedule::compile("30 2 * * *", Some("Europe/Paris")).unwrap();
        for inside in ["2026-03-29T02:00", "2026-03-29T02:30", "2026-03-29T02:59:59"] {
            assert_eq!(time(inside, &paris).unwrap().to_string(), "2026-03-29T01:00:00Z", "{inside}");
        }
        assert_eq!(time("2026-03-29T03:00", &paris).unwrap().to_string(), "2026-03-29T01:00:00Z");
        assert_eq!(time("2026-10-25T02:30", &paris).unwrap().to_string(), "2026-10-25T00:30:00Z");
        assert_eq!(printed("@yearly", "Etc/UTC", 1, "2026-01-01").await.unwrap().lines().count(), 1);
    }

    #[tokio::test]
    async fn what_is_wrong_is_told_in_the_words_of_the_controller() {
        let told = printed("61 * * * *", "Europe/paris", 1, "2026-01-01").await.unwrap_err();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told[0].starts_with("InvalidSchedule: spec.schedule: minute 61 out of range 0-59"),
            "{told:?}"
        );
        assert!(told[1].contains("did you mean \"Europe/Paris\"?"), "{told:?}");
        let told = printed("* * * * *", "Etc/UTC", 1, "yesterday").await.unwrap_err();
        assert!(told[0].starts_with("--after: \"yesterday\" is no time"), "{told:?}");
    }
}
