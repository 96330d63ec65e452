//! The job template of an ActivityDefinition: what only we know to be wrong with it.
//!
//! Responsible for: what breaks our contract with the pod, and fields that reach into the node. Must never: repeat
//! what the API server proves by a dry run, or fail on ill-typed JSON.

use serde_json::Value;

use crate::api::activity_definition::JobTemplate;
use crate::api::common::Object;
use crate::api::labels;
use crate::engine::problem::{Problem, ProblemCode};

const TEMPLATE: &str = "spec.job.template";
/// Lists of containers in a pod's spec.
const CONTAINERS: &str = "containers";
const INIT_CONTAINERS: &str = "initContainers";
const EPHEMERAL_CONTAINERS: &str = "ephemeralContainers";
/// The top directory of our files in every container.
const OUR_DIRECTORY: &str = "orchestrator";

/// Largest argument of a process, in bytes: 128 KiB with its end (MAX_ARG_STRLEN of Linux).
const MAX_ARGUMENT: usize = 131_071;
/// Largest value of a variable, which shares the same room with its name.
const MAX_VARIABLE: usize = 130_000;
/// Largest sum of all variables of a container, names included: 1 MiB. Linux has 2 MiB for them together with the
/// arguments and our own variables.
const MAX_ENVIRONMENT: usize = 1_048_576;

/// All problems of a template, in the order of its fields by name.
///
/// What has the wrong JSON type is passed over here: the server's dry run says so in its own words.
#[must_use]
pub fn check(template: &JobTemplate, allow_host_access: bool) -> Vec<Problem> {
    let mut checker = Checker { allow_host_access, problems: Vec::new() };
    checker.metadata(&template.template);
    match template.template.get("spec").and_then(Value::as_object) {
        Some(spec) => checker.pod(spec),
        None => checker.invalid(format!("{TEMPLATE}.spec"), "is required: the spec of a pod"),
    }
    checker.problems
}

struct Checker {
    allow_host_access: bool,
    problems: Vec<Problem>,
}

impl Checker {
    fn invalid(&mut self, path: String, message: impl Into<String>) {
        self.problems.push(Problem::new(ProblemCode::InvalidJobTemplate, path, message));
    }

    fn forbidden(&mut self, path: String) {
        if !self.allow_host_access {
            let message = "must not be set: it reaches into the node, and the operator runs without --allow-host-access";
            self.problems.push(Problem::new(ProblemCode::ForbiddenPodField, path, message));
        }
    }

    fn metadata(&mut self, template: &Object) {
        for field in ["annotations", "labels"] {
            let entries =
                template.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_object);
            for key in
                entries.into_iter().flat_map(Object::keys).filter(|key| key.starts_with(labels::PREFIX))
            {
                self.invalid(
                    format!("{TEMPLATE}.metadata.{field}[{key:?}]"),
                    format!("the prefix {} is the orchestrator's own", labels::PREFIX),
                );
            }
        }
    }

    fn pod(&mut self, spec: &Object) {
        if items(spec, CONTAINERS).is_empty() {
            self.invalid(
                format!("{TEMPLATE}.spec.{CONTAINERS}"),
                "is required: a list of at least one container",
            );
        }
        self.containers(spec, CONTAINERS);
        self.containers(spec, EPHEMERAL_CONTAINERS);
        if spec
            .get("securityContext")
            .and_then(|context| context.pointer("/windowsOptions/hostProcess"))
            .is_some_and(|host| *host == Value::Bool(true))
        {
            self.forbidden(format!("{TEMPLATE}.spec.securityContext.windowsOptions.hostProcess"));
        }
        for field in ["hostIPC", "hostNetwork", "hostPID"] {
            if spec.get(field) == Some(&Value::Bool(true)) {
                self.forbidden(format!("{TEMPLATE}.spec.{field}"));
            }
        }
        self.containers(spec, INIT_CONTAINERS);
        match spec.get("restartPolicy") {
            None | Some(Value::Null) => {}
            Some(Value::String(policy)) if policy == "Never" => {}
            Some(other) => self.invalid(
                format!("{TEMPLATE}.spec.restartPolicy"),
                format!("{other} is not possible, only \"Never\": every new start is an attempt of its own"),
            ),
        }
        self.volumes(spec);
    }

    fn containers(&mut self, spec: &Object, field: &str) {
        for (index, container) in items(spec, field).iter().enumerate() {
            let path = format!("{TEMPLATE}.spec.{field}[{index}]");
            self.environment(container, &path);
            self.long_texts(container, &path);
            if container.pointer("/securityContext/privileged") == Some(&Value::Bool(true)) {
                self.forbidden(format!("{path}.securityContext.privileged"));
            }
            if container.pointer("/securityContext/windowsOptions/hostProcess") == Some(&Value::Bool(true)) {
                self.forbidden(format!("{path}.securityContext.windowsOptions.hostProcess"));
            }
            let own_path = container.get("terminationMessagePath").is_some_and(|value| !value.is_null());
            if field == CONTAINERS && index == 0 && own_path {
                self.invalid(
                    format!("{path}.terminationMessagePath"),
                    "is not possible in the first container: its outputs are read from there, write them to the file named by ORCHESTRATOR_OUTPUT_FILE",
                );
            }
            self.mounts(container, &path);
        }
    }

    fn environment(&mut self, container: &Value, path: &str) {
        for (index, name) in texts(container, "env", "name") {
            let prefixes = [labels::INPUT_VARIABLE_PREFIX, labels::CONTEXT_VARIABLE_PREFIX];
            if let Some(prefix) = prefixes.into_iter().find(|prefix| name.starts_with(prefix)) {
                self.invalid(
                    format!("{path}.env[{index}].name"),
                    format!("{name:?}: names that begin with {prefix} are the orchestrator's own"),
                );
            }
        }
    }

    /// What Linux hands to a process in one piece is bounded; more is told by nothing but `argument list too long`.
    fn long_texts(&mut self, container: &Value, path: &str) {
        for field in ["args", "command"] {
            let list = container.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (index, text) in
                list.iter().enumerate().filter_map(|(index, text)| Some((index, text.as_str()?)))
            {
                if text.len() > MAX_ARGUMENT {
                    let message = format!(
                        "has {} bytes, a process takes at most {MAX_ARGUMENT} in one argument",
                        text.len()
                    );
                    self.invalid(format!("{path}.{field}[{index}]"), message);
                }
            }
        }
        let texts_of = |field| texts(container, "env", field).map(|(_, text)| text.len() + 1).sum::<usize>();
        let whole = texts_of("name") + texts_of("value");
        if whole > MAX_ENVIRONMENT {
            let message =
                format!("has {whole} bytes, at most {MAX_ENVIRONMENT} are possible in all variables");
            self.invalid(format!("{path}.env"), message);
        }
        for (index, value) in texts(container, "env", "value") {
            if value.len() > MAX_VARIABLE {
                let message =
                    format!("has {} bytes, at most {MAX_VARIABLE} are possible in one variable", value.len());
                self.invalid(format!("{path}.env[{index}].value"), message);
            }
        }
    }

    fn mounts(&mut self, container: &Value, path: &str) {
        for (index, directory) in texts(container, "volumeMounts", "mountPath") {
            if is_ours(directory) {
                self.invalid(
                    format!("{path}.volumeMounts[{index}].mountPath"),
                    format!("{directory:?} would hide the orchestrator's own files in /{OUR_DIRECTORY}"),
                );
            }
        }
    }

    fn volumes(&mut self, spec: &Object) {
        for (index, volume) in items(spec, "volumes").iter().enumerate() {
            let path = format!("{TEMPLATE}.spec.volumes[{index}]");
            if volume.get("hostPath").is_some_and(|value| !value.is_null()) {
                self.forbidden(format!("{path}.hostPath"));
            }
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            if name.starts_with(labels::VOLUME_PREFIX) {
                self.invalid(
                    format!("{path}.name"),
                    format!(
                        "{name:?}: names that begin with {} are the orchestrator's own",
                        labels::VOLUME_PREFIX
                    ),
                );
            }
        }
    }
}

/// The elements of a list; nothing if it is something else.
fn items<'a>(object: &'a Object, field: &str) -> &'a [Value] {
    object.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The text of one field of every element of a list, with the element's index.
fn texts<'a>(container: &'a Value, list: &str, field: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let elements = container.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    elements
        .iter()
        .enumerate()
        .filter_map(move |(index, element)| Some((index, element.get(field).and_then(Value::as_str)?)))
}

/// Whether a directory is ours or lies in ours, in whatever way it is spelt. A relative path counts from the root.
fn is_ours(directory: &str) -> bool {
    let mut segments = Vec::new();
    for segment in directory.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    segments.first() == Some(&OUR_DIRECTORY)
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value, reason = "a call with a json literal reads better without a borrow")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn template(value: Value) -> JobTemplate {
        JobTemplate { template: value.as_object().cloned().unwrap_or_default(), exit_codes: None }
    }

    fn check_paths(value: Value, allow_host_access: bool, expected: &[&str]) {
        let found: Vec<_> = check(&template(value), allow_host_access)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.code, problem.path))
            .collect();
        assert_eq!(found, expected);
    }

    fn good() -> Value {
        json!({
            "metadata": {"labels": {"team": "dns"}, "annotations": {"orchestrator.developer/x": "y"}},
            "spec": {
                "restartPolicy": "Never",
                "hostNetwork": false,
                "volumes": [{"name": "data", "emptyDir": {}}],
                "containers": [{
                    "name": "main", "image": "dns:1", "terminationMessagePolicy": "FallbackToLogsOnError",
                    "env": [{"name": "MY_INPUT_X", "value": "y"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/orchestrator-data"}],
                }],
            },
        })
    }

    #[test]
    fn what_no_process_can_take_is_told_with_its_limit() {
        let long = "x".repeat(131_072);
        let fits = "x".repeat(130_000);
        let container = json!({
            "name": "main", "image": "dns:1", "command": [long, "ok"], "args": [fits, long],
            "env": [{"name": "A", "value": fits}, {"name": "B", "value": long}],
        });
        let found: Vec<_> = check(&template(json!({"spec": {"containers": [container]}})), false)
            .iter()
            .map(ToString::to_string)
            .collect();
        let at = "InvalidJobTemplate: spec.job.template.spec.containers[0]";
        assert_eq!(
            found,
            [
                format!("{at}.args[1]: has 131072 bytes, a process takes at most 131071 in one argument"),
                format!("{at}.command[0]: has 131072 bytes, a process takes at most 131071 in one argument"),
                format!("{at}.env[1].value: has 131072 bytes, at most 130000 are possible in one variable"),
            ]
        );
    }

    #[test]
    fn all_variables_together_have_a_limit() {
        let told = |count: usize| {
            let value = "x".repeat(100_000);
            let variables: Vec<Value> =
                (0..count).map(|at| json!({"name": format!("V{at:02}"), "value": value})).collect();
            let containers = json!([{"name": "main", "image": "dns:1", "env": variables}]);
            check(&template(json!({"spec": {"containers": containers}})), false)
        };
        assert_eq!(told(10), []);
        assert_eq!(
            told(11)[0].to_string(),
            "InvalidJobTemplate: spec.job.template.spec.containers[0].env: has 1100055 bytes, at most 1048576 are possible in all variables"
        );
    }

    #[test]
    fn a_template_like_that_of_a_cron_job_is_good() {
        check_paths(good(), false, &[]);
    }

    #[test]
    fn a_pod_without_containers_is_refused() {
        check_paths(json!({}), false, &["InvalidJobTemplate: spec.job.template.spec"]);
        check_paths(json!({"spec": "x"}), false, &["InvalidJobTemplate: spec.job.template.spec"]);
        for containers in [json!([]), json!({}), json!(null), json!("x")] {
            check_paths(
                json!({"spec": {"containers": containers}}),
                false,
                &["InvalidJobTemplate: spec.job.template.spec.containers"],
            );
        }
    }

    #[test]
    fn every_problem_is_told_in_field_order() {
        let bad = json!({
            "metadata": {"labels": {"orchestrator.dev/activity": "x"}, "annotations": {"orchestrator.dev/input": "x"}},
            "spec": {
                "restartPolicy": "OnFailure", "hostNetwork": true, "hostPID": true, "hostIPC": true,
                "volumes": [{"name": "node", "hostPath": {"path": "/"}}, {"name": "orchestrator-input", "emptyDir": {}}],
                "containers": [
                    {
                        "name": "main", "terminationMessagePath": "/tmp/x", "securityContext": {"privileged": true},
                        "env": [{"name": "A"}, {"name": "INPUT_DOMAIN"}, {"name": "ORCHESTRATOR_UID"}],
                        "volumeMounts": [{"name": "node", "mountPath": "/orchestrator"}],
                    },
                    {"name": "other", "terminationMessagePath": "/tmp/x", "securityContext": {"privileged": true}},
                ],
                "ephemeralContainers": [{"name": "debug", "securityContext": {"privileged": true}}],
                "initContainers": [{
                    "name": "init", "securityContext": {"privileged": true}, "env": [{"name": "INPUT_X"}],
                    "volumeMounts": [{"name": "node", "mountPath": "/a/../orchestrator//output/"}],
                }],
            },
        });
        let own = [
            "InvalidJobTemplate: spec.job.template.metadata.annotations[\"orchestrator.dev/input\"]",
            "InvalidJobTemplate: spec.job.template.metadata.labels[\"orchestrator.dev/activity\"]",
            "InvalidJobTemplate: spec.job.template.spec.containers[0].env[1].name",
            "InvalidJobTemplate: spec.job.template.spec.containers[0].env[2].name",
            "ForbiddenPodField: spec.job.template.spec.containers[0].securityContext.privileged",
            "InvalidJobTemplate: spec.job.template.spec.containers[0].terminationMessagePath",
            "InvalidJobTemplate: spec.job.template.spec.containers[0].volumeMounts[0].mountPath",
            "ForbiddenPodField: spec.job.template.spec.containers[1].securityContext.privileged",
            "ForbiddenPodField: spec.job.template.spec.ephemeralContainers[0].securityContext.privileged",
            "ForbiddenPodField: spec.job.template.spec.hostIPC",
            "ForbiddenPodField: spec.job.template.spec.hostNetwork",
            "ForbiddenPodField: spec.job.template.spec.hostPID",
            "InvalidJobTemplate: spec.job.template.spec.initContainers[0].env[0].name",
            "ForbiddenPodField: spec.job.template.spec.initContainers[0].securityContext.privileged",
            "InvalidJobTemplate: spec.job.template.spec.initContainers[0].volumeMounts[0].mountPath",
            "InvalidJobTemplate: spec.job.template.spec.restartPolicy",
            "ForbiddenPodField: spec.job.template.spec.volumes[0].hostPath",
            "InvalidJobTemplate: spec.job.template.spec.volumes[1].name",
        ];
        check_paths(bad.clone(), false, &own);
        let allowed: Vec<_> = own.into_iter().filter(|line| line.starts_with("Invalid")).collect();
        check_paths(bad, true, &allowed);
    }

    #[test]
    fn a_message_says_what_is_allowed() {
        let mut bad = good();
        bad.pointer_mut("/spec/restartPolicy").map(|policy| *policy = json!("Always")).unwrap();
        assert_eq!(
            crate::engine::problem::text(&check(&template(bad), false)),
            "InvalidJobTemplate: spec.job.template.spec.restartPolicy: \"Always\" is not possible, only \"Never\": every new start is an attempt of its own"
        );
    }

    #[test]
    fn a_directory_is_ours_in_every_spelling() {
        for ours in [
            "/orchestrator",
            "//orchestrator/",
            "orchestrator/x",
            "/./orchestrator",
            "/../orchestrator",
            "/x/../orchestrator/input",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in
            ["", "/", "/orchestrators", "/data/orchestrator", "/orchestrator/..", "/orchestrator/../x"]
        {
            assert!(!is_ours(other), "{other}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z/]{0,6}".prop_map(Value::from)
        ];
        let key = prop_oneof![
            Just("metadata"),
            Just("labels"),
            Just("spec"),
            Just("containers"),
            Just("initContainers"),
            Just("env"),
            Just("name"),
            Just("volumes"),
            Just("hostPath"),
            Just("securityContext"),
            Just("privileged"),
            Just("volumeMounts"),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn ill_typed_templates_never_make_it_panic(value in json_value()) {
            let _ = check(&template(json!({"spec": value, "metadata": value})), false);
        }
    }
}
