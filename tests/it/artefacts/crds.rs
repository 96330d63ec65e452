//! `crds/`: the files, and what a CustomResourceDefinition must be like whatever kind it defines.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::Validator;
use orchestrator::api;
use orchestrator::cli::crds::render;
use serde_json::{Value, json};

use super::{names, path, read, typed};

/// Largest file: far from the 256 KiB at which `kubectl apply` fails, and small enough to be read.
const MAX_FILE: usize = 60 * 1024;

/// Places that hold whatever is put there: their bounds are checked elsewhere.
const OPEN: &[&str] = &[
    "ActivityDefinition.spec.inputSchema",
    "ActivityDefinition.spec.job.template",
    "ActivityDefinition.spec.outputSchema",
    "Orchestration.spec.input",
    "Orchestration.status.activities.*.outputs",
    "Orchestration.status.output",
    "OrchestrationDefinition.spec.activities[].dependsOn",
    "OrchestrationDefinition.spec.activities[].inputs[]",
    "OrchestrationDefinition.spec.finally[].dependsOn",
    "OrchestrationDefinition.spec.finally[].inputs[]",
    "OrchestrationDefinition.spec.schema",
    "OrchestrationSchedule.spec.orchestrationTemplate.spec.input",
];

/// The schema of a kind, as a server gets it.
fn schema(kind: &str) -> Value {
    let crd = api::crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    serde_json::to_value(crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
}

fn kinds() -> Vec<String> {
    api::crds().into_iter().map(|crd| crd.spec.names.kind).collect()
}

/// Visits every schema below `schema` with its path.
fn walk(schema: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(at, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, &format!("{at}.{name}"), visit);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], &format!("{at}[]"), visit);
    }
    if schema["additionalProperties"].is_object() {
        walk(&schema["additionalProperties"], &format!("{at}.*"), visit);
    }
}

/// Whether a schema lets anything through that its server has not bounded.
fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

/// What is wrong with one schema: nothing, or a word about it.
fn fault(schema: &Value) -> Option<&'static str> {
    let has = |key: &str| !schema[key].is_null();
    if ["$ref", "allOf", "anyOf", "oneOf", "not", "patternProperties", "propertyNames"]
        .iter()
        .any(|key| has(key))
    {
        return Some("it is not structural, or cannot be told from its text");
    }
    if has("format") && !matches!(schema["format"].as_str(), Some("date-time" | "int32" | "int64")) {
        return Some("no server knows its format");
    }
    match schema["type"].as_str() {
        None if is_open(schema) => None,
        None => Some("it has no type"),
        Some("boolean") => None,
        Some("string") if has("maxLength") || has("enum") || schema["format"] == "date-time" => None,
        Some("string") => Some("a string without maxLength"),
        Some("integer") if has("minimum") && (has("maximum") || schema["format"] == "int64") => None,
        Some("integer") => Some("an integer without bounds"),
        Some("array") if !has("maxItems") => Some("a list without maxItems"),
        Some("array") if !has("x-kubernetes-list-type") => Some("a list without a type"),
        Some("array") => None,
        Some("object") if is_open(schema) && schema["x-kubernetes-map-type"] != "atomic" => {
            Some("an open object that is not atomic")
        }
        Some("object") if has("additionalProperties") && !has("maxProperties") => {
            Some("a map without maxProperties")
        }
        Some("object") if is_open(schema) || has("properties") || has("additionalProperties") => None,
        Some("object") => Some("an object without properties: all that is in it would be pruned"),
        Some(_) => Some("a type that has no place in an API"),
    }
}

#[test]
fn the_files_are_what_the_code_generates() {
    let generated = render().unwrap();
    let directory = path("crds");
    // `option_env!` would be of the time of the compile.
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    if std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1") {
        orchestrator::cli::crds::run(&directory).unwrap();
    }
    let mut expected: Vec<&str> = generated.iter().map(|(name, _)| name.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(names(&directory), expected);
    for (name, content) in &generated {
        let stale = read(&directory.join(name)) != *content;
        assert!(!stale, "crds/{name} is stale: UPDATE_ARTEFACTS=1 cargo test artefacts writes it again");
        assert!(content.len() < MAX_FILE, "crds/{name} has {} bytes", content.len());
        assert!(content.starts_with("# Generated "), "crds/{name}");
    }
}

#[test]
fn the_yaml_says_exactly_what_the_types_say() {
    let generated = render().unwrap();
    for (crd, (name, content)) in api::crds().iter().zip(&generated) {
        let document: Value = serde_saphyr::from_str(content).unwrap();
        assert_eq!(typed::<CustomResourceDefinition>(&document), *crd, "{name}");
        // YAML 1.1, which kubectl reads, makes booleans of these words.
        for line in content.lines() {
            let scalar = line.trim_start_matches([' ', '-']).rsplit(": ").next().unwrap_or_default();
            let boolean = matches!(
                scalar,
                "y" | "Y" | "n" | "N" | "yes" | "no" | "on" | "off" | "Yes" | "No" | "On" | "Off"
            );
            assert!(!boolean, "{name}: {line}");
        }
        // A server shows integers: what is written otherwise never stops to differ.
        walk_values(&document, &mut |value| assert!(!value.is_f64(), "{name}: {value}"));
    }
    assert_eq!(render().unwrap(), generated);
}

fn walk_values(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|value| walk_values(value, visit)),
        Value::Array(items) => items.iter().for_each(|value| walk_values(value, visit)),
        _ => {}
    }
}

#[test]
fn every_property_is_explained() {
    for kind in kinds() {
        let schema = schema(&kind);
        let mut silent = Vec::new();
        walk(&schema, &kind, &mut |at, schema| {
            let is_property = !at.ends_with("[]") && !at.ends_with(".*");
            if is_property && schema["description"].as_str().is_none_or(|text| text.trim().len() < 10) {
                silent.push(at.to_owned());
            }
            if schema["description"].as_str().is_some_and(|text| text.contains("Auto-generated")) {
                silent.push(at.to_owned());
            }
        });
        assert!(silent.is_empty(), "without a description: {silent:?}");
    }
}

#[test]
fn everything_is_bounded() {
    let mut open = Vec::new();
    for kind in kinds() {
        let mut faults = Vec::new();
        walk(&schema(&kind), &kind, &mut |at, schema| {
            faults.extend(fault(schema).map(|fault| format!("{at}: {fault}")));
            if is_open(schema) {
                open.push(at.to_owned());
            }
        });
        assert!(faults.is_empty(), "{faults:#?}");
    }
    open.sort();
    assert_eq!(open, OPEN, "the places that hold anything");
}

#[test]
fn a_fault_is_seen() {
    let bad = [
        json!({}),
        json!({"type": "string"}),
        json!({"type": "string", "format": "byte"}),
        json!({"type": "string", "maxLength": 1, "format": "duration"}),
        json!({"type": "integer"}),
        json!({"type": "integer", "minimum": 0}),
        json!({"type": "integer", "minimum": 0, "maximum": 9, "format": "uint32"}),
        json!({"type": "integer", "format": "int64"}),
        json!({"type": "number", "minimum": 0, "maximum": 1}),
        json!({"type": "array", "x-kubernetes-list-type": "atomic"}),
        json!({"type": "array", "maxItems": 1}),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": {"type": "boolean"}}),
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        json!({"type": "boolean", "anyOf": []}),
        json!({"type": ["string", "null"], "maxLength": 1}),
    ];
    for schema in bad {
        assert!(fault(&schema).is_some(), "{schema}");
    }
    let mut seen = Vec::new();
    let nested =
        json!({"properties": {"a": {"items": {"properties": {"b": {}}}, "additionalProperties": {}}}});
    walk(&nested, "K", &mut |at, _| seen.push(at.to_owned()));
    assert_eq!(seen, ["K", "K.a", "K.a[]", "K.a[].b", "K.a.*"]);
}

#[test]
fn a_status_of_a_thousand_activities_stays_cheap() {
    let schema = schema("Orchestration");
    let activities = &schema["properties"]["status"]["properties"]["activities"];
    assert_eq!(activities["maxProperties"], 1000);
    assert_eq!(activities["x-kubernetes-map-type"], "atomic");
    walk(&activities["additionalProperties"], "entry", &mut |at, schema| {
        for costly in ["format", "enum", "pattern", "x-kubernetes-validations"] {
            assert!(schema[costly].is_null(), "{at} has {costly}: a server would check it a thousand times");
        }
    });
}

/// What people and tools see of a kind beside its fields.
fn surface(crd: &CustomResourceDefinition) -> Vec<String> {
    let spec = &crd.spec;
    let [version] = &spec.versions[..] else { panic!("{} versions", spec.versions.len()) };
    assert!(version.served && version.storage);
    assert!(version.subresources.as_ref().is_some_and(|s| s.status.is_some() && s.scale.is_none()));
    let mut surface = vec![
        format!("{}/{} {} {}", spec.group, version.name, spec.names.plural, spec.scope),
        format!(
            "{:?} {:?}",
            spec.names.short_names.as_deref().unwrap(),
            spec.names.categories.as_deref().unwrap()
        ),
    ];
    for column in version.additional_printer_columns.iter().flatten() {
        let wide = if column.priority.unwrap_or_default() > 0 { " wide" } else { "" };
        surface.push(format!("{} {}{wide} {}", column.name, column.type_, column.json_path));
    }
    surface.extend(
        version.selectable_fields.iter().flatten().map(|field| format!("select {}", field.json_path)),
    );
    surface
}

#[test]
fn the_kinds_look_as_promised() {
    let ready = [
        r#"Ready string .status.conditions[?(@.type=="Ready")].status"#,
        r#"Reason string .status.conditions[?(@.type=="Ready")].reason"#,
    ];
    let promised: [Vec<&str>; 4] = [
        [
            &["orchestrator.dev/v1alpha1 activitydefinitions Namespaced", r#"["actdef"] ["orchestrator"]"#],
            &ready[..],
            &["Provider string .spec.provider", "Age date .metadata.creationTimestamp"],
        ]
        .concat(),
        [
            &[
                "orchestrator.dev/v1alpha1 orchestrationdefinitions Namespaced",
                r#"["orchdef"] ["orchestrator"]"#,
            ],
            &ready[..],
            &["Active boolean .spec.active", "Age date .metadata.creationTimestamp"],
        ]
        .concat(),
        vec![
            "orchestrator.dev/v1alpha1 orchestrations Namespaced",
            r#"["orch"] ["orchestrator"]"#,
            "Type string .spec.type",
            "State string .status.state",
            "Progress string .status.progress",
            "Age date .metadata.creationTimestamp",
            "Duration string wide .status.duration",
            r#"Message string wide .status.conditions[?(@.type=="Succeeded")].message"#,
            "select .spec.type",
            "select .status.state",
        ],
        vec![
            "orchestrator.dev/v1alpha1 orchestrationschedules Namespaced",
            r#"["orchsched"] ["orchestrator"]"#,
            "Schedule string .spec.schedule",
            "Zone string .spec.timeZone",
            "Suspend boolean .spec.suspend",
            "Active integer .status.activeCount",
            "Last date .status.lastScheduleTime",
            "Next string .status.nextScheduleTime",
            r#"Ready string .status.conditions[?(@.type=="Ready")].status"#,
            "Result string wide .status.lastResult.state",
            "Missed integer wide .status.missed",
            "Age date wide .metadata.creationTimestamp",
        ],
    ];
    let crds = api::crds();
    assert_eq!(crds.len(), promised.len());
    for (crd, promised) in crds.iter().zip(&promised) {
        assert_eq!(surface(crd), *promised);
    }
}

/// Judges an update by the CEL rules of the kind; the message of the first rule that refuses it.
fn update(old: &Value, new: &Value) -> Result<(), String> {
    Validator::new()
        .validate(&schema("Orchestration"), new, Some(old))
        .map_err(|errors| errors.as_slice()[0].message.clone())
}

/// `object` with `value` in the place of what `pointer` leads to; null takes it away.
fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = object.clone();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(member).unwrap();
    } else {
        parent.insert(member.to_owned(), value);
    }
    changed
}

fn running() -> Value {
    json!({
        "metadata": {"name": "tenant-a"},
        "spec": {"type": "tenant.example.com", "input": {"domain": "a.example.com", "deep": {"l": [1]}}, "correlationId": "p"},
        "status": {
            "observedGeneration": 1,
            "state": "Running",
            "activities": {"config": {"tier": 0, "state": "Running", "attempt": 1}},
            "conditions": [],
        },
    })
}

fn finished() -> Value {
    let mut object = running();
    object["status"]["state"] = json!("Succeeded");
    object["status"]["activities"]["config"] =
        json!({"state": "Succeeded", "attempt": 1, "outputs": {"r": {"x": 1}}});
    object["status"]["output"] = json!({"url": "https://a.example.com/"});
    object["status"]["completionTime"] = json!("2026-11-21T10:00:00Z");
    object
}

#[test]
fn the_spec_of_an_orchestration_is_immutable_but_for_its_deadline() {
    let old = running();
    for (pointer, value) in [
        ("/spec/type", json!("other.example.com")),
        ("/spec/input", json!({"domain": "b.example.com"})),
        ("/spec/input/deep", json!({"l": [2]})),
        ("/spec/input/added", json!(1)),
        ("/spec/input/domain", Value::Null),
        ("/spec/input", Value::Null),
        ("/spec/correlationId", json!("q")),
        ("/spec/correlationId", Value::Null),
    ] {
        let refused = update(&old, &with(&old, pointer, value.clone())).unwrap_err();
        assert!(refused.contains("immutable"), "{pointer} = {value}: {refused}");
    }
    let bare = with(&with(&old, "/spec/input", Value::Null), "/spec/correlationId", Value::Null);
    assert!(update(&bare, &old).is_err(), "an input came later");
    assert_eq!(update(&old, &old), Ok(()));
    assert_eq!(update(&bare, &bare), Ok(()));
    assert_eq!(update(&old, &with(&old, "/spec/activeDeadlineSeconds", json!(60))), Ok(()));
    assert_eq!(update(&old, &with(&old, "/metadata/labels", json!({"a": "b"}))), Ok(()));
}

#[test]
fn a_status_goes_on_until_it_is_finished() {
    let mut new = running();
    new["status"] = json!({"observedGeneration": 1});
    assert_eq!(update(&with(&running(), "/status", Value::Null), &new), Ok(()), "the first write");
    assert_eq!(update(&new, &running()), Ok(()));
    assert_eq!(update(&running(), &finished()), Ok(()));
    let refused = update(&running(), &with(&running(), "/status/activities", Value::Null)).unwrap_err();
    assert_eq!(refused, "activities must not be removed");
    for old in [running(), finished()] {
        let refused = update(&old, &with(&old, "/status", Value::Null)).unwrap_err();
        assert_eq!(refused, "a status must not be removed");
    }
}

#[test]
fn a_finished_status_is_immutable() {
    let old = finished();
    for (pointer, value) in [
        ("/status/completionTime", json!("2026-11-21T11:00:00Z")),
        ("/status/completionTime", Value::Null),
        ("/status/state", json!("Running")),
        ("/status/state", Value::Null),
        ("/status/activities/config/state", json!("Failed")),
        ("/status/activities/config/outputs/r", json!({"x": 2})),
        ("/status/activities/added", json!({"state": "Succeeded"})),
        ("/status/activities", json!({})),
        ("/status/output", json!({"url": "https://b.example.com/"})),
        ("/status/output", Value::Null),
    ] {
        let refused = update(&old, &with(&old, pointer, value.clone())).unwrap_err();
        assert!(refused.contains("finished status is immutable"), "{pointer} = {value}: {refused}");
    }
    let refused = update(&old, &with(&old, "/status/activities", Value::Null)).unwrap_err();
    assert_eq!(refused, "activities must not be removed");
    assert_eq!(update(&old, &old), Ok(()));
    // A later edit of the spec must not leave it unobserved for ever.
    let mut observed = old.clone();
    observed["status"]["observedGeneration"] = json!(2);
    observed["status"]["conditions"] = json!([{"type": "Succeeded", "status": "True"}]);
    assert_eq!(update(&old, &observed), Ok(()));
}

#[test]
fn every_cel_rule_compiles_and_says_what_it_forbids() {
    let mut rules = 0;
    for kind in kinds() {
        let schema = schema(&kind);
        let compiled = kube::core::cel::compile_schema(&schema);
        assert!(!compiled.has_errors(), "{kind}: {:?}", compiled.compilation_errors());
        walk(&schema, &kind, &mut |at, schema| {
            for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                assert!(rule["message"].as_str().is_some_and(|message| !message.is_empty()), "{at}: {rule}");
                rules += 1;
            }
        });
    }
    assert!(rules > 0);
}
