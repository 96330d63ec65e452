//! End to end: a real kubelet runs real containers, and people look at it with kubectl.
//!
//! Responsible for: what only a container can prove. Must never: pass in silence where there can be no container.

mod ends;
mod install;
mod sample;
mod values;

use std::io::Write;

use futures::StreamExt;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::{WatchStreamExt, watcher};

use crate::support::cluster::{PATIENCE, TestNamespace, cluster};

/// Whether the control plane has a node. Where it has none the test is left out, and says so past the harness, which
/// shows the output of failed tests only; with ORCHESTRATOR_REQUIRE_NODE=1 it fails.
#[allow(clippy::disallowed_methods)] // a setting of the tests
pub fn has_node(test: &str) -> bool {
    if cluster().state("node") == "ready" {
        return true;
    }
    let why = format!("{test}: the control plane has no node: {}", cluster().state("node_skipped_because"));
    assert!(std::env::var("ORCHESTRATOR_REQUIRE_NODE").as_deref() != Ok("1"), "{why}");
    std::io::stderr().write_all(format!("\nSKIPPED {why}\n").as_bytes()).unwrap();
    false
}

/// A namespace that admits only what the strictest Pod Security standard does.
async fn restricted() -> TestNamespace {
    let prefix = "pod-security.kubernetes.io";
    let keys = ["enforce", "warn"].map(|mode| format!("{prefix}/{mode}"));
    TestNamespace::with_labels(&keys.each_ref().map(|key| (key.as_str(), "restricted"))).await
}

/// Waits for an Event about an Orchestration, and returns its note.
async fn told(namespace: &TestNamespace, orchestration: &str, reason: &str) -> String {
    let mut events = watcher(namespace.api::<Event>(), watcher::Config::default()).applied_objects().boxed();
    let find = async {
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            let about = event.regarding.and_then(|about| about.name).unwrap_or_default();
            if about == orchestration && event.reason.as_deref() == Some(reason) {
                return event.note.unwrap_or_default();
            }
        }
        panic!("the watch has ended")
    };
    tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("no Event {reason}"))
}

/// kubectl in a namespace; it must succeed.
fn kubectl(namespace: &TestNamespace, arguments: &[&str]) -> String {
    cluster().kubectl(&[&["--namespace", &namespace.name], arguments].concat())
}
