//! Pods that a kubelet leaves to the test.
//!
//! Responsible for: waiting until they are there, and making something happen to them. Must never: choose them.

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

use super::cluster::{PATIENCE, TestNamespace};
use super::kubelet::{Act, Work, perform};

/// The pods that are held. A clone holds the same ones.
#[derive(Clone)]
pub struct Held(std::sync::Arc<watch::Sender<Vec<Work>>>);

impl Default for Held {
    fn default() -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Held {
    /// Holds a pod: the script of a kubelet returns this.
    pub fn hold(&self, work: &Work) -> Act {
        self.0.send_modify(|held| held.push(work.clone()));
        Act::Nothing
    }

    /// Waits until so many are held.
    pub async fn until(&self, count: usize) {
        let mut held = self.0.subscribe();
        let wait = held.wait_for(|held| held.len() >= count);
        assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "{count} pods to hold");
    }

    /// Makes something happen to all of them, and holds them no longer.
    pub async fn release(&self, namespace: &TestNamespace, act: impl Fn(&Work) -> Act) {
        for work in self.0.send_replace(Vec::new()) {
            perform(&namespace.api::<Pod>(), &work.pod, &act(&work)).await;
        }
    }
}
