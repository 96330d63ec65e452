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
