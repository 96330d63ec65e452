//! The sample that the README begins with, as people run and see it.

use serde_json::{Value, json};

use super::{has_node, kubectl, restricted, told};
use crate::support::operator::Operator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_sample_runs_in_a_restricted_namespace_and_kubectl_shows_the_truth() {
    if !has_node("the tenant sample") {
        return;
    }
    let namespace = restricted().await;
    let operator = Operator::start(&namespace).await;
    kubectl(&namespace, &["apply", "--filename", "config/samples/tenant/"]);
    // Blocks a thread, as it would block a terminal.
    tokio::task::block_in_place(|| {
        kubectl(&namespace, &["wait", "--for=condition=Finished", "--timeout=100s", "orch/tenant-a"])
    });

    let output = kubectl(&namespace, &["get", "orch", "tenant-a", "--output", "jsonpath={.status.output}"]);
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        output,
        json!({
            "did": "did:web:a.example.com", "didLocation": "https://a.example.com/.well-known/did.json",
            "tenant": "tenant-a-example-com-7653e495", "url": "https://a.example.com/",
        })
    );

    let shown = kubectl(&namespace, &["get", "orch,orchdef,actdef"]);
    println!("{shown}");
    let line = |name: &str| {
        let found = shown.lines().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("{name} in:\n{shown}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(line("/tenant-a")[1..4], ["tenant.example.com", "Succeeded", "4/4"]);
    assert_eq!(
        line("orchestrationdefinition.orchestrator.dev/tenant.example.com")[1..4],
        ["True", "Ready", "true"]
    );
    for type_ in ["tenant-config", "web-did", "ingress-route", "tenant-activation"] {
        assert_eq!(
            line(&format!("activitydefinition.orchestrator.dev/{type_}.example.com"))[1..3],
            ["True", "Ready"]
        );
    }
    let tiers = kubectl(
        &namespace,
        &["get", "orchdef", "tenant.example.com", "--output", "jsonpath={.status.tiers}"],
    );
    assert_eq!(tiers, r#"[["config"],["did","ingress"],["activation"]]"#);

    let note = told(&namespace, "tenant-a", "Completed").await;
    assert_eq!(note, "all 4 activities have succeeded");
    let described = kubectl(&namespace, &["describe", "orch/tenant-a"]);
    let (object, events) = described.split_once("\nEvents:").unwrap_or_else(|| panic!("{described}"));
    assert!(object.contains("Succeeded") && object.contains("profile-4711"), "{object}");
    assert!(events.contains("Started") && events.contains("runs 4 activities in 3 tiers"), "{events}");
    assert!(events.contains("Completed") && events.contains(&note), "{events}");

    let jobs = kubectl(&namespace, &["get", "jobs", "--output", "name"]);
    assert_eq!(jobs.lines().count(), 4, "{jobs}");
    assert_eq!(operator.requests.count_that(|one| one.makes_job()), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_inventory_sample_compares_in_containers_what_config_maps_hold() {
    if !has_node("the inventory sample") {
        return;
    }
    let namespace = restricted().await;
    let _operator = Operator::start(&namespace).await;
    kubectl(&namespace, &["apply", "--filename", "config/samples/inventory-sync/"]);
    let run = "orch/inventory-sync-once";
    tokio::task::block_in_place(|| {
        kubectl(&namespace, &["wait", "--for=condition=Finished", "--timeout=100s", run]);
        kubectl(&namespace, &["wait", "--for=condition=Ready", "--timeout=100s", "orchsched/inventory-sync"]);
    });
    let output = kubectl(&namespace, &["get", run, "--output", "jsonpath={.status.output}"]);
    let output: Value = serde_json::from_str(&output).unwrap();
    let device =
        |name: &str, address: &str, role: &str| json!({"name": name, "address": address, "role": role});
    assert_eq!(
        output,
        json!({
            "inventory": [
                device("leaf-1", "10.0.0.11", "leaf"),
                device("leaf-2", "10.0.0.12", "leaf"),
                device("spine-1", "10.0.0.1", "spine"),
            ],
            "summary": "1 to create, 1 to update, 1 to delete, 3 applied (by hand)",
            "changes": ["update leaf-2 10.0.0.12 leaf", "create spine-1 10.0.0.1 spine", "delete old-1"],
        })
    );
    let shown = kubectl(&namespace, &["get", "orchsched"]);
    assert!(shown.contains("0 9-16 * * 0-5   Europe/Paris"), "{shown}");
}
