//! Starting an attempt: the Job is made, whatever becomes of the answer.
//!
//! Responsible for: one verdict for every answer to a create, a lost one included. Must never: touch a Job that another
//! owner made.

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::Value;

use super::refusal::{self, Refusal};
use super::{API_SERVER_ERROR, JobProvider, is_owned, name_conflict};
use crate::api::labels;
use crate::client::{answer, bounded, words};
use crate::engine::observe::FailureReason;

/// What became of a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// The Job exists and is ours.
    Accepted,
    /// It is not known to exist, and may later.
    Refused {
        /// One word.
        reason: &'static str,
        /// The server's words.
        message: String,
        /// Nobody knows whether it exists all the same.
        in_doubt: bool,
    },
    /// It will never exist.
    Failed {
        /// Why.
        reason: FailureReason,
        /// The server's words.
        message: String,
    },
}

impl JobProvider {
    /// Makes a Job. Never fails: what went wrong is told of the activity, and tried again where that may help.
    pub async fn start(&self, namespace: &str, uid: &str, job: &str, body: Value) -> Start {
        let error = match self.create(namespace, body).await {
            Ok(()) => return Start::Accepted,
            Err(error) => error,
        };
        let message = words(&error);
        match answer(&error) {
            Some(status) if status.is_already_exists() => self.adopt(namespace, uid, job).await,
            Some(status) => match refusal::classify(status) {
                Refusal::ForNow(reason) if status.code >= 500 => {
                    self.doubtful(namespace, uid, job, reason, message).await
                }
                Refusal::ForNow(reason) => Start::Refused { reason, message, in_doubt: false },
                Refusal::ForEver(reason) => Start::Failed { reason, message },
            },
            None => self.doubtful(namespace, uid, job, API_SERVER_ERROR, message).await,
        }
    }

    /// No answer, or that of a server in trouble: the Job may exist all the same. An orchestration that ends before
    /// the next try must not record as never started what runs.
    async fn doubtful(
        &self,
        namespace: &str,
        uid: &str,
        job: &str,
        reason: &'static str,
        message: String,
    ) -> Start {
        match bounded(self.job_api(namespace).get_opt(job)).await {
            Ok(Some(existing)) if is_owned(&existing, uid) => Start::Accepted,
            looked => Start::Refused { reason, message, in_doubt: looked.is_err() },
        }
    }

    /// A Job of that name exists: success if it is ours, from a request whose answer was lost.
    async fn adopt(&self, namespace: &str, uid: &str, job: &str) -> Start {
        match bounded(self.job_api(namespace).get_opt(job)).await {
            Ok(Some(existing)) if is_owned(&existing, uid) => Start::Accepted,
            Ok(Some(_)) => Start::Failed { reason: FailureReason::NameConflict, message: name_conflict(job) },
            Ok(None) => Start::Refused {
                reason: API_SERVER_ERROR,
                message: format!("the Job {job} comes and goes"),
                in_doubt: false,
            },
            Err(error) => Start::Refused { reason: API_SERVER_ERROR, message: words(&error), in_doubt: true },
        }
    }

    async fn create(&self, namespace: &str, body: Value) -> Result<(), kube::Error> {
        let resource = ApiResource::erase::<Job>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.0.clone(), namespace, &resource);
        let object = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
        bounded(api.create(
            &PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() },
            &object,
        ))
        .await
        .map(|_| ())
    }
}
