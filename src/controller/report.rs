//! Reports: Events for people.
//!
//! Responsible for: reasons from a closed list, notes within the limits. Must never: fail a reconcile, or drive
//! logic; Events are lossy.

use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};
use kube::{Client, Resource};

use crate::api::{Orchestration, labels};
use crate::client::bounded;
use crate::engine::condition::cut;
use crate::engine::definition::Compiled;
use crate::engine::plan::Notice;

/// Most bytes of an Event's note.
const MAX_NOTE: usize = 1024;

/// Publishes Events.
pub struct Reporter {
    recorder: Recorder,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Reporter")
    }
}

impl Reporter {
    /// A reporter under our name.
    #[must_use]
    pub fn new(client: Client, instance: Option<String>) -> Self {
        Self { recorder: Recorder::new(client, Source { controller: labels::MANAGER.to_owned(), instance }) }
    }

    /// Tells what happened to an Orchestration.
    pub async fn tell(&self, orchestration: &Orchestration, compiled: &Compiled, notices: &[Notice]) {
        for notice in notices {
            let id = |activity: usize| {
                compiled.activities.get(activity).map_or("", |activity| activity.id.as_str())
            };
            // Repeats are merged by reason and action, and the first note stays: the action tells activities apart.
            let (type_, reason, action, note) = match notice {
                Notice::Started => {
                    let note = format!(
                        "runs {} activities in {} tiers",
                        compiled.activities.len(),
                        compiled.tiers.len()
                    );
                    (EventType::Normal, "Started".to_owned(), "Start".to_owned(), note)
                }
                Notice::ActivityFailed { activity, attempt, reason, message } => {
                    let note =
                        format!("activity \"{}\", attempt {attempt}: {reason}: {message}", id(*activity));
                    (EventType::Warning, "ActivityFailed".to_owned(), format!("Run {}", id(*activity)), note)
                }
                Notice::Finished { succeeded: true, reason, message } => {
                    (EventType::Normal, reason.clone(), "Finish".to_owned(), message.clone())
                }
                Notice::Finished { succeeded: false, reason, message } => {
                    // The reason of an activity's failure has its own Event; this one tells of the whole.
                    let reason =
                        if reason == "ActivityFailed" { "Failed".to_owned() } else { reason.clone() };
                    (EventType::Warning, reason, "Finish".to_owned(), message.clone())
                }
                Notice::IllegalTransition { activity, from, to } => {
                    tracing::error!(activity = id(*activity), ?from, ?to, "illegal transition, not made");
                    continue;
                }
            };
            self.publish(orchestration, type_, reason, action, note).await;
        }
    }

    /// Tells why an Orchestration was refused.
    pub async fn refused(
        &self,
        orchestration: &impl Resource<DynamicType = ()>,
        reason: &str,
        message: &str,
    ) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.publish(orchestration, EventType::Warning, reason, "Accept".to_owned(), message).await;
    }

    async fn publish(
        &self,
        about: &impl Resource<DynamicType = ()>,
        type_: EventType,
        reason: String,
        action: String,
        note: String,
    ) {
        let event = Event { type_, reason, note: Some(cut(note, MAX_NOTE)), action, secondary: None };
        if let Err(error) = bounded(self.recorder.publish(&event, &about.object_ref(&()))).await {
            tracing::debug!(%error, "cannot publish an Event");
        }
    }
}
