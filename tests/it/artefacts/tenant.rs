//! The tenant sample, run: its scripts as local processes, its inputs by its own definition.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Map, Value, json};

use super::samples::{self, Samples};

/// Most bytes that Kubernetes keeps of an output.
const OUTPUT_LIMIT: usize = 4096;

/// How an activity ended: its exit code, and what it left in its output file.
struct Ended {
    code: i32,
    output: String,
}

/// The shells that the scripts must work in: the machine's, and that of the image if it is here.
fn shells() -> Vec<Vec<&'static str>> {
    let mut shells = vec![vec!["sh"]];
    if Command::new("busybox").arg("true").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    {
        shells.push(vec!["busybox", "sh"]);
    }
    shells
}

fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tenant-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs an activity as its pod would run it.
fn run(samples: &Samples, shell: &[&str], activity: &str, inputs: &Value) -> Ended {
    let definition =
        samples.activities.iter().find(|a| a.metadata.name.as_deref() == Some(activity)).unwrap();
    let job = definition.spec.job.as_ref().unwrap();
    assert_eq!(job.exit_codes.as_ref().unwrap().fatal, [2], "{activity}");
    let script = match &job.template["spec"]["containers"][0]["command"] {
        Value::Array(command) if command[..2] == ["sh", "-c"] => command[2].as_str().unwrap(),
        command => panic!("{activity}: {command}"),
    };
    let directory = directory();
    let (input, output) = (directory.join("input.json"), directory.join("output.json"));
    fs::write(&input, inputs.to_string()).unwrap();
    fs::write(&output, "").unwrap();
    let inode = fs::metadata(&output).unwrap().ino();
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", script]).current_dir(&directory).stdin(Stdio::null());
    command.env("ORCHESTRATOR_INPUT_FILE", &input).env("ORCHESTRATOR_OUTPUT_FILE", &output);
    for (name, value) in inputs.as_object().unwrap() {
        match value {
            Value::Object(_) | Value::Array(_) => {}
            Value::String(text) => drop(command.env(variable(name), text)),
            scalar => drop(command.env(variable(name), scalar.to_string())),
        }
    }
    let ended = command.output().unwrap();
    assert_eq!(fs::metadata(&output).unwrap().ino(), inode, "{activity} replaced its output file");
    let output = fs::read_to_string(&output).unwrap();
    assert!(output.len() < OUTPUT_LIMIT, "{activity}: {} bytes of output", output.len());
    fs::remove_dir_all(&directory).unwrap();
    Ended { code: ended.status.code().unwrap(), output }
}

/// `resourceId` → `INPUT_RESOURCE_ID`, for the names that the sample has.
fn variable(name: &str) -> String {
    let mut variable = "INPUT_".to_owned();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(c.to_ascii_uppercase());
    }
    variable
}

/// Runs the whole sample for one input. What the Orchestration's output would be, and the outputs of all activities.
fn deploy(samples: &Samples, shell: &[&str], input: &Value) -> (Value, BTreeMap<String, Value>) {
    let definition = &samples.definitions[0].spec;
    let mut outputs = BTreeMap::new();
    // They are written in an order in which they can run.
    for activity in &definition.activities {
        let inputs: Map<String, Value> =
            activity.inputs.iter().filter_map(|mapping| mapped(mapping, input, &outputs)).collect();
        let ended = run(samples, shell, &activity.type_, &Value::Object(inputs));
        assert_eq!(ended.code, 0, "{}: {}", activity.id, ended.output);
        let output = serde_json::from_str(&ended.output).unwrap_or_else(|e| panic!("{e}: {}", ended.output));
        outputs.insert(activity.id.clone(), output);
    }
    let output: Map<String, Value> = definition
        .output
        .iter()
        .filter_map(|mapping| mapped(&serde_json::to_value(mapping).unwrap(), input, &outputs))
        .collect();
    (Value::Object(output), outputs)
}

/// One input: the name and the value, for the simple paths that the sample has.
fn mapped(mapping: &Value, input: &Value, outputs: &BTreeMap<String, Value>) -> Option<(String, Value)> {
    let source = mapping.as_str().or_else(|| mapping["source"].as_str()).unwrap();
    let mut segments = source.split('.').peekable();
    let from = outputs.get(*segments.peek().unwrap());
    let mut value = from.unwrap_or(input);
    if from.is_some() {
        segments.next();
    }
    for segment in segments {
        value = value.get(segment)?;
    }
    let target = mapping.get("target").and_then(Value::as_str).or(source.rsplit('.').next()).unwrap();
    Some((target.to_owned(), value.clone()))
}

#[test]
fn the_tenant_is_deployed_with_a_did_document_and_a_route() {
    let samples = samples::load("tenant");
    let orchestration = &samples.orchestrations[0];
    assert_eq!(orchestration.spec.correlation_id.as_deref(), Some("profile-4711"));
    let input = Value::Object(orchestration.spec.input.clone().unwrap());
    assert_eq!(input, json!({"domain": "a.example.com", "cell": "c1"}));
    for shell in shells() {
        let (output, outputs) = deploy(&samples, &shell, &input);
        let resource = &outputs["config"]["resource"];
        assert_eq!(
            output,
            json!({
                "tenant": resource,
                "did": "did:web:a.example.com",
                "didLocation": "https://a.example.com/.well-known/did.json",
                "url": "https://a.example.com/",
            })
        );
        assert_eq!(
            outputs["did"]["document"],
            json!({
                "@context": ["https://www.w3.org/ns/did/v1"],
                "id": "did:web:a.example.com",
                "service": [{
                    "id": "did:web:a.example.com#domain",
                    "type": "LinkedDomains",
                    "serviceEndpoint": "https://a.example.com",
                }],
            })
        );
        let route: k8s_openapi::api::networking::v1::Ingress = super::typed(&outputs["ingress"]["route"]);
        assert_eq!(route.metadata.annotations.unwrap()["example.com/cell"], "c1");
        assert_eq!(route.spec.unwrap().rules.unwrap()[0].host.as_deref(), Some("a.example.com"));
        // What ran twice must have made the same.
        assert_eq!(deploy(&samples, &shell, &input).1, outputs);
    }
}

#[test]
fn a_port_and_a_path_are_encoded_as_did_web_asks() {
    let samples = samples::load("tenant");
    let cell = "c\"1\\ \n\té`id`$(id)";
    let key = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    let input = json!({"domain": "a.example.com:8443/tenants/Blue", "cell": cell, "publicKeyMultibase": key});
    for shell in shells() {
        let (output, outputs) = deploy(&samples, &shell, &input);
        let did = "did:web:a.example.com%3A8443:tenants:Blue";
        assert_eq!(output["did"], did);
        assert_eq!(output["didLocation"], "https://a.example.com:8443/tenants/Blue/did.json");
        assert_eq!(output["url"], "https://a.example.com:8443/tenants/Blue");
        let document = &outputs["did"]["document"];
        assert_eq!(document["id"], did);
        assert_eq!(document["@context"][1], "https://w3id.org/security/multikey/v1");
        assert_eq!(
            document["verificationMethod"],
            json!([{"id": format!("{did}#key-1"), "type": "Multikey", "controller": did, "publicKeyMultibase": key}])
        );
        assert_eq!(document["assertionMethod"], json!([format!("{did}#key-1")]));
        assert_eq!(document["service"][0]["serviceEndpoint"], "https://a.example.com:8443");
        let route = &outputs["ingress"]["route"];
        assert_eq!(route["metadata"]["annotations"]["example.com/cell"], cell);
        assert_eq!(route["spec"]["rules"][0]["host"], "a.example.com");
        assert_eq!(route["spec"]["rules"][0]["http"]["paths"][0]["path"], "/tenants/Blue");
    }
}

#[test]
fn the_longest_inputs_fit_into_an_output() {
    let samples = samples::load("tenant");
    let label = "a".repeat(63);
    let domain = format!("{label}.{label}.{label}.{}/{}", "b".repeat(50), "c".repeat(10));
    assert_eq!(domain.len(), 253);
    let key = format!("z{}", "6".repeat(199));
    let input = json!({"domain": domain, "cell": "\u{1}".repeat(63), "publicKeyMultibase": key});
    let (_, outputs) = deploy(&samples, &["sh"], &input);
    let resource = outputs["config"]["resource"].as_str().unwrap();
    assert!(resource.len() <= 63, "{resource}");
    let other = json!({"domain": domain.replace('c', "d"), "cell": "c1"});
    assert_ne!(deploy(&samples, &["sh"], &other).1["config"]["resource"], resource);
}

#[test]
fn what_is_no_domain_is_refused_for_good_and_says_why() {
    let samples = samples::load("tenant");
    let bad = [
        json!(""),
        json!("a"),
        json!("1.2.3.4"),
        json!("A.example.com"),
        json!("a..example.com"),
        json!("-a.example.com"),
        json!("a.example.com\nb"),
        json!("b\na.example.com"),
        json!("a.example.com\n"),
        json!("a.example.com\""),
        json!("a'.example.com"),
        json!("a b.example.com"),
        json!("a.example.com:0"),
        json!("a.example.com/"),
        json!("a.example.com/../b"),
        json!("a.example.com/$(id)"),
        json!(format!("{}.com", "a".repeat(64))),
        json!(format!("{}com", "a.".repeat(130))),
        json!(42),
        json!(true),
    ];
    for shell in shells() {
        for domain in &bad {
            for activity in ["tenant-config.example.com", "web-did.example.com", "ingress-route.example.com"]
            {
                let inputs = json!({"domain": domain, "cell": "c1", "resourceId": "r"});
                let ended = run(&samples, &shell, activity, &inputs);
                assert_eq!(ended.code, 2, "{activity}: {domain}");
                assert!(ended.output.starts_with("input domain must be "), "{activity}: {}", ended.output);
            }
        }
    }
}

#[test]
fn other_bad_inputs_are_refused_for_good() {
    let samples = samples::load("tenant");
    let document = json!({"id": "did:web:b.example.com"});
    let route = json!({"spec": {"rules": [{"host": "a.example.com"}]}});
    let url = "https://a.example.com/";
    let bad = [
        ("tenant-config.example.com", json!({"domain": "a.example.com"})),
        ("tenant-config.example.com", json!({"domain": "a.example.com", "cell": "c".repeat(64)})),
        ("ingress-route.example.com", json!({"domain": "a.example.com", "cell": "c1"})),
        ("ingress-route.example.com", json!({"domain": "a.example.com", "cell": "c1", "resourceId": "r\""})),
        ("web-did.example.com", json!({"domain": "a.example.com", "publicKeyMultibase": "z\""})),
        ("tenant-activation.example.com", json!({})),
        (
            "tenant-activation.example.com",
            json!({"did": "did:web:a.example.com", "document": document, "url": url, "route": route}),
        ),
        (
            "tenant-activation.example.com",
            json!({"did": "did:web:b.example.com", "document": document, "url": url, "route": route}),
        ),
        (
            "tenant-activation.example.com",
            json!({"did": "did:web:b.example.com", "document": document, "route": route}),
        ),
    ];
    for (activity, inputs) in bad {
        let ended = run(&samples, &["sh"], activity, &inputs);
        assert_eq!(ended.code, 2, "{activity}: {inputs}");
        assert!(ended.output.starts_with("input"), "{activity}: {}", ended.output);
    }
}
