//! Resume: what a new Orchestration takes over from a finished one.
//!
//! Responsible for: that nothing is taken over that would be done otherwise today. Must never: take over what is in
//! `finally`; it speaks of the run that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::definition::{Binding, Compiled, CompiledActivity, Root};
use super::path::Segment;
use super::revision::Pinned;
use super::state::is_done;
use crate::api::Orchestration;
use crate::api::orchestration::ActivityStatus;

/// Reason of an Orchestration that cannot resume from the one that it names.
pub const REASON: &str = "ResumeMismatch";

/// What is known of the Orchestration that another one is to resume from.
#[derive(Clone, Debug)]
pub enum Previous<'a> {
    /// There is none of that name.
    Missing,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It is there.
    Found {
        /// The Orchestration.
        orchestration: &'a Orchestration,
        /// What it ran from; a sentence where that is gone; nothing if it never ran.
        pinned: Option<Result<&'a Pinned, String>>,
    },
}

/// The entries that an Orchestration takes over, by activity id.
///
/// # Errors
/// A sentence for people: why it cannot resume from the one that it names.
pub fn taken(
    orchestration: &Orchestration,
    pinned: &Pinned,
    previous: &Previous<'_>,
) -> Result<BTreeMap<String, ActivityStatus>, String> {
    let name = orchestration.spec.resume_from.as_deref().unwrap_or_default();
    if orchestration.metadata.name.as_deref() == Some(name) {
        return Err("spec.resumeFrom: an Orchestration cannot resume from itself".to_owned());
    }
    let (old, old_pinned) = match previous {
        Previous::Missing => {
            return Err(format!("spec.resumeFrom: Orchestration \"{name}\" not found in this namespace"));
        }
        Previous::Unreadable(why) => {
            return Err(format!("spec.resumeFrom: Orchestration \"{name}\" cannot be read: {why}"));
        }
        Previous::Found { orchestration, pinned } => (*orchestration, pinned),
    };
    let status = old.status.as_ref().filter(|status| status.completion_time.is_some());
    let Some(status) = status else {
        return Err(format!("spec.resumeFrom: Orchestration \"{name}\" has not finished"));
    };
    let (type_, other) = (&orchestration.spec.type_, &old.spec.type_);
    if type_ != other {
        return Err(format!(
            "spec.resumeFrom: Orchestration \"{name}\" is of type \"{other}\", not \"{type_}\""
        ));
    }
    let old_pinned = match old_pinned {
        None => None,
        Some(Err(why)) => {
            return Err(format!(
                "spec.resumeFrom: what Orchestration \"{name}\" ran from cannot be compared: {why}"
            ));
        }
        Some(Ok(pinned)) => Some(*pinned),
    };
    let input = pinned.compiled.input(orchestration.spec.input.as_ref());
    // One that was refused has met no definition: what it would have read today counts.
    let old_compiled = old_pinned.map_or(&pinned.compiled, |pinned| &pinned.compiled);
    if input != old_compiled.input(old.spec.input.as_ref()) {
        return Err(format!("spec.resumeFrom: Orchestration \"{name}\" had another input"));
    }
    let Some(old_pinned) = old_pinned else { return Ok(BTreeMap::new()) };
    let mut all = BTreeMap::new();
    let same = same(old_pinned, pinned);
    for activity in pinned.compiled.order.iter().copied().take(pinned.compiled.main) {
        let Some(compiled) = pinned.compiled.activities.get(activity) else { continue };
        let dependencies = pinned.compiled.graph.dependencies(activity);
        let all_taken = dependencies.iter().all(|on| all.contains_key(id(&pinned.compiled, *on)));
        let entry = status.activities.get(&compiled.id).filter(|entry| is_done(entry.state));
        if let Some(entry) = entry
            && all_taken
            && same.contains(&activity)
            && has_all_outputs(compiled, entry)
        {
            all.insert(compiled.id.clone(), over(compiled, entry, name));
        }
    }
    Ok(all)
}

/// The activities that are compiled to the same in both revisions, and so is all that they depend on. What others read of
/// them is no part of that.
fn same(old: &Pinned, new: &Pinned) -> BTreeSet<usize> {
    let mut same = BTreeSet::new();
    for activity in new.compiled.order.iter().copied().take(new.compiled.main) {
        let Some(ours) = new.compiled.activities.get(activity) else { continue };
        let Some(at) = old.compiled.index.get(&ours.id).copied() else { continue };
        let Some(theirs) = old.compiled.activities.get(at) else { continue };
        let dependencies = new.compiled.graph.dependencies(activity);
        let is_same = !old.compiled.is_finally(at)
            && dependencies.iter().all(|on| same.contains(on))
            && ids(&new.compiled, dependencies) == ids(&old.compiled, old.compiled.graph.dependencies(at))
            && ours.type_ == theirs.type_
            && ours.discriminator == theirs.discriminator
            && ours.when == theirs.when
            && ours.input_schema == theirs.input_schema
            && ours.output_schema == theirs.output_schema
            && ours.retry == theirs.retry
            && times(ours) == times(theirs)
            && bindings(&new.compiled, ours) == bindings(&old.compiled, theirs)
            && work(new, ours) == work(old, theirs);
        if is_same {
            same.insert(activity);
        }
    }
    same
}

fn id(compiled: &Compiled, activity: usize) -> &str {
    compiled.activities.get(activity).map_or("", |activity| &activity.id)
}

fn ids<'a>(compiled: &'a Compiled, activities: &[usize]) -> BTreeSet<&'a str> {
    activities.iter().map(|activity| id(compiled, *activity)).collect()
}

/// The inputs, with activities by id: their indices differ between revisions.
fn bindings<'a>(
    compiled: &'a Compiled,
    activity: &'a CompiledActivity,
) -> Vec<(Option<&'a str>, &'a [Segment], &'a str)> {
    let binding = |binding: &'a Binding| {
        let root = match binding.root {
            Root::Activity(read) => Some(id(compiled, read)),
            Root::Input | Root::RunState => None,
            Root::ScheduleTime => Some("schedule"),
        };
        (root, binding.path.as_slice(), binding.target.as_str())
    };
    activity.inputs.iter().map(binding).collect()
}

/// How long an attempt may take to start, to run and to stop, in seconds.
fn times(activity: &CompiledActivity) -> (i64, Option<i64>, i64) {
    (activity.starting_deadline_seconds, activity.timeout_seconds, activity.stop_grace_seconds)
}

/// Who does the work, and how.
fn work(pinned: &Pinned, activity: &CompiledActivity) -> Option<(Option<String>, Value)> {
    let type_ = pinned.types.get(&activity.type_)?;
    Some((type_.provider.clone(), serde_json::to_value(&type_.job).unwrap_or_default()))
}

/// Whether what the activity has to produce is still recorded: somebody may have made room.
fn has_all_outputs(compiled: &CompiledActivity, entry: &ActivityStatus) -> bool {
    let Some(schema) = &compiled.output_schema else { return true };
    let outputs = Value::Object(entry.outputs.clone().unwrap_or_default());
    entry.state == crate::api::orchestration::ActivityState::Skipped
        || schema.validate(&outputs, "outputs").is_empty()
}

fn over(compiled: &CompiledActivity, entry: &ActivityStatus, name: &str) -> ActivityStatus {
    ActivityStatus {
        tier: u32::try_from(compiled.tier).ok(),
        attempt: 0,
        disruptions: 0,
        next_attempt_time: None,
        taken_from: Some(entry.taken_from.clone().unwrap_or_else(|| name.to_owned())),
        ..entry.clone()
    }
}

#[cfg(test)]
mod tests;
