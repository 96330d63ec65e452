//! One Application of Argo CD, with a git repository and a namespace of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};

use super::Argo;
use crate::support::cluster::{PATIENCE, TestNamespace};

/// Whose deletion Argo CD deletes the objects of an Application first.
const FINALIZER: &str = "resources-finalizer.argocd.argoproj.io/foreground";

/// An Application. It is synced when a test says so, unless it is automated.
pub struct Application<'a> {
    argo: &'a Argo,
    /// Its name.
    pub name: String,
    /// Where its objects are.
    pub namespace: TestNamespace,
    repository: PathBuf,
}

impl<'a> Application<'a> {
    /// Makes one, of nothing yet.
    pub async fn new(argo: &'a Argo, name: &str) -> Self {
        Self::with(argo, name, json!({})).await
    }

    /// Makes one that syncs by itself, and deletes what is no longer in git.
    pub async fn automated(argo: &'a Argo, name: &str) -> Self {
        Self::with(argo, name, json!({"automated": {"prune": true, "selfHeal": true}})).await
    }

    async fn with(argo: &'a Argo, name: &str, policy: Value) -> Self {
        let application = Self::of_nothing(argo, name).await;
        let source = json!({"repoURL": application.url(), "targetRevision": "main", "path": "."});
        create(argo, name, name, source, policy).await;
        application
    }

    /// Makes namespace and repository of one that the test itself makes.
    pub async fn of_nothing(argo: &'a Argo, name: &str) -> Self {
        let repository = argo.state().join("scenarios").join(name);
        std::fs::create_dir_all(&repository).unwrap();
        let namespace = TestNamespace::on(argo.client.clone(), name).await;
        let application = Self { argo, name: name.to_owned(), namespace, repository };
        application.git(&["init", "--quiet", "--initial-branch", "main"]);
        application.commit(&[]);
        application
    }

    /// Where its manifests are.
    pub fn url(&self) -> String {
        format!("file://{}", self.repository.display())
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=orchestrator", "-c", "user.email=team@orchestrator.dev"];
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.repository).args(identity).args(arguments);
        assert!(git.status().unwrap().success(), "git {arguments:?}");
    }

    /// Commits these objects, and nothing else.
    pub fn commit(&self, objects: &[Value]) {
        // JSON is YAML.
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        std::fs::write(self.repository.join("manifests.yaml"), documents.join("\n---\n")).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "What is wanted"]);
    }

    /// What Argo CD says of it.
    pub async fn get(&self) -> Value {
        get(self.argo, &self.name).await
    }

    /// Waits until Argo CD says something of it.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(self.argo, &self.name, what, holds).await
    }

    /// Waits until an object of it has this health, and returns the message.
    pub async fn health(&self, kind: &str, name: &str, status: &str) -> String {
        let what = format!("{kind} {name} is {status}");
        let found = self.until(&what, |all| resource(all, kind, name)["health"]["status"] == status).await;
        resource(&found, kind, name)["health"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Starts a sync that is not tried again, and returns what `operation` waits by.
    pub async fn start_sync(&self) -> String {
        start_sync(self.argo, &self.name).await
    }

    /// Waits until a sync is as it should be, and returns its state.
    pub async fn operation(&self, sync: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        operation(self.argo, &self.name, sync, what, holds).await
    }

    /// Syncs, and returns how that ended.
    pub async fn sync(&self) -> Value {
        sync(self.argo, &self.name).await
    }

    /// Syncs, which must succeed.
    pub async fn synced(&self) -> Value {
        let state = self.sync().await;
        assert_eq!(state["phase"], "Succeeded", "{state:#}");
        state
    }

    /// The newest commit.
    pub fn head(&self) -> String {
        let parse = Command::new("git").arg("-C").arg(&self.repository).args(["rev-parse", "HEAD"]).output();
        String::from_utf8(parse.unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Waits until what is committed is Synced, and what is in it Healthy.
    pub async fn done(&self) -> Value {
        self.refresh("normal").await;
        let head = self.head();
        self.until("what is committed is Synced and Healthy", |all| is_done(all, &head)).await
    }

    /// Lets Argo CD compare anew, and returns what it says then.
    pub async fn refresh(&self, how: &str) -> Value {
        refresh(self.argo, &self.name, how).await
    }
}

/// Whether an Application is Synced at a commit, and Healthy.
pub fn is_done(application: &Value, revision: &str) -> bool {
    let status = &application["status"];
    status["sync"]["revision"] == revision
        && status["sync"]["status"] == "Synced"
        && status["health"]["status"] == "Healthy"
}

/// Makes an Application of any source, or of a list of them.
pub async fn create(argo: &Argo, name: &str, namespace: &str, source: Value, policy: Value) {
    let mut policy = policy;
    policy["syncOptions"] = json!(["CreateNamespace=true"]);
    // Where a test breaks something, it is broken for good.
    policy["retry"] = json!({"limit": 0});
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "finalizers": [FINALIZER]},
        "spec": {
            "project": "default", "syncPolicy": policy,
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        },
    });
    let field = if source.is_array() { "sources" } else { "source" };
    object["spec"][field] = source;
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    argo.applications().create(&PostParams::default(), &object).await.unwrap();
}

/// What Argo CD says of an Application.
pub async fn get(argo: &Argo, name: &str) -> Value {
    serde_json::to_value(argo.applications().get(name).await.unwrap()).unwrap()
}

/// Waits until Argo CD says something of an Application.
pub async fn until(argo: &Argo, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let json = |object: &DynamicObject| serde_json::to_value(object).unwrap();
    let condition = |object: Option<&DynamicObject>| object.is_some_and(|object| holds(&json(object)));
    match tokio::time::timeout(PATIENCE, await_condition(argo.applications(), name, condition)).await {
        Ok(found) => json(&found.unwrap().unwrap()),
        Err(_) => panic!("{name}: never came that {what}; it is {:#}", get(argo, name).await["status"]),
    }
}

/// Lets Argo CD compare anew, `normal` or `hard` (with new manifests), and returns what it says then.
pub async fn refresh(argo: &Argo, name: &str, how: &str) -> Value {
    let patch = json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": how}}});
    argo.applications().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until(argo, name, "it is refreshed", |all| {
        all["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null()
    })
    .await
}

/// Starts a sync that is not tried again.
pub async fn start_sync(argo: &Argo, name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let id = NUMBER.fetch_add(1, Ordering::SeqCst).to_string();
    let patch = json!({"operation": {
        "info": [{"name": "test", "value": id}], "retry": {"limit": 0},
        "initiatedBy": {"username": "test"}, "sync": {"prune": true, "syncOptions": ["CreateNamespace=true"]},
    }});
    argo.applications().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    id
}

/// Waits until a sync is as it should be, and returns its state.
pub async fn operation(
    argo: &Argo,
    name: &str,
    sync: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let is_this = |state: &Value| state["operation"]["info"][0]["value"] == sync;
    let found = until(argo, name, what, |all| {
        let state = &all["status"]["operationState"];
        is_this(state) && holds(state)
    });
    found.await["status"]["operationState"].clone()
}

/// Syncs, and returns how that ended.
pub async fn sync(argo: &Argo, name: &str) -> Value {
    let id = start_sync(argo, name).await;
    operation(argo, name, &id, "the sync ends", |state| !state["finishedAt"].is_null()).await
}

/// What Argo CD says of one object of an Application; null if it knows none.
pub fn resource<'v>(application: &'v Value, kind: &str, name: &str) -> &'v Value {
    let all = application["status"]["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|one| one["kind"] == kind && one["name"] == name).unwrap_or(&Value::Null)
}

/// The API of a kind of ours in any namespace, without its types.
pub fn untyped(client: &Client, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = kube::api::GroupVersionKind::gvk("orchestrator.dev", "v1alpha1", kind);
    Api::namespaced_with(client.clone(), namespace, &kube::api::ApiResource::from_gvk(&kind))
}
