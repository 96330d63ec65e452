//! Filling: which caches still lack their first list.
//!
//! Responsible for: telling health what is missing until nothing is. Must never: hold anybody up; who needs a cache waits
//! for it.

use std::future::pending;
use std::sync::Arc;

use super::context::Context;
use crate::config::Scope;
use crate::health::Health;

/// What has to be listed before the operator can do its work.
const KINDS: [&str; 4] = ["Jobs", "Pods", "definitions", "Orchestrations"];

/// Tells that nothing is listed yet.
pub(super) fn begin(health: &Health, scope: &Scope) {
    for kind in KINDS {
        health.miss(&name(kind, scope), "not listed yet");
    }
}

/// Tells of every list as it comes. Never ends.
pub(super) async fn follow(context: Arc<Context>) {
    let [jobs, pods, definitions, orchestrations] = KINDS.map(|kind| name(kind, &context.settings.scope));
    let health = &context.monitor.health;
    tokio::join!(
        async {
            context.jobs.jobs.wait_until_filled().await;
            health.have(&jobs);
        },
        async {
            context.jobs.pods.wait_until_filled().await;
            health.have(&pods);
        },
        async {
            let types = context.definitions.wait_until_listed().await;
            if types.is_ok() && context.definitions.wait_until_orchestrations_listed().await.is_ok() {
                health.have(&definitions);
            }
        },
        async {
            if context.runs.wait_until_listed().await.is_ok() {
                health.have(&orchestrations);
            }
        },
    );
    pending::<()>().await;
}

fn name(kind: &str, scope: &Scope) -> String {
    match scope {
        Scope::Cluster => format!("cache of {kind}"),
        Scope::Namespace(namespace) => format!("cache of {kind} in {namespace}"),
    }
}
