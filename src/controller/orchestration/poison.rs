//! Poison objects: Orchestrations that cannot be read.
//!
//! Responsible for: telling their owners, once. Must never: touch anything but the status.

use std::time::Duration;

use kube::Resource;
use kube::runtime::controller::Action;
use serde_json::json;

use super::super::context::Context;
use super::super::error::Error;
use super::super::guard::{Guarded, Unreadable};
use super::super::status::write;
use crate::api::Orchestration;
use crate::engine::acceptance::INPUT_TOO_DEEP;
use crate::engine::condition::{self, Statement};

/// When an object that could not be read is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// An object that cannot be read. It is told once; one that no version could read has failed.
pub(super) async fn tell(
    guarded: &Guarded<Orchestration>,
    unreadable: &Unreadable,
    context: &Context,
) -> Result<Action, Error> {
    let generation = guarded.meta().generation;
    if unreadable.observed_generation == generation {
        // Its status may be mended, and that wakes nobody.
        let is_settled = unreadable.is_finished || unreadable.too_deep;
        return Ok(if is_settled { Action::await_change() } else { Action::requeue(LOOK_AGAIN) });
    }
    if unreadable.is_finished {
        // Its status is immutable; an edit of what may be edited is seen all the same.
        let (namespace, name) = (&guarded.meta().namespace, &guarded.meta().name);
        tracing::warn!(?namespace, ?name, %unreadable, "a finished Orchestration cannot be read");
        let status = json!({"observedGeneration": generation});
        write::<Orchestration>(&context.client.0, guarded, json!({ "status": status })).await?;
        return Ok(Action::await_change());
    }
    let now = context.clock.now();
    let (reason, message) = if unreadable.too_deep {
        // Nothing else in it is deep: the status is ours, and outputs are bounded.
        (INPUT_TOO_DEEP.0, INPUT_TOO_DEEP.1.to_owned())
    } else {
        ("Unreadable", unreadable.to_string())
    };
    let mut finished = json!({});
    let mut statements = vec![
        Statement::new("Accepted", Some(false), reason, message.clone()),
        Statement::new("Stalled", Some(true), reason, message.clone()),
    ];
    if unreadable.too_deep {
        finished = json!({"state": "Failed", "completionTime": condition::stamp(now)});
        statements.push(Statement::new("Succeeded", Some(false), reason, message.clone()));
        statements.push(Statement::new("Finished", Some(true), reason, message.clone()));
    } else {
        statements.push(Statement::new("Succeeded", None, reason, message.clone()));
    }
    let mut status = json!({
        "observedGeneration": generation,
        "conditions": condition::state(&[], generation, now, statements),
    });
    if let (Some(status), Some(finished)) = (status.as_object_mut(), finished.as_object_mut()) {
        status.append(finished);
    }
    write::<Orchestration>(&context.client.0, guarded, json!({ "status": status })).await?;
    context.reporter.refused(guarded, reason, &message).await;
    Ok(if unreadable.too_deep { Action::await_change() } else { Action::requeue(LOOK_AGAIN) })
}
