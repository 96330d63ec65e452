//! Mistakes in a definition that only its compile finds: the condition Ready names all of them.

use orchestrator::api::OrchestrationDefinition;
use serde_json::json;

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{kubectl_create, says, spec, yaml};

/// Makes definitions, whose activity types are all `t`, and compares what their condition Ready says, whole.
async fn check(cases: &[(String, String)]) {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    for (at, (written, _)) in cases.iter().enumerate() {
        namespace.create(definition(&format!("d{at}"), spec(written))).await;
    }
    for (at, (written, expected)) in cases.iter().enumerate() {
        let message = namespace.definition_ready(&format!("d{at}"), "False", "Invalid").await;
        assert_eq!(message, *expected, "{written}");
    }
}

fn case(spec: &str, message: &str) -> (String, String) {
    (spec.to_owned(), message.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_the_dependencies_is_told_with_its_place_and_a_way_out() {
    check(&[
        case(
            "activities: [{id: a, type: t, dependsOn: c}, {id: b, type: t, dependsOn: a}, {id: c, type: t, dependsOn: [b]}]",
            "CycleDetected: spec.activities: dependency cycle a -> b -> c -> a",
        ),
        // The shortest of several, and nothing of what waits behind it.
        case(
            "activities: [{id: a, type: t, dependsOn: c}, {id: b, type: t, dependsOn: a}, {id: c, type: t, dependsOn: b}, {id: p, type: t, dependsOn: [q, a]}, {id: q, type: t, dependsOn: p}]",
            "CycleDetected: spec.activities: dependency cycle p -> q -> p",
        ),
        case(
            "activities: [{id: a, type: t}, {id: b, type: t}, {id: c, type: t, dependsOn: c}]",
            "SelfDependency: spec.activities[2].dependsOn: \"c\" may not depend on itself",
        ),
        case(
            "activities: [{id: build, type: t}, {id: test, type: t, dependsOn: [biuld]}]",
            "UnknownDependency: spec.activities[1].dependsOn[0]: no activity \"biuld\" (did you mean \"build\"?)",
        ),
        case(
            "activities: [{id: build, type: t}, {id: test, type: t, dependsOn: zzz}]",
            "UnknownDependency: spec.activities[1].dependsOn: no activity \"zzz\"",
        ),
        case(
            "activities: [{id: input, type: t}, {id: run, type: t}, {id: schedule, type: t}, {id: activities, type: t}]",
            "ReservedName: spec.activities[0].id: \"input\" is reserved, as are input, run, schedule, activities\n\
             ReservedName: spec.activities[1].id: \"run\" is reserved, as are input, run, schedule, activities\n\
             ReservedName: spec.activities[2].id: \"schedule\" is reserved, as are input, run, schedule, activities\n\
             ReservedName: spec.activities[3].id: \"activities\" is reserved, as are input, run, schedule, activities",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_in_a_source_is_told_with_its_place_and_a_way_out() {
    let reads = |source: &str, why: &str| {
        let source = serde_json::to_string(source).unwrap();
        (
            format!(
                "activities: [{{id: config, type: t}}, {{id: other, type: t}}, {{id: c, type: t, dependsOn: config, inputs: [{source}]}}]"
            ),
            why.replace("AT", "spec.activities[2].inputs[0]"),
        )
    };
    check(&[
        reads(
            "other.x",
            "NotAnAncestor: AT: \"c\" reads \"other\" but does not depend on it (add dependsOn: [other])",
        ),
        reads("c.x", "NotAnAncestor: AT: \"c\" may not read its own outputs"),
        case(
            "activities: [{id: a, type: t, inputs: [{source: b.x, target: z}]}, {id: b, type: t, dependsOn: a}]",
            "NotAnAncestor: spec.activities[0].inputs[0].source: \"a\" reads \"b\" but does not depend on it (add dependsOn: [b])",
        ),
        reads(
            "activities.config.url",
            "UnknownReference: AT: \"activities\" is neither an activity nor readable here (did you mean \"config\"?); use input.activities for the input",
        ),
        reads(
            "activities.confg.url",
            "UnknownReference: AT: \"activities\" is neither an activity nor readable here (did you mean \"config\"?); use input.activities for the input",
        ),
        reads(
            "run.state",
            "UnknownReference: AT: \"run\" is neither an activity nor readable here; use input.run for the input",
        ),
        reads(
            "schedule.tick",
            "UnknownReference: AT: of the schedule, only schedule.time can be read; use input.schedule for the input",
        ),
        reads("a.", "InvalidPath: AT: \"a.\" column 3: expected a name (letters, digits, \"_\", \"-\"), found the end"),
        reads(".a", "InvalidPath: AT: \".a\" column 1: expected a name (letters, digits, \"_\", \"-\"), found \".\""),
        reads(
            "a..b",
            "InvalidPath: AT: \"a..b\" column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"",
        ),
        reads("", "InvalidPath: AT: \"\" column 1: expected a name (letters, digits, \"_\", \"-\"), found the end"),
        reads("a b", "InvalidPath: AT: \"a b\" column 2: expected \".\", \"[\" or the end, found \" \""),
        reads("a[x]", "InvalidPath: AT: \"a[x]\" column 3: expected a number or a key in double quotes, found \"x\""),
        reads(
            &"p".repeat(10_240),
            "InvalidPath: AT: a path has at most 512 characters, this one has 10240",
        ),
        case(
            "{activities: [{id: a, type: t}], output: [{source: a..b}, {source: 'hosts[0]'}]}",
            "InvalidPath: spec.output[0].source: \"a..b\" column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"\n\
             InvalidPath: spec.output[1].source: target is required, because the last segment is no plain name (letters, digits, \"_\", \"-\")",
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_mistakes_are_told_at_once_in_the_order_of_the_fields() {
    check(&[case(
        "
activities:
- {id: fetch, type: missing}
- {id: build, type: t, dependsOn: [fecth, build], inputs: [test.report, 'x..y', {target: z}]}
- {id: run, type: t}
- {id: test, type: t, dependsOn: deploy}
- {id: deploy, type: t, dependsOn: test, inputs: [run.id, activities.fetch]}
output:
- {source: 'a.'}
",
        "CycleDetected: spec.activities: dependency cycle test -> deploy -> test\n\
         ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"missing\" not found in this namespace\n\
         UnknownDependency: spec.activities[1].dependsOn[0]: no activity \"fecth\" (did you mean \"fetch\"?)\n\
         SelfDependency: spec.activities[1].dependsOn[1]: \"build\" may not depend on itself\n\
         InvalidPath: spec.activities[1].inputs[1]: \"x..y\" column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"\n\
         InvalidPath: spec.activities[1].inputs[2].source: is required\n\
         ReservedName: spec.activities[2].id: \"run\" is reserved, as are input, run, schedule, activities\n\
         UnknownReference: spec.activities[4].inputs[1]: \"activities\" is neither an activity nor readable here (did you mean \"fetch\"?); use input.activities for the input\n\
         InvalidPath: spec.output[0].source: \"a.\" column 3: expected a name (letters, digits, \"_\", \"-\"), found the end",
    )])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependency_that_is_listed_twice_is_harmless() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    let twice = "activities: [{id: a, type: t}, {id: b, type: t, dependsOn: [a, a]}]";
    namespace.create(definition("d", spec(twice))).await;
    assert_eq!(
        namespace.definition_ready("d", "True", "Ready").await,
        "2 activities in 2 tiers; warnings: DuplicateId: spec.activities[1].dependsOn[1]: \"a\" is listed twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boolean_where_a_name_was_meant_is_to_be_quoted() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| Act::outputs(&json!({"saw": work.activity})));
    namespace.type_that_is_known("t").await;
    let activities = |rest: &str| {
        format!("{{activities: [{{id: \"y\", type: t}}, {{id: \"on\", type: t, dependsOn: \"y\"}}, {rest}]}}")
    };
    // As kubectl reads YAML, which is not how the parser of the other tests does.
    let made = kubectl_create(
        &namespace,
        &[
            yaml(
                "OrchestrationDefinition",
                "unquoted",
                &activities("{id: c, type: t, dependsOn: y, inputs: [on]}"),
            ),
            yaml(
                "OrchestrationDefinition",
                "listed",
                &activities("{id: c, type: t, dependsOn: [\"y\", on, 12]}"),
            ),
            yaml(
                "OrchestrationDefinition",
                "quoted",
                &activities(
                    "{id: c, type: t, dependsOn: ['y', \"on\"], inputs: [{source: y.saw, target: \"y\"}, 'on.saw']}",
                ),
            ),
        ],
    );
    assert_eq!(
        made,
        ["unquoted", "listed", "quoted"]
            .map(|name| format!("orchestrationdefinition.orchestrator.dev/{name} created"))
    );
    let boolean = "found the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)";
    assert_eq!(
        namespace.definition_ready("unquoted", "False", "Invalid").await,
        format!(
            "TypeMismatch: spec.activities[2].dependsOn: must be an activity id, or a list of activity ids, {boolean}\n\
             TypeMismatch: spec.activities[2].inputs[0]: must be a source path, or {{source, target}}, {boolean}"
        )
    );
    assert_eq!(
        namespace.definition_ready("listed", "False", "Invalid").await,
        format!(
            "TypeMismatch: spec.activities[2].dependsOn[1]: must be an activity id, or a list of activity ids, {boolean}\n\
             TypeMismatch: spec.activities[2].dependsOn[2]: must be an activity id, or a list of activity ids, found the number 12: quote what YAML reads as a number"
        )
    );
    namespace.definition_ready("quoted", "True", "Ready").await;
    namespace.create(orchestration("run", "quoted", json!({}))).await;
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(status.state.as_deref(), Some("Succeeded"));
    assert_eq!(status.activities.keys().collect::<Vec<_>>(), ["c", "on", "y"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_is_itself_wrong_is_told_where_it_is_used() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let broken = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "broken"},
        "spec": {"job": {"template": {"spec": {
            "hostNetwork": true, "containers": [{"name": "main", "image": "none"}], "restartPolicy": "Always",
        }}}},
    });
    namespace.create(broken).await;
    namespace.activity_ready("broken", "False").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: broken}, {id: b, type: x}]"))).await;
    let expected = "False ActivityNotReady: \
        ActivityNotReady: spec.activities[0].type: ActivityDefinition \"broken\" is not ready: InvalidJobTemplate: \
        ForbiddenPodField: spec.job.template.spec.hostNetwork: must not be set: it reaches into the node, and the operator runs without --allow-host-access; \
        InvalidJobTemplate: spec.job.template.spec.restartPolicy: \"Always\" is not possible, only \"Never\": every new start is an attempt of its own\n\
        ActivityDefinitionNotFound: spec.activities[1].type: ActivityDefinition \"x\" not found in this namespace";
    let found = namespace
        .until("d", |definition: &OrchestrationDefinition| {
            says(definition, "Ready").contains("restartPolicy")
        })
        .await;
    assert_eq!(says(&found, "Ready"), expected);
    assert_eq!(says(&found, "Stalled"), "", "it heals when the type does");
}
