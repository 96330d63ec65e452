//! The other samples, run with no cluster: what they are there to show.

use serde_json::{Value, json};

use super::{errors, run};

fn finished(directory: &str) -> Value {
    let output = run(&[directory, "-o", "json", "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(!errors(&output).contains("ERROR"), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_example_of_the_document_runs_as_it_stands() {
    let run = finished("config/samples/document");
    let activities = &run["status"]["activities"];
    let resource = activities["activity1"]["outputs"]["resource"].as_str().unwrap();
    assert!(resource.starts_with("tenant-"), "{resource}");
    assert_eq!(activities["activity2"]["outputs"]["used"], resource);
    assert_eq!(activities["activity2"]["tier"], 1);
}

#[test]
fn the_data_flow_sample_shows_defaults_nested_values_a_condition_and_an_output() {
    let list = finished("config/samples/data-flow");
    let outputs: Vec<&Value> =
        list["items"].as_array().unwrap().iter().map(|run| &run["status"]["output"]).collect();
    assert_eq!(
        outputs,
        [
            &json!({
                "network": {"prefix": "10.0.17.0/24", "gateway": "10.0.17.1"},
                "router": ["address 10.0.17.2/24", "gateway 10.0.17.1", "mtu 1500"],
                "dashboard": "https://monitoring.example.com/sites/berlin",
            }),
            &json!({
                "network": {"prefix": "10.0.200.0/24", "gateway": "10.0.200.1"},
                "router": ["address 10.0.200.2/24", "gateway 10.0.200.1", "mtu 1500"],
            }),
        ]
    );
    let berlin = &list["items"][0]["status"]["activities"];
    assert_eq!(berlin["plan"]["outputs"]["hosts"][1], json!({"name": "berlin-2", "address": "10.0.17.3"}));
    assert_eq!(berlin["router"]["outputs"]["interface"]["description"], "uplink Example Telecom");
    let laboratory = &list["items"][1]["status"]["activities"];
    assert_eq!(laboratory["monitor"]["state"], "Skipped");
    assert_eq!(laboratory["router"]["outputs"]["interface"]["description"], "uplink without a carrier");
}

#[test]
fn the_maintenance_sample_tries_again_and_restores_whatever_the_result() {
    let run = finished("config/samples/maintenance");
    let activities = &run["status"]["activities"];
    assert_eq!(run["status"]["output"], json!({"installed": "2.4"}));
    assert_eq!((&activities["install"]["attempt"], &activities["drain"]["attempt"]), (&json!(2), &json!(1)));
    assert_eq!(activities["restore"]["outputs"]["traffic"], "back");
    assert_eq!(activities["notify"]["outputs"]["text"], "edge-1: Succeeded, firmware 2.4");
}

#[test]
fn the_inventory_sample_compares_two_inventories_and_makes_one_like_the_other() {
    let run = finished("config/samples/inventory-sync");
    let activities = &run["status"]["activities"];
    let counts = |id: &str, name: &str| activities[id]["outputs"][name].as_i64();
    assert_eq!((counts("source", "count"), counts("target", "count")), (Some(3), Some(3)));
    assert_eq!(activities["source"]["tier"], activities["target"]["tier"]);
    for change in ["create", "update", "delete"] {
        assert_eq!(counts("compare", change), Some(1), "{change}");
    }
    assert_eq!(counts("apply", "applied"), Some(3));
    let device =
        |name: &str, address: &str, role: &str| json!({"name": name, "address": address, "role": role});
    assert_eq!(
        run["status"]["output"],
        json!({
            "inventory": [
                device("leaf-1", "10.0.0.11", "leaf"),
                device("leaf-2", "10.0.0.12", "leaf"),
                device("spine-1", "10.0.0.1", "spine"),
            ],
            "summary": "1 to create, 1 to update, 1 to delete, 3 applied (by hand)",
            "changes": [
                "update leaf-2 10.0.0.12 leaf", "create spine-1 10.0.0.1 spine", "delete old-1",
            ],
        })
    );
}

/// The sample with other inventories.
fn with_inventories(source: &str, target: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir("config/samples/inventory-sync").unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let config_map = |name: &str, inventory: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("inventory-{name}")},
            "data": {"inventory.json": inventory},
        })
    };
    let text = format!("{}\n---\n{}", config_map("source", source), config_map("target", target));
    std::fs::write(directory.path().join("00-inventories.yaml"), text).unwrap();
    directory
}

#[test]
fn the_inventory_sample_applies_nothing_where_nothing_differs_and_stops_at_what_is_no_inventory() {
    let same = r#"[{"name": "a", "address": "10.0.0.1", "role": "leaf"}]"#;
    let directory = with_inventories(same, same);
    let run = finished(directory.path().to_str().unwrap());
    assert_eq!(run["status"]["activities"]["apply"]["state"], "Skipped");
    assert_eq!(
        run["status"]["output"],
        json!({"summary": "0 to create, 0 to update, 0 to delete, 0 applied (by hand)", "changes": []})
    );

    let directory = with_inventories(same, r#"[{"name": "a"}]"#);
    let output = super::run(&[directory.path().to_str().unwrap(), "-o", "json", "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    let target = &run["status"]["activities"]["target"];
    // A fatal exit code: it is not tried again.
    assert_eq!(
        (&target["state"], &target["attempt"], &target["reason"]),
        (&json!("Failed"), &json!(1), &json!("ExitCode"))
    );
    assert_eq!(run["status"]["activities"]["compare"]["state"], "NotStarted");
}
