//! Poison objects: Orchestrations that cannot be read.
//!
//! Responsible for: telling their owners, once. Must never: touch anything but the status.

use kube::Resource;
use kube::runtime::controller::Action;
use serde_json::json;

use super::super::context::Context;
use super::super::error::Error;
use super::super::guard::{Guarded, Unreadable};
use super::super::status::write;
use crate::api::Orchestration;
use crate::engine::condition::{self, Statement};

/// An object that cannot be read. It is told once; one that no version could read has failed.
pub(super) async fn tell(
    guarded: &Guarded<Orchestration>,
    unreadable: &Unreadable,
    context: &Context,
) -> Result<Action, Error> {
    let generation = guarded.meta().generation;
    if unreadable.observed_generation == generation {
        return Ok(Action::await_change());
    }
    let now = context.clock.now();
    let (reason, message) = if unreadable.too_deep {
        ("InputTooDeep", "the object is nested deeper than 128 levels".to_owned())
    } else {
        ("Unreadable", format!("the object cannot be read: {}", unreadable.message))
    };
    let mut finished = json!({});
    let mut statements = vec![Statement::new("Accepted", Some(false), reason, message.clone())];
    if unreadable.too_deep {
        finished = json!({"state": "Failed", "completionTime": condition::stamp(now)});
        statements.push(Statement::new("Stalled", Some(true), reason, message.clone()));
        statements.push(Statement::new("Succeeded", Some(false), reason, message.clone()));
        statements.push(Statement::new("Finished", Some(true), reason, message));
    } else {
        statements.push(Statement::new("Succeeded", None, reason, message));
    }
    let mut status = json!({
        "observedGeneration": generation,
        "conditions": condition::state(&[], generation, now, statements),
    });
    if let (Some(status), Some(finished)) = (status.as_object_mut(), finished.as_object_mut()) {
        status.append(finished);
    }
    write::<Orchestration>(&context.client.0, guarded, json!({ "status": status })).await?;
    Ok(Action::await_change())
}
