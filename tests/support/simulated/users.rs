//! Users: what people and other programs do to the objects of a run while it goes on.
//!
//! Responsible for: acts that the API server allows. Must never: look at what the operator thinks.

use std::sync::LazyLock;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::direct::Direct;
use super::scenario::{NAMESPACE, RUN, Scenario, paths};

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    DeleteJobs,
    DeletePods,
    EvictPods,
    UnlabelJobs,
    DisownJobs,
    EditDefinitions,
    DeleteDefinitions,
    RecreateDefinitions,
    DeleteRun,
    RecreateRun,
    AnnotateRun,
    ExtendRun,
    EditRun,
    EditStatus,
    DropStatus,
    Suspend,
    Resume,
    /// Both, one right after the other.
    SuspendAndResume,
    /// Both, with a while in between.
    Pause,
    Stop,
    Terminate,
    /// Both, one right after the other.
    StopAndTerminate,
    Poison,
    DeleteNamespace,
}

/// How long a pause is.
const PAUSE: Duration = Duration::from_secs(40);

impl Act {
    pub const ALL: [Self; 24] = [
        Self::DeleteJobs,
        Self::DeletePods,
        Self::EvictPods,
        Self::UnlabelJobs,
        Self::DisownJobs,
        Self::EditDefinitions,
        Self::DeleteDefinitions,
        Self::RecreateDefinitions,
        Self::DeleteRun,
        Self::RecreateRun,
        Self::AnnotateRun,
        Self::ExtendRun,
        Self::EditRun,
        Self::EditStatus,
        Self::DropStatus,
        Self::Suspend,
        Self::Resume,
        Self::SuspendAndResume,
        Self::Pause,
        Self::Stop,
        Self::Terminate,
        Self::StopAndTerminate,
        Self::Poison,
        Self::DeleteNamespace,
    ];

    /// Whether the run ends in the same way, although single activities may not: what is taken away is made up for, and
    /// what is held up comes later.
    pub fn keeps_the_end(self) -> bool {
        self.is_harmless()
            || matches!(self, Self::DeleteJobs | Self::DeletePods | Self::EvictPods | Self::Pause)
    }

    /// Whether the run ends as if nothing had happened.
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::UnlabelJobs
                | Self::Resume
                | Self::SuspendAndResume
                | Self::AnnotateRun
                | Self::ExtendRun
                | Self::EditRun
                | Self::EditStatus
                | Self::DropStatus
                | Self::Poison
        )
    }

    /// Does it.
    pub async fn perform(self, users: &Direct, scenario: &Scenario) {
        match self {
            Self::DeleteJobs => delete_all(users, &paths::jobs()).await,
            Self::DeletePods => delete_all(users, &paths::pods()).await,
            Self::EvictPods => {
                let disrupted = json!({"status": {"conditions": [{
                    "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "drained",
                }]}});
                for name in names(users, &paths::pods()).await {
                    users.patch(&format!("{}/{name}/status", paths::pods()), &disrupted).await;
                }
                delete_all(users, &paths::pods()).await;
            }
            Self::UnlabelJobs => {
                let bare = json!({"metadata": {"labels": {"orchestrator.dev/orchestration-uid": null}}});
                patch_jobs(users, &bare).await;
            }
            Self::DisownJobs => patch_jobs(users, &json!({"metadata": {"ownerReferences": null}})).await,
            Self::EditDefinitions => {
                let edit = json!({"spec": {"description": "another", "activities": [{"id": "other", "type": "work"}]}});
                users.patch(&format!("{}/flow", paths::definitions()), &edit).await;
                let edit = json!({"spec": {"description": "another"}});
                users.patch(&format!("{}/work", paths::activities()), &edit).await;
            }
            Self::DeleteDefinitions => {
                users.delete(&format!("{}/flow", paths::definitions()), &Value::Null).await;
                users.delete(&format!("{}/work", paths::activities()), &Value::Null).await;
            }
            Self::RecreateDefinitions => {
                users.delete(&format!("{}/flow", paths::definitions()), &Value::Null).await;
                let (_, _) = users.send(Method::POST, &paths::definitions(), &scenario.definition()).await;
            }
            Self::DeleteRun => users.delete(&paths::run(), &Value::Null).await,
            Self::RecreateRun => {
                users.delete(&paths::run(), &Value::Null).await;
                let (_, _) = users.send(Method::POST, &paths::runs(), &scenario.run(RUN)).await;
            }
            Self::AnnotateRun => {
                let (_, _) = users
                    .send(
                        Method::PATCH,
                        &paths::run(),
                        &json!({"metadata": {"annotations": {"seen": "yes"}}}),
                    )
                    .await;
            }
            Self::ExtendRun => {
                users
                    .patch(
                        &paths::run(),
                        &json!({"spec": {"activeDeadlineSeconds": scenario.deadline + 400}}),
                    )
                    .await;
            }
            Self::EditRun => {
                // Refused: the spec does not change.
                let edit = json!({"spec": {"type": "another", "input": {"a": 1}}});
                let (_, _) = users.send(Method::PATCH, &paths::run(), &edit).await;
            }
            Self::EditStatus => {
                // Refused once it is finished.
                let edit = json!({"status": {"state": "Succeeded", "progress": "9/9"}});
                let (_, _) = users.send(Method::PATCH, &format!("{}/status", paths::run()), &edit).await;
            }
            Self::DropStatus => {
                // The rules of the kind refuse it once there is one.
                let (_, _) = users
                    .send(Method::PATCH, &format!("{}/status", paths::run()), &json!({"status": null}))
                    .await;
            }
            Self::Suspend => edit(users, &SUSPENDED).await,
            Self::Resume => edit(users, &RESUMED).await,
            Self::SuspendAndResume => {
                edit(users, &SUSPENDED).await;
                edit(users, &RESUMED).await;
            }
            Self::Pause => {
                edit(users, &SUSPENDED).await;
                let users = users.clone();
                tokio::spawn(async move {
                    sleep(PAUSE).await;
                    edit(&users, &RESUMED).await;
                });
            }
            Self::Stop => edit(users, &STOP).await,
            Self::Terminate => edit(users, &TERMINATE).await,
            Self::StopAndTerminate => {
                edit(users, &STOP).await;
                edit(users, &TERMINATE).await;
            }
            Self::Poison => poison(users).await,
            Self::DeleteNamespace => {
                users.delete(&format!("/api/v1/namespaces/{NAMESPACE}"), &Value::Null).await;
            }
        }
    }
}

static SUSPENDED: LazyLock<Value> = LazyLock::new(|| json!({"suspend": true}));
static RESUMED: LazyLock<Value> = LazyLock::new(|| json!({"suspend": false}));
static STOP: LazyLock<Value> = LazyLock::new(|| json!({"shutdown": "Stop"}));
static TERMINATE: LazyLock<Value> = LazyLock::new(|| json!({"shutdown": "Terminate"}));

/// Changes the spec of the run. A shutdown is never taken back: Stop after Terminate is refused.
async fn edit(users: &Direct, spec: &Value) {
    let (_, _) = users.send(Method::PATCH, &paths::run(), &json!({ "spec": spec })).await;
}

async fn patch_jobs(users: &Direct, patch: &Value) {
    for name in names(users, &paths::jobs()).await {
        users.patch(&format!("{}/{name}", paths::jobs()), patch).await;
    }
}

async fn poison(users: &Direct) {
    let mut deep = json!(1);
    for _ in 0..126 {
        deep = json!({ "a": deep });
    }
    let deep = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "poison"},
        "spec": {"type": "flow", "input": {"deep": deep}},
    });
    let (_, _) = users.send(Method::POST, &paths::runs(), &deep).await;
    let strange = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "strange"},
        "spec": {"job": {"template": {"spec": {"containers": "none"}}}},
    });
    let (_, _) = users.send(Method::POST, &paths::activities(), &strange).await;
    let strange = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "strange"},
        "spec": {"activities": [{"id": "a", "type": "strange", "dependsOn": {"not": ["a", "list"]}, "inputs": [17]}]},
    });
    let (_, _) = users.send(Method::POST, &paths::definitions(), &strange).await;
}

async fn names(users: &Direct, path: &str) -> Vec<String> {
    let objects = users.list(path).await;
    objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn delete_all(users: &Direct, path: &str) {
    debug_assert!(path.contains(NAMESPACE));
    for name in names(users, path).await {
        users.delete(&format!("{path}/{name}"), &json!({"propagationPolicy": "Background"})).await;
    }
}
