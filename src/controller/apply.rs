//! Observing and applying: the engine's questions and effects, through the provider.
//!
//! Responsible for: asking about every activity that is not final, and carrying out effects, each idempotent under its
//! name. Must never: judge what it sees.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tokio::time::Instant;

use super::context::Context;
use super::error::Error;
use super::flaw;
use super::memory::{Issue, Key, Run};
use crate::api::Orchestration;
use crate::api::activity_definition::JobTemplate;
use crate::api::orchestration::ActivityState;
use crate::engine::acceptance::deadline;
use crate::engine::effect::Effect;
use crate::engine::names::child_name;
use crate::engine::observe::{Attempt, FailureReason, Observed, Outcome, Verdict};
use crate::engine::retry;
use crate::engine::revision::Pinned;
use crate::engine::state::is_final;
use crate::provider::job::Look;
use crate::provider::job::build::{JobRequest, build};
use crate::provider::job::outcome::Expectation;
use crate::provider::job::start::Start;

/// What became of an effect: for a start, the attempt and what to remember of it.
type Done = Option<(Key, Issue)>;

/// How long a stop is given before it is asked for again.
const STOP_AGAIN: Duration = Duration::from_secs(10);
/// Requests of one orchestration that are under way at the same time.
const PARALLEL_REQUESTS: usize = 16;

/// What is known of every activity whose stored state is not final; and whether something runs that the watches do not show,
/// such as a Job whose labels were taken away, so that its end wakes nobody.
pub async fn observe(
    context: &Context,
    orchestration: &Orchestration,
    pinned: &Pinned,
    run: &Run,
    now: Timestamp,
) -> Result<(Observed, bool), Error> {
    let namespace = orchestration.namespace().unwrap_or_default();
    let (name, uid) = (orchestration.name_any(), orchestration.uid().unwrap_or_default());
    let activities = orchestration.status.as_ref().map(|status| &status.activities);
    let (mut observed, mut is_unwatched) = (Observed::default(), false);
    for (index, activity) in pinned.compiled.activities.iter().enumerate() {
        let entry = activities.and_then(|activities| activities.get(&activity.id));
        let state = entry.map_or(ActivityState::Pending, |entry| entry.state);
        if is_final(state) {
            continue;
        }
        let attempt = entry.map_or(1, retry::attempt);
        let job = flaw::job_name(context, &namespace, child_name(&name, &uid, &activity.id, attempt));
        let is_recorded = state == ActivityState::Running;
        let issue = run.issues.get(&(index, attempt));
        let requested_at = match issue {
            Some(Issue::Failed(outcome)) => {
                observed.insert(index, attempt, Attempt::Ended(outcome.clone()));
                continue;
            }
            Some(Issue::Requested { at }) => Some(*at),
            Some(Issue::Refused { .. }) | None => None,
        };
        let fatal = job_template(pinned, index)
            .and_then(|job| job.exit_codes.as_ref())
            .map(|codes| codes.fatal.as_slice());
        let look = Look {
            namespace: &namespace,
            uid: &uid,
            job: &job,
            recorded: is_recorded,
            requested_at,
            expectation: Expectation {
                outputs_matter: activity.outputs_are_read || activity.output_schema.is_some(),
                fatal: fatal.unwrap_or_default(),
            },
            now,
        };
        let mut seen = match issue {
            Some(Issue::Refused { in_doubt, since, retry_at, reason, message }) => {
                let (reason, message) = (reason.clone(), message.clone());
                let refused = Attempt::Refused { since: *since, retry_at: *retry_at, reason, message };
                refused_or_there(context, &look, *in_doubt, refused).await?
            }
            Some(Issue::Failed(_) | Issue::Requested { .. }) | None => context.jobs.observe(&look).await?,
        };
        is_unwatched |=
            matches!(seen, Attempt::Running { .. }) && context.jobs.is_unwatched(&namespace, &job);
        let is_unfinished =
            matches!(seen, Attempt::Requested { .. } | Attempt::Waiting { .. } | Attempt::Running { .. });
        if is_unfinished && run.stops.get(&(index, attempt)).is_some_and(|asked| asked.elapsed() < STOP_AGAIN)
        {
            seen = Attempt::Stopping;
        }
        if seen != Attempt::Absent {
            observed.insert(index, attempt, flaw::seen(context, seen));
        }
    }
    Ok((observed, is_unwatched))
}

/// What is known of an attempt whose start was refused. A request that was not answered may have been carried out all the
/// same: what the cache shows is there, and before anything follows from a failure in doubt, the server is asked.
async fn refused_or_there(
    context: &Context,
    look: &Look<'_>,
    in_doubt: bool,
    refused: Attempt,
) -> Result<Attempt, Error> {
    if look.recorded || !context.jobs.jobs.of_job(look.namespace, look.job).is_empty() {
        return Ok(context.jobs.observe(look).await?);
    }
    match in_doubt {
        true => Ok(context.jobs.find(look).await?.unwrap_or(refused)),
        false => Ok(refused),
    }
}

/// Carries out effects, and remembers what became of the starts.
pub async fn apply(
    context: &Context,
    orchestration: &Orchestration,
    pinned: &Pinned,
    run: &mut Run,
    effects: &[Effect],
) -> Result<(), Error> {
    let now = context.clock.now();
    // Boxed before they become a stream: the compiler cannot see that a closure over references is Send.
    let acts: Vec<BoxFuture<'_, Result<Done, Error>>> = effects
        .iter()
        .map(|effect| carry_out(context, orchestration, pinned, run, effect, now).boxed())
        .collect();
    let done: Vec<Done> = stream::iter(acts).buffered(PARALLEL_REQUESTS).try_collect().await?;
    run.issues.extend(done.into_iter().flatten());
    let asked = Instant::now();
    run.stops.extend(effects.iter().filter_map(|effect| match effect {
        Effect::Stop { activity, attempt } => Some(((*activity, *attempt), asked)),
        Effect::Start { .. } => None,
    }));
    Ok(())
}

async fn carry_out(
    context: &Context,
    orchestration: &Orchestration,
    pinned: &Pinned,
    run: &Run,
    effect: &Effect,
    now: Timestamp,
) -> Result<Done, Error> {
    let namespace = orchestration.namespace().unwrap_or_default();
    let (name, uid) = (orchestration.name_any(), orchestration.uid().unwrap_or_default());
    let (Effect::Start { activity, attempt, .. } | Effect::Stop { activity, attempt }) = effect;
    let Some(compiled) = pinned.compiled.activities.get(*activity) else { return Ok(None) };
    let job = child_name(&name, &uid, &compiled.id, *attempt);
    let inputs = match effect {
        Effect::Stop { .. } => {
            context.jobs.stop(&namespace, &job).await?;
            return Ok(None);
        }
        Effect::Start { inputs, .. } => inputs,
    };
    let Some(template) = job_template(pinned, *activity) else {
        let message =
            format!("ActivityDefinition \"{}\" has no job, and no message bus is configured", compiled.type_);
        return Ok(Some(((*activity, *attempt), failed(FailureReason::InvalidJobTemplate, message))));
    };
    let propagated = context.settings.propagation.of(&orchestration.metadata);
    let body = build(&JobRequest {
        namespace: &namespace,
        orchestration: &name,
        uid: &uid,
        orchestration_type: &orchestration.spec.type_,
        correlation_id: orchestration.spec.correlation_id.as_deref(),
        activity: &compiled.id,
        activity_type: &compiled.type_,
        discriminator: compiled.discriminator.as_deref(),
        attempt: *attempt,
        deadline: ends(orchestration, pinned, *activity),
        scheduled_time: status_time(orchestration),
        timeout_seconds: compiled.timeout_seconds,
        starting_deadline_seconds: compiled.starting_deadline_seconds,
        inputs,
        template,
        propagated: &propagated,
    });
    let issue = match context.jobs.start(&namespace, &uid, &job, flaw::job_body(context, body)).await {
        Start::Accepted => Issue::Requested { at: now },
        Start::Failed { reason, message } => failed(reason, message),
        Start::Refused { reason, message, in_doubt } => {
            let since = match run.issues.get(&(*activity, *attempt)) {
                Some(Issue::Refused { since, .. }) => *since,
                _ => now,
            };
            let retry_at = now.saturating_add(refusal_pause(since, now)).unwrap_or(Timestamp::MAX);
            Issue::Refused { in_doubt, since, retry_at, reason: reason.to_owned(), message }
        }
    };
    Ok(Some(((*activity, *attempt), issue)))
}

/// The tick that an Orchestration was made for, as it was when it was accepted.
fn status_time(orchestration: &Orchestration) -> Option<Timestamp> {
    orchestration.status.as_ref()?.scheduled_time.as_ref().map(|time| time.0)
}

/// When an activity has to have ended.
fn ends(orchestration: &Orchestration, pinned: &Pinned, activity: usize) -> Timestamp {
    let ends = deadline(orchestration, pinned.compiled.active_deadline_seconds);
    let began = orchestration.status.as_ref().and_then(|status| status.finally_time.as_ref());
    match began.filter(|_| pinned.compiled.is_finally(activity)) {
        Some(began) => {
            let seconds = SignedDuration::from_secs(pinned.compiled.finally_deadline_seconds);
            began.0.saturating_add(seconds).unwrap_or(Timestamp::MAX)
        }
        None => ends,
    }
}

/// As long as the start has been refused so far, from a second to half a minute.
fn refusal_pause(since: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(since).clamp(SignedDuration::from_secs(1), SignedDuration::from_secs(30))
}

fn failed(reason: FailureReason, message: String) -> Issue {
    let verdict = Verdict::Failed { reason, message };
    Issue::Failed(Outcome { verdict, start_time: None, completion_time: None })
}

fn job_template(pinned: &Pinned, activity: usize) -> Option<&JobTemplate> {
    let compiled = pinned.compiled.activities.get(activity)?;
    pinned.types.get(&compiled.type_)?.job.as_ref()
}
