//! What the runner tells the API server about a pod.
//!
//! Responsible for: few writes (a pod that ends at once costs one), and none over somebody else's. Must never: give
//! up on the last status while the runner lives.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::{ResourceExt, core::Status};
use serde_json::json;
use tokio::sync::watch;

use super::pod::{Context, Sight};
use super::status::{Cause, Progress, status};
use crate::client::{answer, bounded, words};

/// How long news waits for more of them. Most commands end within it.
const QUIET: Duration = Duration::from_millis(50);
/// Pause before a write that failed is tried again, doubled every time, and its limit.
const RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(10);
/// How long the last status is tried once the runner ends.
const LAST_TRIES: Duration = Duration::from_secs(2);

/// Writes the status of one pod.
pub struct Reporter<'a> {
    context: &'a Context,
    sight: watch::Receiver<Sight>,
    api: Api<Pod>,
}

/// What came of a write.
enum Written {
    /// The pod as it is now.
    Pod(Box<Pod>),
    /// It is no more, or another one has its name.
    Gone,
}

impl<'a> Reporter<'a> {
    /// Reports about one pod.
    #[must_use]
    pub fn new(context: &'a Context, sight: watch::Receiver<Sight>) -> Self {
        let namespace = sight.borrow().pod.namespace().unwrap_or_default();
        Self { context, sight, api: Api::namespaced(context.client.clone(), &namespace) }
    }

    /// Reports while the pod runs, until it has ended. The result is the pod as it was last written, if it was.
    pub async fn follow(&self, mut progress: watch::Receiver<Progress>) -> Option<Pod> {
        let mut last = None;
        let mut pause = QUIET;
        loop {
            let ended = |progress: &Progress| progress.ended;
            if progress.changed().await.is_err()
                || tokio::time::timeout(pause, progress.wait_for(ended)).await.is_ok()
            {
                return last;
            }
            let current = progress.borrow_and_update().clone();
            match self.write(&current, last.as_ref()).await {
                Ok(Written::Pod(pod)) => {
                    last = Some(*pod);
                    pause = QUIET;
                }
                Ok(Written::Gone) => {}
                Err(error) => {
                    tracing::debug!(error = %words(&error), "a pod's status was not written");
                    progress.mark_changed();
                    pause = (pause * 2).min(MAX_RETRY);
                }
            }
        }
    }

    /// Writes the last status, and lets the pod go if it is being deleted.
    pub async fn finish(&self, progress: &Progress, last: Option<Pod>) {
        let mut shutdown = self.context.shutdown.clone();
        let gave_up = async {
            let _ = shutdown.wait_for(|stop| *stop).await;
            tokio::time::sleep(LAST_TRIES).await;
        };
        tokio::select! {
            () = self.try_finish(progress, last) => {}
            () = gave_up => tracing::warn!("the last status of a pod was not written before the end"),
        }
    }

    async fn try_finish(&self, progress: &Progress, mut last: Option<Pod>) {
        let mut pause = RETRY;
        loop {
            match self.write(progress, last.as_ref()).await {
                Ok(Written::Gone) => return,
                Ok(Written::Pod(pod)) => {
                    if pod.metadata.deletion_timestamp.is_none() && progress.cause != Some(Cause::Deleted) {
                        return;
                    }
                    match self.let_go(&pod).await {
                        Ok(()) => return,
                        Err(error) => tracing::debug!(error = %words(&error), "a pod was not let go"),
                    }
                    last = Some(*pod);
                }
                Err(error) => tracing::debug!(error = %words(&error), "a pod's last status was not written"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_RETRY);
        }
    }

    /// Tells the server that nothing of the pod runs any more.
    async fn let_go(&self, pod: &Pod) -> Result<(), kube::Error> {
        let preconditions = Preconditions { uid: pod.uid(), resource_version: None };
        let parameters = DeleteParams::default().grace_period(0);
        let parameters = DeleteParams { preconditions: Some(preconditions), ..parameters };
        match bounded(self.api.delete(&pod.name_any(), &parameters)).await {
            Err(error) if !answer(&error).is_some_and(is_gone) => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a status over the newest known state of the pod, so that a condition that somebody has just written is
    /// not lost: a drained pod gets its DisruptionTarget so.
    async fn write(&self, progress: &Progress, last: Option<&Pod>) -> Result<Written, kube::Error> {
        let sight = self.sight.borrow().clone();
        if sight.gone {
            return Ok(Written::Gone);
        }
        let newest = last.filter(|pod| version(pod) > version(&sight.pod)).unwrap_or(&sight.pod);
        let answered = self.patch(newest, progress).await;
        let conflict = matches!(&answered, Err(error) if answer(error).is_some_and(Status::is_conflict));
        let answered = if conflict {
            match bounded(self.api.get_opt(&newest.name_any())).await? {
                Some(pod) if pod.uid() == newest.uid() => self.patch(&pod, progress).await,
                _ => return Ok(Written::Gone),
            }
        } else {
            answered
        };
        match answered {
            Ok(pod) => Ok(Written::Pod(Box::new(pod))),
            Err(error) if answer(&error).is_some_and(Status::is_not_found) => Ok(Written::Gone),
            Err(error) => Err(error),
        }
    }

    async fn patch(&self, pod: &Pod, progress: &Progress) -> Result<Pod, kube::Error> {
        let patch = Patch::Merge(json!({
            "metadata": {"uid": pod.uid(), "resourceVersion": pod.resource_version()},
            "status": status(pod, progress, self.context.clock.now()),
        }));
        bounded(self.api.patch_status(&pod.name_any(), &PatchParams::default(), &patch)).await
    }
}

fn is_gone(status: &Status) -> bool {
    status.is_not_found() || status.is_conflict()
}

fn version(pod: &Pod) -> u64 {
    pod.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
