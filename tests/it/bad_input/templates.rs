//! Job templates that cannot be used: told by the ActivityDefinition, before anything runs.

use orchestrator::api::ActivityDefinition;
use orchestrator::engine::names::child_name;
use serde_json::{Value, json};

use crate::support::cluster::TestNamespace;
use crate::support::objects::activity_with;
use crate::support::operator::Operator;
use crate::support::told::says;

/// Makes activity types of pod specs laid over a good one, and compares what the condition Ready says, whole.
async fn check(namespace: &TestNamespace, cases: &[(Value, &str)]) {
    for (at, (template, _)) in cases.iter().enumerate() {
        namespace.create(activity_with(&format!("a{at}"), json!({"template": template}))).await;
    }
    let mut told = Vec::new();
    for at in 0..cases.len() {
        let name = format!("a{at}");
        let found =
            namespace.until(&name, |found: &ActivityDefinition| !says(found, "Ready").is_empty()).await;
        let (ready, stalled) = (says(&found, "Ready"), says(&found, "Stalled"));
        let is_ready = ready.starts_with("True");
        assert_eq!(stalled, if is_ready { String::new() } else { ready.replacen("False", "True", 1) });
        told.push(ready);
    }
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(told, expected, "{told:#?}");
}

/// A template whose pod has these fields as well.
fn pod(fields: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "main", "image": "none"}]});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"spec": spec})
}

/// A template whose container has these fields as well.
fn container(fields: Value) -> Value {
    let mut container = json!({"name": "main", "image": "none"});
    container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    pod(json!({"containers": [container]}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_job_it_takes_a_message_bus() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "dns"},
            "spec": {"provider": "dns.example.com", "description": "as in the design document"},
        }))
        .await;
    let found = namespace.until("dns", |found: &ActivityDefinition| !says(found, "Ready").is_empty()).await;
    let why = "NoMessageBus: spec.job: is required, because no message bus is configured to send the work to agents";
    assert_eq!(says(&found, "Ready"), format!("False NoMessageBus: {why}"));
    assert_eq!(says(&found, "Stalled"), format!("True NoMessageBus: {why}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_contract_with_a_pod_is_told_with_its_path() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    const AT: &str = "False InvalidJobTemplate: InvalidJobTemplate: spec.job.template";
    let says = |rest: &str| format!("{AT}{rest}");
    let always = says(
        ".spec.restartPolicy: \"Always\" is not possible, only \"Never\": every new start is an attempt of its own",
    );
    let on_failure = says(
        ".spec.restartPolicy: \"OnFailure\" is not possible, only \"Never\": every new start is an attempt of its own",
    );
    let environment = format!(
        "{}\nInvalidJobTemplate: spec.job.template.spec.containers[0].env[2].name: \"ORCHESTRATOR_UID\": names that begin with ORCHESTRATOR_ are the orchestrator's own",
        says(
            ".spec.containers[0].env[1].name: \"INPUT_DOMAIN\": names that begin with INPUT_ are the orchestrator's own"
        ),
    );
    let termination = says(
        ".spec.containers[0].terminationMessagePath: is not possible in the first container: its outputs are read from there, write them to the file named by ORCHESTRATOR_OUTPUT_FILE",
    );
    let volume = says(
        ".spec.volumes[0].name: \"orchestrator-input\": names that begin with orchestrator- are the orchestrator's own",
    );
    let mount = says(
        ".spec.containers[0].volumeMounts[0].mountPath: \"/orchestrator/input\" would hide the orchestrator's own files in /orchestrator",
    );
    let label = says(
        ".metadata.labels[\"orchestrator.dev/activity\"]: the prefix orchestrator.dev/ is the orchestrator's own",
    );
    let annotation = says(
        ".metadata.annotations[\"orchestrator.dev/input\"]: the prefix orchestrator.dev/ is the orchestrator's own",
    );
    let no_spec = says(".spec: is required: the spec of a pod");
    let no_container = says(".spec.containers: is required: a list of at least one container");
    let with_metadata = |metadata: Value| {
        let mut template = pod(json!({}));
        template["metadata"] = metadata;
        template
    };
    check(
        &namespace,
        &[
            (pod(json!({"restartPolicy": "Always"})), &always),
            (pod(json!({"restartPolicy": "OnFailure"})), &on_failure),
            (
                container(
                    json!({"env": [{"name": "A"}, {"name": "INPUT_DOMAIN"}, {"name": "ORCHESTRATOR_UID"}]}),
                ),
                &environment,
            ),
            (container(json!({"terminationMessagePath": "/tmp/out"})), &termination),
            (pod(json!({"volumes": [{"name": "orchestrator-input", "emptyDir": {}}]})), &volume),
            (
                {
                    let mut template = container(
                        json!({"volumeMounts": [{"name": "v", "mountPath": "/orchestrator/input"}]}),
                    );
                    template["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
                    template
                },
                &mount,
            ),
            (with_metadata(json!({"labels": {"orchestrator.dev/activity": "x"}})), &label),
            (with_metadata(json!({"annotations": {"orchestrator.dev/input": "x"}})), &annotation),
            (json!({}), &no_spec),
            (json!({"spec": "x"}), &no_spec),
            (json!({"spec": {"containers": []}}), &no_container),
            (
                pod(json!({"restartPolicy": "Never"})),
                "True Ready: the API server accepts Jobs of this template",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_accept_is_told_in_its_own_words() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    const AT: &str = "False InvalidJobTemplate: InvalidJobTemplate: spec.job.template:";
    let unread = |why: &str| format!("{AT} Job in version \"v1\" cannot be handled as a Job: {why}");
    // The name is that of the Job in the dry run.
    let invalid = |at: usize, why: &str| {
        let job = child_name(&format!("a{at}"), "00000000-0000-0000-0000-000000000000", "dry-run", 1);
        format!("{AT} Job.batch \"{job}\" is invalid: {why}")
    };
    let with_metadata = |metadata: Value| json!({"metadata": metadata, "spec": pod(json!({}))["spec"]});
    let name = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    let cases = [
        (
            container(json!({"imagee": "x", "resources": {"limit": {}}})),
            unread(
                "strict decoding error: unknown field \"spec.template.spec.containers[0].imagee\", unknown field \"spec.template.spec.containers[0].resources.limit\"",
            ),
        ),
        (
            pod(json!({"containers": [{"name": "main"}]})),
            invalid(1, "spec.template.spec.containers[0].image: Required value"),
        ),
        (
            pod(json!({"containers": [{"name": "Main", "image": "none"}, {"name": "main", "image": ""}]})),
            invalid(
                2,
                &format!(
                    "[spec.template.spec.containers[0].name: Invalid value: \"Main\": {name}, spec.template.spec.containers[1].image: Required value]"
                ),
            ),
        ),
        (
            pod(json!({"hostNetwork": "yes"})),
            unread(
                "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.hostNetwork of type bool",
            ),
        ),
        (
            container(json!({"env": [{"name": "A", "value": 1}]})),
            unread(
                "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
            ),
        ),
        // Counted as in the template, though our own variables stand before them in a Job.
        (
            container(
                json!({"env": [{"name": "A"}, {"name": "B=C"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            ),
            invalid(
                5,
                "[spec.template.spec.containers[0].env[1].name: Invalid value: \"B=C\": a valid environment variable name must consist only of printable ASCII characters other than '=', spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"v\"]",
            ),
        ),
        (
            container(json!({"resources": {"limits": {"cpu": "one"}}})),
            unread(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        ),
        (
            with_metadata(json!({"labels": {"team": "a b"}})),
            invalid(
                7,
                "spec.template.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ),
        (
            with_metadata(json!({"annotations": {"a": "x".repeat(262_145)}})),
            invalid(8, "spec.template.annotations: Too long: may not be more than 262144 bytes"),
        ),
    ];
    let cases: Vec<(Value, &str)> =
        cases.iter().map(|(template, why)| (template.clone(), why.as_str())).collect();
    check(&namespace, &cases).await;
}

/// Templates that reach into the node, each in one way, with the field that does.
fn reaching() -> Vec<(Value, &'static str)> {
    vec![
        (pod(json!({"hostNetwork": true})), ".hostNetwork"),
        (pod(json!({"hostPID": true})), ".hostPID"),
        (pod(json!({"hostIPC": true})), ".hostIPC"),
        (pod(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})), ".volumes[0].hostPath"),
        (
            container(json!({"securityContext": {"privileged": true}})),
            ".containers[0].securityContext.privileged",
        ),
        (
            pod(
                json!({"initContainers": [{"name": "i", "image": "none", "securityContext": {"privileged": true}}]}),
            ),
            ".initContainers[0].securityContext.privileged",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_reaches_into_the_node_is_forbidden() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let mut cases: Vec<(Value, String)> = reaching()
        .into_iter()
        .map(|(template, field)| {
            let why = format!(
                "False ForbiddenPodField: ForbiddenPodField: spec.job.template.spec{field}: must not be set: it reaches into the node, and the operator runs without --allow-host-access"
            );
            (template, why)
        })
        .collect();
    // All of them at once, with what is wrong otherwise, in the order of the fields.
    cases.push((
        json!({
            "metadata": {"labels": {"orchestrator.dev/x": "y"}},
            "spec": {
                "hostPID": true, "restartPolicy": "Always",
                "containers": [{"name": "main", "image": "none", "env": [{"name": "INPUT_A"}], "securityContext": {"privileged": true}}],
                "volumes": [{"name": "orchestrator-x", "hostPath": {"path": "/"}}],
            },
        }),
        "False InvalidJobTemplate: \
         InvalidJobTemplate: spec.job.template.metadata.labels[\"orchestrator.dev/x\"]: the prefix orchestrator.dev/ is the orchestrator's own\n\
         InvalidJobTemplate: spec.job.template.spec.containers[0].env[0].name: \"INPUT_A\": names that begin with INPUT_ are the orchestrator's own\n\
         ForbiddenPodField: spec.job.template.spec.containers[0].securityContext.privileged: must not be set: it reaches into the node, and the operator runs without --allow-host-access\n\
         ForbiddenPodField: spec.job.template.spec.hostPID: must not be set: it reaches into the node, and the operator runs without --allow-host-access\n\
         InvalidJobTemplate: spec.job.template.spec.restartPolicy: \"Always\" is not possible, only \"Never\": every new start is an attempt of its own\n\
         ForbiddenPodField: spec.job.template.spec.volumes[0].hostPath: must not be set: it reaches into the node, and the operator runs without --allow-host-access\n\
         InvalidJobTemplate: spec.job.template.spec.volumes[0].name: \"orchestrator-x\": names that begin with orchestrator- are the orchestrator's own"
            .to_owned(),
    ));
    let cases: Vec<(Value, &str)> =
        cases.iter().map(|(template, why)| (template.clone(), why.as_str())).collect();
    check(&namespace, &cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_allows_it_lets_a_pod_reach_into_the_node() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start_with(&namespace, |settings| settings.allow_host_access = true).await;
    let ready = "True Ready: the API server accepts Jobs of this template";
    let cases: Vec<(Value, &str)> = reaching().into_iter().map(|(template, _)| (template, ready)).collect();
    check(&namespace, &cases).await;
}
