//! `config/rbac` against what the operator really asks of the server: every right is used by some run.
//!
//! The other way round, every operator in every test is checked when it ends: it used nothing that is not granted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use kube::client::ClientBuilder;
use orchestrator::api::{Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use orchestrator::clock::SystemClock;
use orchestrator::config::{Election, Settings};
use orchestrator::controller::context::ClientHandle;
use orchestrator::controller::report::Reporter;
use orchestrator::engine::lease::Terms;
use serde_json::json;

use crate::support::cluster::TestNamespace;
use crate::support::fuse::Fuse;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, chain, fan_out, orchestration, schedule};
use crate::support::operator::{Operator, service_account_config};
use crate::support::recording::{Recorded, Recording};
use crate::support::rights::{check, granted, needed, used};
use crate::support::scene::gone;

/// A run that goes well, and goes on after a crash between its acceptance and its first Job.
async fn restarted() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let first = Operator::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    namespace.create(chain("chain", 2)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    let mut rights = used(&first.requests);
    first.stop().await;
    // Its revision, and its acceptance.
    let fuse = Fuse::at_write(2);
    let second = Operator::start_with_fuse(&namespace, &fuse).await;
    namespace.create(orchestration("run", "chain", json!({"number": 1}))).await;
    fuse.blown().await;
    rights.extend(used(&second.requests));
    second.crash();
    let third = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({"number": 2})));
    namespace.finished("run").await;
    rights.extend(used(&third.requests));
    rights
}

/// A Job that somebody deletes while it runs.
async fn vanished() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| {
        let attempt = &work.pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/attempt"];
        if attempt == "1" { Act::Run } else { Act::outputs(&json!({})) }
    });
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("one", 1)).await;
    namespace.create(orchestration("run", "one", json!({}))).await;
    namespace
        .until("run", |run: &Orchestration| {
            let activities = run.status.as_ref().map(|status| &status.activities);
            activities.is_some_and(|all| all.values().any(|activity| activity.start_time.is_some()))
        })
        .await;
    let jobs = namespace.api::<Job>();
    jobs.delete_collection(&DeleteParams::background().grace_period(0), &Default::default()).await.unwrap();
    namespace.finished("run").await;
    used(&operator.requests)
}

/// A Job whose pods a quota refuses, until the deadline.
async fn explained_and_stopped() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let quota = serde_json::from_value(json!({
        "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}},
    }));
    namespace.api::<ResourceQuota>().create(&PostParams::default(), &quota.unwrap()).await.unwrap();
    let operator = Operator::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    let mut hurried = fan_out("hurried", 1);
    hurried["spec"]["activeDeadlineSeconds"] = json!(6);
    namespace.create(hurried).await;
    namespace.definition_ready("hurried", "True", "Ready").await;
    namespace.create(orchestration("run", "hurried", json!({}))).await;
    namespace.finished("run").await;
    used(&operator.requests)
}

/// A revision that nothing refers to any more.
async fn collected() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let soon = |settings: &mut Settings| settings.revision_retention = Duration::from_millis(600);
    let operator = Operator::start_with(&namespace, soon).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("one", 1)).await;
    namespace.definition_ready("one", "True", "Ready").await;
    namespace.create(orchestration("run", "one", json!({}))).await;
    let finished = namespace.finished("run").await;
    let revisions = namespace.api::<ControllerRevision>();
    let pinned = revisions.get(&finished.status.unwrap().revision.unwrap()).await.unwrap();
    namespace.api::<OrchestrationDefinition>().delete("one", &DeleteParams::default()).await.unwrap();
    namespace.api::<Orchestration>().delete("run", &DeleteParams::default()).await.unwrap();
    gone(revisions, &pinned).await;
    used(&operator.requests)
}

/// An operator that is elected, and gives its Lease back.
async fn elected() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let leases: Api<Lease> = Api::namespaced(namespace.client.clone(), "orchestrator-system");
    let election = Election {
        namespace: Some("orchestrator-system".to_owned()),
        name: namespace.name.clone(),
        identity: "the only one".to_owned(),
        terms: Terms::default(),
    };
    let operator = Operator::start_with(&namespace, |settings| settings.election = Some(election)).await;
    namespace.create(activity_definition("step")).await;
    namespace.activity_ready("step", "True").await;
    let held = leases.get(&namespace.name).await.unwrap().spec.unwrap();
    assert_eq!(held.holder_identity.as_deref(), Some("the only one"));
    let requests = operator.requests.clone();
    operator.stop().await;
    let released = leases.get(&namespace.name).await.unwrap().spec.unwrap();
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    leases.delete(&namespace.name, &DeleteParams::default()).await.unwrap();
    used(&requests)
}

/// A run of which nothing is kept: its Jobs go at once, and it follows them.
async fn forgotten() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let at_once = |settings: &mut Settings| settings.job_retention = Duration::ZERO;
    let operator = Operator::start_with(&namespace, at_once).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("one", 1)).await;
    namespace.definition_ready("one", "True", "Ready").await;
    let mut run = orchestration("run", "one", json!({}));
    run["spec"]["ttlSecondsAfterFinished"] = json!(5);
    namespace.create(run).await;
    let finished = namespace.finished("run").await;
    gone(namespace.api::<Orchestration>(), &finished).await;
    used(&operator.requests)
}

/// A schedule whose run replaces one that does not end, and of which nothing is kept.
async fn scheduled() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("one", 1)).await;
    namespace.definition_ready("one", "True", "Ready").await;
    let over = json!({"concurrencyPolicy": "Replace", "successfulHistoryLimit": 0, "failedHistoryLimit": 0});
    let made =
        namespace.create_as::<OrchestrationSchedule>(schedule("s", "* * * * *", "one", over)).await.unwrap();
    // It never ends by itself.
    let mut endless = orchestration("endless", "one", json!({}));
    endless["spec"]["suspend"] = json!(true);
    endless["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule", "name": "s",
        "uid": made.metadata.uid, "controller": true,
    }]);
    let endless = namespace.create_as::<Orchestration>(endless).await.unwrap();
    gone(namespace.api::<Orchestration>(), &endless).await;
    namespace
        .until("s", |found: &OrchestrationSchedule| {
            let result = found.status.as_ref().and_then(|status| status.last_result.as_ref());
            result.is_some_and(|result| result.state == "Succeeded")
        })
        .await;
    used(&operator.requests)
}

/// The same Event twice is one Event with a count.
async fn repeated() -> BTreeSet<String> {
    let namespace = TestNamespace::new().await;
    let requests = Recording::default();
    let config = orchestrator::client::prepare(service_account_config().await);
    let client: Client = ClientBuilder::try_from(config).unwrap().with_layer(&requests).build();
    let about = namespace.create_as::<Orchestration>(orchestration("run", "none", json!({}))).await.unwrap();
    let reporter = Reporter::new(ClientHandle(client), Arc::new(SystemClock), None);
    for _ in 0..2 {
        reporter.refused(&about, "Again", "and again").await;
    }
    check(&requests);
    assert!(requests.all().iter().all(|one| one.status < 300), "{:?}", requests.all());
    used(&requests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_right_of_the_roles_is_used() {
    let all = tokio::join!(
        restarted(),
        vanished(),
        explained_and_stopped(),
        collected(),
        forgotten(),
        repeated(),
        elected(),
        scheduled()
    );
    let used: BTreeSet<String> =
        [all.0, all.1, all.2, all.3, all.4, all.5, all.6, all.7].into_iter().flatten().collect();
    let granted = granted();
    let unused: Vec<&String> = granted.difference(&used).collect();
    let missing: Vec<&String> = used.difference(&granted).collect();
    println!("{} rights are granted and used", used.len());
    assert!(
        unused.is_empty() && missing.is_empty(),
        "granted and never used: {unused:?}; missing: {missing:?}"
    );
    assert!(!used.iter().any(|right| right.contains("secrets")));
}

#[test]
fn a_request_needs_its_right() {
    let right = |method: &str, path: &str, query: &str, body: &str| {
        let (method, path, query, body) = (method.into(), path.into(), query.into(), body.into());
        needed(&Recorded { method, path, query, body, status: 200 }).join(", ")
    };
    assert_eq!(right("GET", "/api/v1/pods", "labelSelector=a", ""), "/pods list");
    assert_eq!(right("GET", "/api/v1/namespaces/n/pods", "watch=true&labelSelector=a", ""), "/pods watch");
    assert_eq!(right("GET", "/apis/batch/v1/namespaces/n/jobs/j", "", ""), "batch/jobs get");
    assert_eq!(right("GET", "/api/v1/namespaces", "", ""), "/namespaces list");
    assert_eq!(right("DELETE", "/api/v1/namespaces/n/secrets", "", ""), "/secrets deletecollection");
    let status = "/apis/orchestrator.dev/v1alpha1/namespaces/n/orchestrations/o/status";
    assert_eq!(right("PATCH", status, "", "{}"), "orchestrator.dev/orchestrations/status patch");
    assert_eq!(
        right("POST", "/apis/batch/v1/namespaces/n/jobs", "", r#"{"blockOwnerDeletion":true}"#),
        "batch/jobs create, orchestrator.dev/orchestrations/finalizers update"
    );
}
