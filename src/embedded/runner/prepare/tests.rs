//! Templates and what becomes of them.

use serde_json::{Value, json};

use super::*;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"},
            "annotations": {"orchestrator.dev/input": "{\"a\":\"$(HOME)\"}"},
        },
        "spec": spec,
    }))
    .unwrap()
}

fn sources() -> Sources {
    let data = |key: &str, value: &str| Some(BTreeMap::from([(key.to_owned(), value.as_bytes().to_vec())]));
    Sources {
        config_maps: BTreeMap::from([("c".to_owned(), data("k", "from c")), ("gone".to_owned(), None)]),
        secrets: BTreeMap::from([("s".to_owned(), data("k", "from s")), ("gone".to_owned(), None)]),
    }
}

fn layout() -> Layout {
    Layout { root: "/run/u".into(), logs: "/logs/ns/p".into() }
}

fn prepared(spec: Value) -> Result<Plan, Obstacle> {
    let base = [("PATH".to_owned(), "/bin".to_owned())];
    plan(&pod(spec), &sources(), &layout(), &base)
}

fn launch_of(container: Value) -> Launch {
    let mut container = container;
    container["name"] = "main".into();
    let volumes = json!([
        {"name": "in", "downwardAPI": {"items": [
            {"path": "input.json", "fieldRef": {"fieldPath": "metadata.annotations['orchestrator.dev/input']"}},
        ]}},
        {"name": "scratch", "emptyDir": {}},
    ]);
    prepared(json!({"containers": [container], "volumes": volumes})).unwrap().main.remove(0)
}

#[test]
fn paths_of_mounts_and_of_the_outputs_are_handed_over_mapped() {
    let launch = launch_of(json!({
        "command": ["sh", "-c", "cat /orchestrator/input/input.json > /scratch/x"],
        "args": ["$(ORCHESTRATOR_INPUT_FILE)", "--out=$(ORCHESTRATOR_OUTPUT_FILE)", "/scratch", "$$(A)", "$(PATH)", "$(HERE)"],
        "terminationMessagePath": "/orchestrator/output/output.json",
        "volumeMounts": [
            {"name": "in", "mountPath": "/orchestrator/input", "readOnly": true},
            {"name": "scratch", "mountPath": "/scratch", "subPath": "a/b"},
        ],
        "workingDir": "/scratch/w",
        "env": [
            {"name": "ORCHESTRATOR_INPUT_FILE", "value": "/orchestrator/input/input.json"},
            {"name": "ORCHESTRATOR_OUTPUT_FILE", "value": "/orchestrator/output/output.json"},
            {"name": "HERE", "value": "/scratch/$(NOTHING)"},
            {"name": "INPUT_A", "value": "$$(HERE) and /scratch"},
        ],
    }));
    let (input, output) = ("/run/u/volume.in/input.json", "/run/u/message.main.output.json");
    assert_eq!(
        launch.command,
        [
            "sh",
            "-c",
            &format!("cat {input} > /run/u/volume.scratch/a/b/x"),
            input,
            &format!("--out={output}"),
            "/run/u/volume.scratch/a/b",
            "$(A)",
            "$(PATH)",
            "/run/u/volume.scratch/a/b/$(NOTHING)",
        ]
    );
    let expected = [
        ("HERE", "/run/u/volume.scratch/a/b/$(NOTHING)"),
        ("HOSTNAME", "p"),
        ("INPUT_A", "$(HERE) and /scratch"),
        ("ORCHESTRATOR_INPUT_FILE", input),
        ("ORCHESTRATOR_OUTPUT_FILE", output),
        ("PATH", "/bin"),
        ("TMPDIR", "/run/u/tmp"),
    ];
    let variables: Vec<_> =
        launch.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(variables, expected);
    assert_eq!(launch.message, Path::new(output));
    assert_eq!(launch.directory, Path::new("/run/u/volume.scratch/a/b/w"));
    assert_eq!(launch.log, Path::new("/logs/ns/p/main.log"));
}

#[test]
fn variables_come_from_everywhere_and_see_those_before_them() {
    let launch = launch_of(json!({
        "command": ["true"],
        "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "C_"}, {"secretRef": {"name": "gone", "optional": true}}],
        "env": [
            {"name": "FIRST", "value": "$(LATER)"},
            {"name": "LATER", "value": "x"},
            {"name": "SEES", "value": "$(LATER)$(C_k)"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "LEFT_OUT", "valueFrom": {"secretKeyRef": {"name": "s", "key": "none", "optional": true}}},
        ],
    }));
    let expected = [
        ("C_k", "from c"),
        ("FIRST", "$(LATER)"),
        ("HOSTNAME", "p"),
        ("KEY", "from c"),
        ("LABEL", "x"),
        ("LATER", "x"),
        ("NAME", "p"),
        ("NODE", ""),
        ("PATH", "/bin"),
        ("SECRET", "from s"),
        ("SEES", "xfrom c"),
        ("TMPDIR", "/run/u/tmp"),
        ("UID", "u"),
    ];
    let variables: Vec<_> =
        launch.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(variables, expected);
    assert_eq!(launch.directory, Path::new("/run/u/work.main"));
    assert_eq!(launch.message, Path::new("/run/u/message.main.termination-log"));
}

#[test]
fn what_cannot_run_here_is_refused_in_words() {
    let main = |with: Value| {
        let mut container = json!({"name": "main", "image": "busybox:1", "command": ["true"]});
        for (key, value) in with.as_object().unwrap() {
            container[key] = value.clone();
        }
        json!({"containers": [container]})
    };
    let with_volume = |volume: Value| {
        let mut spec = main(json!({}));
        spec["volumes"] = json!([volume]);
        spec
    };
    let cases = [
        (
            main(json!({"command": null, "args": ["x"]})),
            "ImageNotRun",
            "container main has no command, and its image busybox:1 is not run here",
        ),
        (main(json!({"workingDir": "/app"})), "PathNotMapped", "the working directory /app cannot be mapped"),
        (
            main(json!({"volumeMounts": [{"name": "none", "mountPath": "/x"}]})),
            "PathNotMapped",
            "there is no volume none",
        ),
        (
            with_volume(json!({"name": "v", "hostPath": {"path": "/"}})),
            "PathNotMapped",
            "volume v cannot be mapped",
        ),
        (
            with_volume(
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}),
            ),
            "PathNotMapped",
            "volume v cannot be mapped: a service account token",
        ),
        (with_volume(json!({"name": "../v", "emptyDir": {}})), "PathNotMapped", "must stay inside"),
        (
            with_volume(
                json!({"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../../x"}]}}),
            ),
            "PathNotMapped",
            "must stay inside",
        ),
        (main(json!({"terminationMessagePath": "/"})), "PathNotMapped", "cannot be mapped"),
        (
            main(
                json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}),
            ),
            "NotSupported",
            "the source of the variable A",
        ),
        (
            json!({"restartPolicy": "Always", "containers": [{"name": "main", "command": ["true"]}]}),
            "NotSupported",
            "restartPolicy Always",
        ),
        (
            json!({"initContainers": [{"name": "side", "command": ["true"], "restartPolicy": "Always"}], "containers": [{"name": "main", "command": ["true"]}]}),
            "NotSupported",
            "a sidecar",
        ),
    ];
    for (spec, reason, words) in cases {
        match prepared(spec.clone()).unwrap_err().problem {
            Problem::Refused { reason: found, message } => {
                assert!(found == reason && message.contains(words), "{found}: {message}\n{spec}");
            }
            Problem::Missing(message) => panic!("{message}\n{spec}"),
        }
    }
}

#[test]
fn what_is_missing_is_waited_for_in_the_kubelets_words() {
    let env = |source: Value| json!({"containers": [{"name": "main", "command": ["true"], "env": [{"name": "A", "valueFrom": source}]}]});
    let volume =
        |source: Value| json!({"containers": [{"name": "main", "command": ["true"]}], "volumes": [source]});
    let cases = [
        (env(json!({"configMapKeyRef": {"name": "gone", "key": "k"}})), "configmap \"gone\" not found"),
        (env(json!({"secretKeyRef": {"name": "s", "key": "none"}})), "couldn't find key none in Secret ns/s"),
        (
            volume(json!({"name": "v", "secret": {"secretName": "gone"}})),
            "MountVolume.SetUp failed for volume \"v\" : secret \"gone\" not found",
        ),
        (
            volume(json!({"name": "v", "configMap": {"name": "c", "items": [{"key": "none", "path": "x"}]}})),
            "MountVolume.SetUp failed for volume \"v\" : references non-existent config key: none",
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(prepared(spec).unwrap_err().problem, Problem::Missing(expected.to_owned()));
    }
    assert!(
        prepared(volume(json!({"name": "v", "secret": {"secretName": "gone", "optional": true}}))).is_ok()
    );
}

#[test]
fn the_operators_own_template_is_prepared() {
    let job: Value = serde_json::from_str(include_str!("../../../provider/job/golden_job.json")).unwrap();
    let mut template = job["spec"]["template"].clone();
    template["metadata"]["name"] = "p".into();
    template["metadata"]["namespace"] = "ns".into();
    template["spec"]["containers"][0]["command"] = json!(["dns"]);
    template["spec"]["containers"].as_array_mut().unwrap().pop();
    template["spec"].as_object_mut().unwrap().remove("initContainers");
    let pod: Pod = serde_json::from_value(template.clone()).unwrap();
    let plan = plan(&pod, &Sources::named_by(&pod), &layout(), &[]).unwrap();
    let launch = &plan.main[0];
    assert_eq!(launch.command, ["dns", "create", "a.example.com"]);
    assert_eq!(launch.variables["TARGET"], "https://a.example.com");
    assert_eq!(launch.variables["INPUT_HOSTILE"], "$(HOME) $$ \"q\" 'a' `id` \\ \n ü 🦀");
    assert_eq!(launch.variables["ORCHESTRATOR_INPUT_FILE"], "/run/u/volume.orchestrator-input/input.json");
    let input = plan.volumes.iter().find(|volume| volume.name == "orchestrator-input").unwrap();
    assert!(input.has_file(Path::new("/run/u/volume.orchestrator-input/input.json")));
}
