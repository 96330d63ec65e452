//! Rights that are taken away in the middle, and given back.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use orchestrator::api::Orchestration;
use serde_json::{Value, json};

use super::{Shown, figure, get, is_ready};
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, chain, orchestration};
use crate::support::operator::token_of;
use crate::support::scene::until;

/// Name of the account that the operator of these tests works as, and of its role.
const ACCOUNT: &str = "fickle";

/// An account with the operator's role in one namespace, as the chart gives it there, but nothing bound to it yet.
async fn account(namespace: &TestNamespace) -> String {
    let rules: Value =
        serde_saphyr::from_str(include_str!("../../../charts/orchestrator/files/rules.yaml")).unwrap();
    let metadata = json!({"name": ACCOUNT});
    namespace.create_as::<ServiceAccount>(json!({"metadata": metadata})).await.unwrap();
    namespace.create_as::<Role>(json!({"metadata": metadata, "rules": rules})).await.unwrap();
    token_of(&namespace.name, ACCOUNT).await
}

/// Gives the role, and waits until the API server knows.
async fn give(namespace: &TestNamespace) {
    let binding = json!({
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}],
    });
    namespace.create_as::<RoleBinding>(binding).await.unwrap();
    allowed(namespace, "yes").await;
}

/// Takes the role away, and waits until the API server knows.
async fn take(namespace: &TestNamespace) {
    namespace.api::<RoleBinding>().delete(ACCOUNT, &DeleteParams::default()).await.unwrap();
    allowed(namespace, "no").await;
}

async fn allowed(namespace: &TestNamespace, answer: &str) {
    can(namespace, &["patch", "orchestrations", "--subresource=status"], answer).await;
}

async fn can(namespace: &TestNamespace, what: &[&str], answer: &str) {
    let who = format!("--as=system:serviceaccount:{}:{ACCOUNT}", namespace.name);
    until("the API server knows the rights", || async {
        let output = cluster()
            .kubectl_command()
            .args([&["auth", "can-i", &who], what].concat())
            .args(["--namespace", &namespace.name])
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).trim() == answer).then_some(())
    })
    .await;
}

/// What `/readyz` says, as soon as it is not ready and says this.
async fn says(shown: &Shown, words: &str) -> String {
    until(words, || async {
        let (head, body) = get(shown.health, "/readyz", "*/*").await;
        (head.starts_with("HTTP/1.1 503") && body.contains(words)).then_some(body)
    })
    .await
}

/// An operator with its rights, a kubelet, and a definition that can run.
async fn at_work() -> (TestNamespace, Shown, Kubelet) {
    let namespace = TestNamespace::new().await;
    let token = account(&namespace).await;
    give(&namespace).await;
    let operator = Shown::start_as(&namespace, &token).await;
    is_ready(operator.health).await;
    let kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    namespace.create(activity_definition("step")).await;
    namespace.create(chain("chain", 3)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    (namespace, operator, kubelet)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_are_taken_away_are_told_and_work_goes_on_when_they_are_back() {
    let (namespace, operator, _kubelet) = at_work().await;
    let mut run = orchestration("run", "chain", json!({}));
    run["spec"]["suspend"] = json!(true);
    namespace.create(run).await;
    namespace
        .until("run", |run: &Orchestration| {
            run.status.as_ref().is_some_and(|status| status.state.as_deref() == Some("Suspended"))
        })
        .await;

    take(&namespace).await;
    let go = Patch::Merge(json!({"spec": {"suspend": false}}));
    namespace.api::<Orchestration>().patch("run", &PatchParams::default(), &go).await.unwrap();
    let told = says(&operator, &format!("rights in {}: ", namespace.name)).await;
    assert!(
        told.contains(&format!("\"system:serviceaccount:{}:{ACCOUNT}\" cannot ", namespace.name)),
        "{told}"
    );
    let (_, scrape) = get(operator.metrics, "/metrics", "*/*").await;
    let refused: f64 = ["POST", "PATCH"]
        .iter()
        .map(|verb| {
            figure(&scrape, &format!("orchestrator_api_requests_total{{verb=\"{verb}\",code=\"403\"}}"))
        })
        .sum();
    assert!(refused >= 1.0, "{scrape}");
    assert!(
        get(operator.health, "/livez", "*/*").await.0.starts_with("HTTP/1.1 200"),
        "a restart heals nothing"
    );
    assert!(namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items.is_empty());

    give(&namespace).await;
    let finished = namespace.finished("run").await;
    assert_eq!(finished.status.unwrap().state.as_deref(), Some("Succeeded"));
    is_ready(operator.health).await;
    let jobs = namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(jobs.len(), 3, "each once: {:?}", jobs.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    assert_eq!(operator.process.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_right_that_is_missing_is_told_as_long_as_it_holds_something_up() {
    let (namespace, operator, _kubelet) = at_work().await;

    let roles = namespace.api::<Role>();
    let whole = roles.get(ACCOUNT).await.unwrap();
    let mut less = whole.clone();
    let makes_jobs = |rule: &&mut PolicyRule| {
        rule.resources.as_ref().is_some_and(|all| all.iter().any(|resource| resource == "jobs"))
    };
    let jobs = less.rules.as_mut().unwrap().iter_mut().find(makes_jobs).unwrap();
    jobs.verbs.retain(|verb| verb != "create");
    roles.replace(ACCOUNT, &PostParams::default(), &less).await.unwrap();
    can(&namespace, &["create", "jobs"], "no").await;
    namespace.create(orchestration("run", "chain", json!({}))).await;
    namespace.create(activity_definition("late")).await;
    says(&operator, "cannot create resource \"jobs\"").await;
    namespace
        .until("run", |run: &Orchestration| {
            serde_json::to_string(&run.status).unwrap().contains("cannot create resource")
        })
        .await;

    let again = Patch::Merge(json!({"rules": whole.rules}));
    roles.patch(ACCOUNT, &PatchParams::default(), &again).await.unwrap();
    namespace.finished("run").await;
    namespace.activity_ready("late", "True").await;
    is_ready(operator.health).await;
    assert_eq!(operator.process.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_without_rights_is_unready_until_it_has_them() {
    let namespace = TestNamespace::new().await;
    let token = account(&namespace).await;
    let operator = Shown::start_as(&namespace, &token).await;
    let told = says(&operator, "cannot list resource").await;
    assert!(told.contains(&format!("cache of Jobs in {}: not listed yet", namespace.name)), "{told}");
    give(&namespace).await;
    is_ready(operator.health).await;
    namespace.create(activity_definition("step")).await;
    namespace.activity_ready("step", "True").await;
    assert_eq!(operator.process.terminate().await.code(), Some(0));
}
