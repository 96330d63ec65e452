//! Explanations: why an attempt does not start, where only Events tell.
//!
//! Responsible for: few requests, and the server's own words. Must never: decide anything; Events are lossy.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::{Error, JobProvider, Look};
use crate::client::bounded;
use crate::engine::plan::{UNEXPLAINED, UNSEEN};
use crate::engine::text;

/// Warnings of a node, and of what serves it, that keep a pod from its first container. Nothing in its status says so.
const OBSTACLES: [&str; 4] =
    ["FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume", "FailedMount"];

/// Reason and message found among the Events of an object, by its uid, and until when it holds.
pub(super) type Explanations = HashMap<String, (Instant, Option<(String, String)>)>;

/// What is to be explained, by its uid.
#[derive(Clone, Copy, Debug)]
pub(super) enum About<'a> {
    /// A Job without a pod: what admission refuses stands nowhere but in its Events.
    Job(&'a str),
    /// A pod whose containers are being made: most of them come to an image that takes its time.
    Pod(&'a str),
}

impl About<'_> {
    /// How long an attempt waits before it is to be explained.
    pub(super) fn patience(self) -> SignedDuration {
        match self {
            Self::Job(_) => UNEXPLAINED,
            Self::Pod(_) => UNSEEN,
        }
    }

    /// How long an explanation holds before one is looked for again.
    fn holds(self) -> Duration {
        match self {
            Self::Job(_) => Duration::from_secs(10),
            Self::Pod(_) => Duration::from_secs(30),
        }
    }

    /// Which of its Events count, as a field selector.
    fn selector(self) -> String {
        match self {
            Self::Job(uid) => format!("involvedObject.uid={uid},reason=FailedCreate"),
            Self::Pod(uid) => format!("involvedObject.uid={uid},type=Warning"),
        }
    }

    fn explains(self, event: &Event) -> bool {
        match self {
            Self::Job(_) => true,
            Self::Pod(_) => event.reason.as_deref().is_some_and(|reason| OBSTACLES.contains(&reason)),
        }
    }

    fn said(self, event: &Event) -> (String, String) {
        let message = text::one_line(event.message.as_deref().unwrap_or_default());
        let reason = match self {
            Self::Job(_) if message.contains("exceeded quota") => "QuotaExceeded".to_owned(),
            Self::Job(_) => "PodRejected".to_owned(),
            Self::Pod(_) => text::one_line(event.reason.as_deref().unwrap_or_default()),
        };
        (reason, message)
    }
}

impl JobProvider {
    /// Why nothing of an attempt starts, in the words of the newest Event that tells.
    pub(super) async fn explain(
        &self,
        look: &Look<'_>,
        about: About<'_>,
    ) -> Result<Option<(String, String)>, Error> {
        let (About::Job(key) | About::Pod(key)) = about;
        let known = self.explanations().get(key).cloned();
        if let Some((_, said)) = known.filter(|(until, _)| *until > Instant::now()) {
            return Ok(said);
        }
        let events: Api<Event> = Api::namespaced(self.client.0.clone(), look.namespace);
        let wanted = ListParams::default().fields(&about.selector());
        let found = bounded(events.list(&wanted)).await.map_err(|source| Error::Read {
            what: "the Events",
            job: look.job.to_owned(),
            source,
        })?;
        let time = |event: &&Event| {
            let last = event.last_timestamp.as_ref().map(|time| time.0);
            last.or(event.event_time.as_ref().map(|time| time.0))
        };
        let newest = found.items.iter().filter(|event| about.explains(event)).max_by_key(time);
        let said = newest.map(|event| about.said(event));
        let mut explanations = self.explanations();
        explanations.retain(|_, (until, _)| *until > Instant::now());
        explanations.insert(key.to_owned(), (Instant::now() + about.holds(), said.clone()));
        Ok(said)
    }

    fn explanations(&self) -> std::sync::MutexGuard<'_, Explanations> {
        self.explanations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
