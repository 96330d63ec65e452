//! `orchestrator wait`: how an Orchestration ended, as an exit code.

use std::process::Output;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::Kubeconfig;
use serde_json::json;
use tokio::process::Command;

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, chain, orchestration};
use crate::support::operator::{Operator, token_of};

async fn wait(namespace: &TestNamespace, arguments: &[&str], kubeconfig: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(["wait", "--namespace", &namespace.name])
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exit_code_says_how_an_orchestration_ended() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| {
        let labels = work.pod.metadata.labels.as_ref().unwrap();
        if labels["orchestrator.dev/orchestration"] == "bad" {
            Act::Fail(2, "Error", "it cannot be".to_owned())
        } else {
            Act::Succeed(String::new())
        }
    });
    let mut step = activity_definition("step");
    step["spec"]["job"]["exitCodes"] = json!({"fatal": [2]});
    namespace.create(step).await;
    namespace.create(chain("chain", 2)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    let admin = cluster().kubeconfig();
    // It waits for what does not exist yet, too.
    let (good, ()) = tokio::join!(
        wait(&namespace, &["good", "--timeout=100s"], admin),
        namespace.create(orchestration("good", "chain", json!({}))),
    );
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(String::from_utf8_lossy(&good.stdout).starts_with("good: Succeeded: "), "{good:?}");
    namespace.create(orchestration("bad", "chain", json!({}))).await;
    let bad = wait(&namespace, &["bad", "--timeout=100s"], admin).await;
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let said = String::from_utf8_lossy(&bad.stdout).into_owned();
    assert!(said.starts_with("bad: Failed: ") && said.contains("it cannot be"), "{said}");
    let never = wait(&namespace, &["never", "--timeout=1s"], admin).await;
    assert_eq!(never.status.code(), Some(3), "{never:?}");
    assert!(String::from_utf8_lossy(&never.stderr).contains("never: not begun after 1s"), "{never:?}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_read_it_is_told_so() {
    let namespace = TestNamespace::new().await;
    let account = json!({"metadata": {"name": "nobody"}});
    namespace.create_as::<ServiceAccount>(account).await.unwrap();
    let token = token_of(&namespace.name, "nobody").await;
    let mut kubeconfig =
        serde_json::to_value(Kubeconfig::read_from(cluster().kubeconfig()).unwrap()).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token});
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let output = wait(&namespace, &["run", "--timeout=100s"], &file).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot get resource \"orchestrations\""), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}
