//! Tests of the Job of one attempt, and hostile inputs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/job/golden_job.json");

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap_or_default()
}

fn template(value: Value) -> JobTemplate {
    JobTemplate { template: object(value), exit_codes: None }
}

/// The Job of a fixed request with these inputs and this template.
fn job(inputs: Value, pod: Value) -> Value {
    job_with(inputs, pod, &Propagated::default())
}

fn job_with(inputs: Value, pod: Value, propagated: &Propagated) -> Value {
    build(&JobRequest {
        namespace: "prod",
        orchestration: "tenant-x7k2p",
        uid: "0b1f0f9e-8d1c-4d55-9f38-0d9d3a3c8a51",
        orchestration_type: "tenant.example.com",
        correlation_id: Some("profile-4711"),
        activity: "ingress",
        activity_type: "ingress-route.example.com",
        discriminator: Some("deploy"),
        attempt: 2,
        timeout_seconds: None,
        starting_deadline_seconds: 600,
        deadline: "2026-11-21T10:00:00Z".parse().unwrap(),
        scheduled_time: None,
        inputs: &object(inputs),
        template: &template(pod),
        propagated,
    })
}

fn plain(inputs: Value) -> Value {
    job(inputs, json!({"spec": {"containers": [{"name": "main", "image": "x"}]}}))
}

fn golden() -> Value {
    job(
        json!({
            "domain": "a.example.com", "resourceId": "r-1", "replicas": 3, "dryRun": false, "ratio": 0.5,
            "hosts": ["a", "b"], "hostile": "$(HOME) $$ \"q\" 'a' `id` \\ \n ü 🦀", "nul": "a\u{0}b",
        }),
        json!({
            "metadata": {
                "labels": {"team": "dns", "app.kubernetes.io/name": "theirs"},
                "annotations": {"example.com/note": "kept"},
            },
            "spec": {
                "serviceAccountName": "dns",
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532},
                "initContainers": [{"name": "prepare", "image": "registry.example.com/prepare:1"}],
                "containers": [
                    {
                        "name": "main", "image": "registry.example.com/dns:1.4", "args": ["create", "$(INPUT_DOMAIN)"],
                        "env": [{"name": "TARGET", "value": "https://$(INPUT_DOMAIN)"}],
                        "resources": {"limits": {"memory": "64Mi"}},
                        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
                    },
                    {"name": "proxy", "image": "registry.example.com/proxy:1"},
                ],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            },
        }),
    )
}

fn variable<'a>(job: &'a Value, container: &str, name: &str) -> Option<&'a str> {
    let env = job.pointer(&format!("/spec/template/spec/{container}/env"))?.as_array()?;
    let mut found = env.iter().filter(|entry| entry.get("name").is_some_and(|value| value == name));
    let value = found.next()?.get("value")?.as_str();
    assert!(found.next().is_none(), "{name} is there twice");
    value
}

fn at<'a>(job: &'a Value, pointer: &str) -> &'a Value {
    job.pointer(pointer).unwrap_or(&Value::Null)
}

#[test]
#[allow(clippy::disallowed_methods, reason = "whoever runs the test asks for a new golden file")]
fn the_job_is_the_golden_one() {
    let text = serde_json::to_string_pretty(&golden()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(GOLDEN).unwrap(), "UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn the_job_is_one_that_kubernetes_types_can_read_whole() {
    let typed: k8s_openapi::api::batch::v1::Job = serde_json::from_value(golden()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), golden());
}

#[test]
fn only_a_run_of_a_schedule_knows_a_tick() {
    let pod = template(json!({"spec": {"containers": [{"name": "main", "image": "x"}]}}));
    let built = |scheduled_time| {
        build(&JobRequest {
            namespace: "prod",
            orchestration: "o",
            uid: "u",
            orchestration_type: "t",
            correlation_id: None,
            activity: "a",
            activity_type: "t",
            discriminator: None,
            attempt: 1,
            timeout_seconds: None,
            starting_deadline_seconds: 600,
            deadline: "2026-11-21T10:00:00Z".parse().unwrap(),
            scheduled_time,
            inputs: &Object::new(),
            template: &pod,
            propagated: &Propagated::default(),
        })
    };
    let name = "ORCHESTRATOR_SCHEDULED_TIME";
    assert_eq!(variable(&built(None), "containers/0", name), None);
    let tick = "2026-11-21T09:00:00Z".parse().unwrap();
    assert_eq!(variable(&built(Some(tick)), "containers/0", name), Some("2026-11-21T09:00:00Z"));
}

#[test]
fn an_input_reaches_no_other_variable_and_no_shell() {
    let job = plain(json!({"a": "$(HOME)", "b": "$$", "c": "\"x\" 'y' `id`\n", "d": "$$(X)$", "e": "🦀"}));
    for (name, value) in [
        ("INPUT_A", "$$(HOME)"),
        ("INPUT_B", "$$$$"),
        ("INPUT_C", "\"x\" 'y' `id`\n"),
        ("INPUT_D", "$$$$(X)$$"),
        ("INPUT_E", "🦀"),
    ] {
        assert_eq!(variable(&job, "containers/0", name), Some(value));
    }
}

#[test]
fn what_cannot_be_a_variable_is_in_the_file_only() {
    let inputs = json!({"nul": "a\u{0}b", "long": "x".repeat(4097), "fits": "x".repeat(4096), "list": [], "object": {}, "none": null});
    let job = plain(inputs.clone());
    for name in ["INPUT_NUL", "INPUT_LONG", "INPUT_LIST", "INPUT_OBJECT", "INPUT_NONE"] {
        assert_eq!(variable(&job, "containers/0", name), None, "{name}");
    }
    assert!(variable(&job, "containers/0", "INPUT_FITS").is_some());
    let file = at(&job, "/spec/template/metadata/annotations/orchestrator.dev~1input").as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(file).unwrap(), inputs);
    assert_eq!(at(&job, "/metadata/annotations/orchestrator.dev~1input"), &Value::Null);
}

#[test]
fn scalars_are_their_json_text() {
    let job = plain(json!({"whole": 9_007_199_254_740_993_i64, "half": 0.5, "yes": true, "empty": ""}));
    for (name, value) in [
        ("INPUT_WHOLE", "9007199254740993"),
        ("INPUT_HALF", "0.5"),
        ("INPUT_YES", "true"),
        ("INPUT_EMPTY", ""),
    ] {
        assert_eq!(variable(&job, "containers/0", name), Some(value));
    }
}

#[test]
fn of_two_inputs_with_one_variable_the_first_has_it() {
    let job = plain(json!({"owner-email": "first", "ownerEmail": "second"}));
    assert_eq!(variable(&job, "containers/0", "INPUT_OWNER_EMAIL"), Some("first"));
}

#[test]
fn every_container_knows_its_context_and_only_the_first_has_outputs() {
    let job = golden();
    for container in ["initContainers/0", "containers/0", "containers/1"] {
        for (name, value) in [
            ("ORCHESTRATOR_INPUT_FILE", "/orchestrator/input/input.json"),
            ("ORCHESTRATOR_NAMESPACE", "prod"),
            ("ORCHESTRATOR_ORCHESTRATION", "tenant-x7k2p"),
            ("ORCHESTRATOR_UID", "0b1f0f9e-8d1c-4d55-9f38-0d9d3a3c8a51"),
            ("ORCHESTRATOR_TYPE", "tenant.example.com"),
            ("ORCHESTRATOR_ACTIVITY", "ingress"),
            ("ORCHESTRATOR_ACTIVITY_TYPE", "ingress-route.example.com"),
            ("ORCHESTRATOR_DISCRIMINATOR", "deploy"),
            ("ORCHESTRATOR_ATTEMPT", "2"),
            ("ORCHESTRATOR_CORRELATION_ID", "profile-4711"),
            ("ORCHESTRATOR_DEADLINE", "2026-11-21T10:00:00Z"),
            ("INPUT_DOMAIN", "a.example.com"),
        ] {
            assert_eq!(variable(&job, container, name), Some(value), "{container}");
        }
        let mounts = at(&job, &format!("/spec/template/spec/{container}/volumeMounts")).as_array().unwrap();
        assert!(mounts.contains(
            &json!({"name": "orchestrator-input", "mountPath": "/orchestrator/input", "readOnly": true})
        ));
        let first = container == "containers/0";
        assert_eq!(variable(&job, container, "ORCHESTRATOR_OUTPUT_FILE").is_some(), first, "{container}");
        let message_path = at(&job, &format!("/spec/template/spec/{container}/terminationMessagePath"));
        assert_eq!(message_path.is_string(), first, "{container}");
    }
}

#[test]
fn the_end_of_the_log_tells_of_a_failure_unless_the_template_says_otherwise() {
    let containers =
        |policy: Value| json!([{"name": "main", "terminationMessagePolicy": policy}, {"name": "other"}]);
    let init = json!([{"name": "prepare", "terminationMessagePolicy": "File"}, {"name": "more"}]);
    let policies = |containers: Value| {
        let job = job(json!({}), json!({"spec": {"containers": containers, "initContainers": init.clone()}}));
        let policy = |container: &str| {
            at(&job, &format!("/spec/template/spec/{container}/terminationMessagePolicy")).clone()
        };
        ["containers/0", "containers/1", "initContainers/0", "initContainers/1"].map(policy)
    };
    let logs = json!("FallbackToLogsOnError");
    let file = json!("File");
    assert_eq!(policies(containers(Value::Null)), [logs.clone(), logs.clone(), file.clone(), logs.clone()]);
    assert_eq!(policies(containers(file.clone())), [file.clone(), logs.clone(), file, logs]);
}

#[test]
fn our_variables_come_first_so_that_the_templates_may_refer_to_them() {
    let job = golden();
    let env = at(&job, "/spec/template/spec/containers/0/env").as_array().unwrap();
    assert_eq!(env.last(), Some(&json!({"name": "TARGET", "value": "https://$(INPUT_DOMAIN)"})));
}

#[test]
fn a_trace_context_of_the_template_is_left_alone() {
    let env = json!([{"name": "TRACEPARENT", "value": "own"}]);
    let job = job(json!({}), json!({"spec": {"containers": [{"name": "main", "env": env}]}}));
    assert_eq!(variable(&job, "containers/0", "TRACEPARENT"), Some("own"));
}

#[test]
fn nobody_else_decides_what_the_job_is_called() {
    let job = golden();
    assert_eq!(at(&job, "/spec/template/metadata/labels/app.kubernetes.io~1name"), "orchestrator-activity");
    assert_eq!(at(&job, "/spec/template/metadata/labels/team"), "dns");
    assert_eq!(at(&job, "/spec/template/metadata/annotations/example.com~1note"), "kept");
    assert_eq!(at(&job, "/metadata/labels/team"), &Value::Null);
}

#[test]
fn what_is_propagated_overrules_neither_the_template_nor_us() {
    let propagated = Propagated {
        labels: object(json!({"team": "net", "cost": "7", "app.kubernetes.io/name": "theirs"})),
        annotations: object(json!({"example.com/note": "other", "orchestrator.dev/activity": "theirs"})),
    };
    let pod = json!({
        "metadata": {"labels": {"team": "dns"}, "annotations": {"example.com/note": "kept"}},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    });
    let job = job_with(json!({}), pod, &propagated);
    for (metadata, team, note) in [("/metadata", "net", "other"), ("/spec/template/metadata", "dns", "kept")]
    {
        assert_eq!(at(&job, &format!("{metadata}/labels/team")), team);
        assert_eq!(at(&job, &format!("{metadata}/labels/cost")), "7");
        assert_eq!(at(&job, &format!("{metadata}/annotations/example.com~1note")), note);
        assert_eq!(at(&job, &format!("{metadata}/labels/app.kubernetes.io~1name")), "orchestrator-activity");
        assert_eq!(at(&job, &format!("{metadata}/annotations/orchestrator.dev~1activity")), "ingress");
    }
}

#[test]
fn long_names_are_whole_in_annotations_and_cut_in_labels() {
    let orchestration = "a.".repeat(100) + "b";
    let job = build(&JobRequest {
        orchestration: &orchestration,
        namespace: "n",
        uid: "u",
        orchestration_type: "t",
        correlation_id: None,
        activity: "x",
        activity_type: "y",
        discriminator: None,
        attempt: 1,
        timeout_seconds: None,
        starting_deadline_seconds: 600,
        deadline: Timestamp::UNIX_EPOCH,
        scheduled_time: None,
        inputs: &Object::new(),
        template: &template(json!({"spec": {"containers": [{}]}})),
        propagated: &Propagated::default(),
    });
    for metadata in ["/metadata", "/spec/template/metadata"] {
        assert_eq!(
            at(&job, &format!("{metadata}/annotations/orchestrator.dev~1orchestration")),
            &json!(orchestration)
        );
        let label = at(&job, &format!("{metadata}/labels/orchestrator.dev~1orchestration")).as_str().unwrap();
        assert!(label.len() <= 63 && label.ends_with('a'));
        assert_eq!(
            at(&job, &format!("{metadata}/annotations/orchestrator.dev~1correlation-id")),
            &Value::Null
        );
    }
    assert_eq!(variable(&job, "containers/0", "ORCHESTRATOR_CORRELATION_ID"), Some(""));
    assert_eq!(variable(&job, "containers/0", "ORCHESTRATOR_DISCRIMINATOR"), Some(""));
}

#[test]
fn defaults_fill_only_what_the_template_does_not_say() {
    let said = json!({"spec": {
        "automountServiceAccountToken": true,
        "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"}},
        "containers": [{"name": "main", "securityContext": {
            "allowPrivilegeEscalation": true, "capabilities": {"add": ["CHOWN"], "drop": ["NET_RAW"]},
        }}],
    }});
    let job = job(json!({}), said.clone());
    for field in
        ["/spec/automountServiceAccountToken", "/spec/securityContext", "/spec/containers/0/securityContext"]
    {
        assert_eq!(at(&job, &format!("/spec/template{field}")), at(&said, field));
    }
    let silent = plain(json!({}));
    assert_eq!(at(&silent, "/spec/template/spec/automountServiceAccountToken"), &json!(false));
    assert_eq!(at(&silent, "/spec/template/spec/restartPolicy"), "Never");
    assert_eq!(
        at(&silent, "/spec/template/spec/securityContext"),
        &json!({"seccompProfile": {"type": "RuntimeDefault"}})
    );
    assert_eq!(
        at(&silent, "/spec/template/spec/containers/0/securityContext"),
        &json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
    );
}

#[test]
fn a_default_never_makes_a_pair_that_the_api_refuses() {
    let context = |said: Value| {
        let job =
            job(json!({}), json!({"spec": {"containers": [{"name": "main", "securityContext": said}]}}));
        at(&job, "/spec/template/spec/containers/0/securityContext").clone()
    };
    assert_eq!(context(json!({"privileged": true})), json!({"privileged": true}));
    assert_eq!(
        context(json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}})),
        json!({"capabilities": {"add": ["CAP_SYS_ADMIN"], "drop": ["ALL"]}})
    );
    assert_eq!(
        context(json!({"privileged": false, "capabilities": null})),
        json!({"privileged": false, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
    );
    let windows =
        job(json!({}), json!({"spec": {"os": {"name": "windows"}, "containers": [{"name": "main"}]}}));
    assert_eq!(at(&windows, "/spec/template/spec/containers/0/securityContext"), &Value::Null);
    assert_eq!(at(&windows, "/spec/template/spec/securityContext"), &Value::Null);
}

#[test]
fn fields_that_nobody_here_knows_survive() {
    let job = job(
        json!({}),
        json!({"x": 1, "spec": {"y": [2], "containers": [{"name": "main", "z": {"a": null}}, "text"]}}),
    );
    assert_eq!(at(&job, "/spec/template/x"), &json!(1));
    assert_eq!(at(&job, "/spec/template/spec/y"), &json!([2]));
    assert_eq!(at(&job, "/spec/template/spec/containers/0/z"), &json!({"a": null}));
    assert_eq!(at(&job, "/spec/template/spec/containers/1"), "text");
}

#[test]
fn a_trial_job_has_a_valid_name_and_no_owner() {
    let trial = dry_run(
        &template(json!({"spec": {"containers": [{"name": "main"}]}})),
        "prod",
        "dns-record.example.com",
    );
    assert_eq!(at(&trial, "/metadata/ownerReferences"), &Value::Null);
    assert_eq!(at(&trial, "/metadata/namespace"), "prod");
    let name = at(&trial, "/metadata/name").as_str().unwrap();
    assert!(name.starts_with("dns-record-example-com-dry-run-") && name.len() <= 63, "{name}");
    assert!(at(&trial, "/spec/template/spec/containers/0/env").is_array());
}

#[test]
fn a_trial_job_numbers_variables_as_the_template_does() {
    let container = json!({"name": "main", "env": [{"name": "A"}, {"name": "B=C"}]});
    let spec = json!({"containers": [container], "initContainers": [container, "text"]});
    let trial = dry_run(&template(json!({"spec": spec})), "prod", "dns");
    for field in ["containers", "initContainers"] {
        let env = at(&trial, &format!("/spec/template/spec/{field}/0/env"));
        assert_eq!(at(env, "/1/name"), "B=C");
        assert!(env.as_array().unwrap().len() > 2, "ours come behind");
    }
}

proptest! {
    #[test]
    fn kubernetes_expands_nothing_in_a_value_of_ours(input in any::<String>()) {
        let job = plain(json!({"a": input}));
        match variable(&job, "containers/0", "INPUT_A") {
            // What Kubernetes does: `$$` becomes `$`, and nothing else is special when every `$` is a pair.
            Some(value) => {
                prop_assert!(value.replace("$$", "").find('$').is_none());
                prop_assert_eq!(value.replace("$$", "$"), input);
            }
            None => prop_assert!(input.contains('\0') || input.len() > 4096),
        }
    }

    #[test]
    fn a_container_never_has_two_variables_of_one_name(
        inputs in prop::collection::btree_map("[a-cA-C._-]{0,3}", any::<i64>(), 0..12)
    ) {
        let job = plain(inputs.into_iter().map(|(key, value)| (key, json!(value))).collect::<Object>().into());
        let env = at(&job, "/spec/template/spec/containers/0/env").as_array().unwrap();
        let names: std::collections::BTreeSet<_> = env.iter().map(|entry| at(entry, "/name").as_str()).collect();
        prop_assert_eq!(names.len(), env.len());
    }
}
