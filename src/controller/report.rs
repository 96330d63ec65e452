//! Reports: Events for people.
//!
//! Responsible for: reasons from a closed list, notes within the limits. Must never: fail a reconcile, or drive
//! logic; Events are lossy.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Resource;
use kube::api::{Api, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Source};

use super::context::ClientHandle;

use crate::api::{Orchestration, labels};
use crate::client::{answer, bounded, is_namespace_terminating, words};
use crate::clock::Clock;
use crate::engine::condition::cut;
use crate::engine::definition::Compiled;
use crate::engine::names::hash;
use crate::engine::plan::Notice;
use crate::engine::schedule::decide::Entry;

/// Longest name of an object that leaves room for the suffix of an Event's name.
const MAX_NAME: usize = 230;
/// Most bytes of an Event's note.
const MAX_NOTE: usize = 1024;

/// Publishes Events.
pub struct Reporter {
    recorder: Recorder,
    client: ClientHandle,
    clock: Arc<dyn Clock>,
    instance: String,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Reporter")
    }
}

impl Reporter {
    /// A reporter under our name.
    #[must_use]
    pub fn new(client: ClientHandle, clock: Arc<dyn Clock>, instance: Option<String>) -> Self {
        let source = Source { controller: labels::MANAGER.to_owned(), instance: instance.clone() };
        let recorder = Recorder::new(client.0.clone(), source);
        Self { recorder, client, clock, instance: instance.unwrap_or_else(|| labels::MANAGER.to_owned()) }
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
                    let note = format!("runs {}", compiled.size());
                    (EventType::Normal, "Started".to_owned(), "Start".to_owned(), note)
                }
                Notice::ActivityFailed { activity, attempt, reason, message } => {
                    let note =
                        format!("activity \"{}\", attempt {attempt}: {reason}: {message}", id(*activity));
                    (EventType::Warning, "ActivityFailed".to_owned(), format!("Run {}", id(*activity)), note)
                }
                Notice::Retrying { activity, attempt, reason, message } => {
                    let note =
                        format!("activity \"{}\", attempt {attempt}: {reason}: {message}", id(*activity));
                    (
                        EventType::Warning,
                        "ActivityRetrying".to_owned(),
                        format!("Run {}", id(*activity)),
                        note,
                    )
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

    /// Tells what became of ticks. Repeats are merged by reason and action: the action tells ticks apart.
    pub async fn ticked(&self, schedule: &impl Resource<DynamicType = ()>, history: &[Entry]) {
        for entry in history {
            let (type_, reason, action, note) = match &entry.outcome {
                Ok(name) => {
                    let note = format!("made Orchestration \"{name}\" for the tick of {}", entry.tick);
                    (EventType::Normal, "RunMade", format!("Run {}", entry.tick), note)
                }
                Err(missed) => {
                    let note = format!("missed the tick of {}: {missed}", entry.tick);
                    (EventType::Warning, missed.reason(), format!("Skip {}", entry.tick), note)
                }
            };
            self.publish(schedule, type_, reason.to_owned(), action, note).await;
        }
    }

    async fn publish(
        &self,
        about: &impl Resource<DynamicType = ()>,
        type_: EventType,
        reason: String,
        action: String,
        note: String,
    ) {
        let reference = about.object_ref(&());
        let note = cut(note, MAX_NOTE);
        let published = if reference.name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
            self.publish_under_a_short_name(reference, type_, reason, action, note).await
        } else {
            let event = Event { type_, reason, note: Some(note), action, secondary: None };
            bounded(self.recorder.publish(&event, &reference)).await
        };
        match published {
            Ok(()) => {}
            // Nobody is left to be told.
            Err(error) if answer(&error).is_some_and(is_namespace_terminating) => {
                tracing::debug!(error = words(&error), "no Event in a namespace that is being deleted");
            }
            Err(error) => tracing::warn!(error = words(&error), "cannot publish an Event"),
        }
    }

    /// The recorder makes an Event's name of the object's and a suffix, and the server takes no more than 253 characters.
    async fn publish_under_a_short_name(
        &self,
        reference: ObjectReference,
        type_: EventType,
        reason: String,
        action: String,
        note: String,
    ) -> Result<(), kube::Error> {
        let namespace = reference.namespace.clone().unwrap_or_default();
        let name: String = reference.name.iter().flat_map(|name| name.chars()).take(MAX_NAME).collect();
        let suffix = hash(&format!("{:?}/{reason}/{action}", reference.uid));
        let event = events::Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{suffix}", name.trim_end_matches(['.', '-']))),
                ..ObjectMeta::default()
            },
            regarding: Some(reference),
            type_: Some(match type_ {
                EventType::Normal => "Normal".to_owned(),
                EventType::Warning => "Warning".to_owned(),
            }),
            reason: Some(reason),
            action: Some(action),
            note: Some(note),
            event_time: Some(MicroTime(self.clock.now())),
            reporting_controller: Some(labels::MANAGER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..events::Event::default()
        };
        let api: Api<events::Event> = Api::namespaced(self.client.0.clone(), &namespace);
        bounded(api.create(&PostParams::default(), &event)).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Mutex, PoisonError};

    use kube::Client;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::clock::SystemClock;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of an Event that a server refuses with these details.
    async fn logged(details: serde_json::Value) -> String {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
            "message": "the words of the server", "details": details,
        });
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let answer =
                http::Response::builder().status(403).body(Body::from(status.to_string().into_bytes()));
            std::future::ready(answer.map_err(kube::Error::HttpError))
        });
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let client = ClientHandle(Client::new(service, "n"));
        let reporter = Reporter::new(client, Arc::new(SystemClock), None);
        let mut run: Orchestration = serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "run", "namespace": "n", "uid": "u"}, "spec": {"type": "t"},
        }))
        .unwrap();
        reporter.refused(&run, "InvalidInput", "why").await;
        run.metadata.name = Some("x".repeat(253));
        reporter.refused(&run, "InvalidInput", "why").await;
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[tokio::test]
    async fn a_namespace_that_is_being_deleted_is_left_in_silence_and_other_refusals_are_told_in_one_line() {
        let causes = json!({"causes": [{"reason": "NamespaceTerminating", "message": "…"}]});
        assert_eq!(logged(causes).await, "");
        let told = logged(json!({})).await;
        assert_eq!(told.matches("cannot publish an Event").count(), 2, "{told}");
        assert!(
            told.lines().all(|line| line.contains("error=\"the words of the server\"") && line.len() < 300),
            "{told}"
        );
    }
}
