//! Backoff per object, a panic guard, and the log line of every reconcile.
//!
//! Responsible for: that one bad object never stops or slows the others. Must never: look into an object.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::error::Error;
use super::rights::Rights;
use crate::client::Class;
use crate::metrics::Metrics;

/// Longest pause after failures.
const LONGEST: Duration = Duration::from_secs(300);
/// Pause after a conflict: the newer object is on its way. Conflicts in a row double it, because a watch that fell
/// silent brings nothing for minutes.
const CONFLICT: Duration = Duration::from_millis(200);
/// Longest pause after conflicts.
const LONGEST_CONFLICT: Duration = Duration::from_secs(30);

/// Failures in a row, per object.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
    metrics: Metrics,
    rights: Arc<Rights>,
}

impl Backoff {
    /// No failures yet. What is run is counted, and what is refused for want of a right is told.
    #[must_use]
    pub fn new(metrics: Metrics, rights: Arc<Rights>) -> Self {
        Self { failures: Mutex::default(), metrics, rights }
    }

    /// Runs one reconcile. A failure becomes a growing pause of this object alone, a panic one of these failures.
    pub async fn run<K>(&self, object: &K, reconcile: impl Future<Output = Result<Action, Error>>) -> Action
    where
        K: Resource<DynamicType = ()>,
    {
        let kind = K::kind(&());
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let key = object.uid().unwrap_or_else(|| format!("{namespace}/{name}"));
        let begun = Instant::now();
        let under_way = self.metrics.reconcile(&kind);
        let result = AssertUnwindSafe(reconcile)
            .catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_message(panic.as_ref()))));
        drop(under_way);
        self.metrics.reconciled(&kind, told(&result), begun.elapsed());
        tracing::debug!(target: "orchestrator::reconcile", %kind, %namespace, %name, "reconciled");
        match &result {
            Err(error) if error.is_missing_right() => self.rights.refused(&key, &error.to_string()),
            _ => self.rights.settled(&key),
        }
        match result {
            Ok(action) => {
                self.failures().remove(&key);
                action
            }
            Err(error) if error.is_gone() => {
                self.failures().remove(&key);
                Action::await_change()
            }
            Err(error) if error.class() == Class::Conflict => {
                let pause = doubled(CONFLICT, self.count(key)).min(LONGEST_CONFLICT);
                tracing::debug!(%kind, %namespace, %name, %error, ?pause, "conflict");
                Action::requeue(pause)
            }
            Err(error) if error.is_namespace_terminating() => {
                let pause = pause(self.count(key));
                tracing::debug!(%kind, %namespace, %name, %error, ?pause, "nothing is made in a namespace that goes");
                Action::requeue(pause)
            }
            Err(error) => {
                let failures = self.count(key);
                let pause = pause(failures);
                match error.class() {
                    Class::Transient | Class::Conflict => {
                        tracing::warn!(%kind, %namespace, %name, %error, failures, ?pause, "reconcile failed");
                    }
                    Class::Permanent => {
                        tracing::error!(%kind, %namespace, %name, %error, failures, ?pause, "reconcile failed");
                    }
                }
                Action::requeue(pause)
            }
        }
    }

    /// Counts one more failure.
    fn count(&self, key: String) -> u32 {
        let mut failures = self.failures();
        let count = failures.entry(key).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.failures().remove(uid);
        self.rights.forget(uid);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a reconcile in one word, for metrics.
fn told(result: &Result<Action, Error>) -> &'static str {
    match result {
        Ok(_) => "success",
        Err(Error::Panicked(_)) => "panic",
        Err(error) if error.is_gone() => "gone",
        Err(error) => match error.class() {
            Class::Conflict => "conflict",
            Class::Transient => "transient",
            Class::Permanent => "permanent",
        },
    }
}

/// Doubles from half a second to five minutes.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    doubled(Duration::from_millis(500), failures).min(LONGEST)
}

fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(10))
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object() -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some("u".to_owned());
        object
    }

    #[test]
    fn pauses_grow_and_stop_at_five_minutes() {
        let pauses: Vec<_> = (1..13).map(|n| pause(n).as_millis()).collect();
        assert_eq!(pauses[..4], [500, 1000, 2000, 4000]);
        assert_eq!(pauses[11], 300_000);
    }

    #[tokio::test]
    async fn a_panic_backs_off_this_object_and_success_forgets_it() {
        let backoff = Backoff::default();
        let fails = async || backoff.run(&object(), async { panic!("boom") }).await;
        assert_eq!(fails().await, Action::requeue(Duration::from_millis(500)));
        assert_eq!(fails().await, Action::requeue(Duration::from_secs(1)));
        let action = backoff.run(&object(), async { Ok(Action::await_change()) }).await;
        assert_eq!(action, Action::await_change());
        assert_eq!(fails().await, Action::requeue(Duration::from_millis(500)));
    }
}
