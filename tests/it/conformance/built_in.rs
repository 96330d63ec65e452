//! Built-in kinds: Jobs, pods, Events, Leases, ControllerRevisions, Secrets.

use serde_json::{Value, json};

use super::dsl::{Case, Difference, case};

/// A Job that no controller but ours would look at.
pub fn job(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": {"orchestrator.dev/orchestration-uid": "u"}},
        "spec": {
            "backoffLimit": 0, "managedBy": "example.com/nobody", "activeDeadlineSeconds": 600, "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
            "template": {
                "metadata": {"labels": {"orchestrator.dev/orchestration-uid": "u"}, "annotations": {"orchestrator.dev/input": "{}"}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "main", "image": "busybox:1.37", "command": ["true"],
                        "env": [{"name": "A", "value": "1"}, {"name": "E", "value": ""}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                        "volumeMounts": [{"name": "orchestrator-activity", "mountPath": "/orchestrator", "readOnly": true}],
                    }],
                    "volumes": [
                        {"name": "orchestrator-activity", "downwardAPI": {"items": [{"path": "input.json", "fieldRef": {"fieldPath": "metadata.annotations['orchestrator.dev/input']"}}]}},
                        {"name": "c", "configMap": {"name": "x"}}, {"name": "e", "emptyDir": {}}, {"name": "n"},
                    ],
                },
            },
        },
    })
}

fn job_with(change: impl FnOnce(&mut Value)) -> Value {
    let mut job = job("j");
    change(&mut job);
    job
}

fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"batch.kubernetes.io/job-name": "j"}},
        "spec": {"schedulerName": "none", "restartPolicy": "Never", "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": "busybox"}]}})
}

fn event(name: &str) -> Value {
    json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": name}, "regarding": {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "namespace": "{ns}", "uid": "u1"},
        "reason": "Started", "note": "runs", "type": "Normal", "action": "Start", "eventTime": "2026-01-01T00:00:00.123456Z",
        "reportingController": "orchestrator", "reportingInstance": "i"})
}

const EVENTS: &str = "/apis/events.k8s.io/v1/namespaces/{ns}/events";

pub fn cases() -> Vec<Case> {
    let mut cases = jobs();
    cases.extend(pods());
    cases.extend(others());
    cases
}

fn jobs() -> Vec<Case> {
    let strict = "jobs?dryRun=All&fieldValidation=Strict&fieldManager=orchestrator";
    vec![
        case("a Job is completed by the server")
            .post("jobs?fieldManager=orchestrator", job("j"), 201)
            .has("/spec/parallelism", 1)
            .has("/spec/template/metadata/labels/batch.kubernetes.io~1job-name", "j")
            .get("jobs/j", 200),
        case("a Job with less said").post("jobs", json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
            "spec": {"managedBy": "example.com/nobody", "template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "i"}]}}}}), 201)
            .has("/spec/backoffLimit", 6),
        case("a Job whose template has typos")
            .post(strict, job_with(|job| job["spec"]["template"]["spec"]["containers"][0]["imagee"] = json!("x")), 400)
            .reason("BadRequest"),
        case("a Job whose template has a wrong type")
            .post(strict, job_with(|job| job["spec"]["backoffLimit"] = json!("x")), 400)
            .reason("BadRequest")
            .post(strict, job_with(|job| job["spec"]["template"]["spec"]["containers"] = json!({"name": "c"})), 400)
            .post(strict, job_with(|job| job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!(1)), 400)
            .post(strict, job_with(|job| job["spec"]["template"]["spec"]["containers"][0]["env"] = json!(["A"])), 400),
        case("a Job that is proven").post(strict, job("j"), 201).get("jobs/j", 404),
        case("a Job without containers").post("jobs", job_with(|job| job["spec"]["template"]["spec"] = json!({"restartPolicy": "Never"})), 422).reason("Invalid"),
        case("a Job without a restart policy")
            .post("jobs", job_with(|job| drop(job["spec"]["template"]["spec"].as_object_mut().unwrap().remove("restartPolicy"))), 422)
            .reason("Invalid"),
        case("a Job that restarts always").post("jobs", job_with(|job| job["spec"]["template"]["spec"]["restartPolicy"] = json!("Always")), 422).reason("Invalid"),
        case("a Job of nothing").post("jobs", json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {}}), 422).reason("Invalid"),
        case("a Job with a container without a name and an image")
            .post("jobs", job_with(|job| job["spec"]["template"]["spec"]["containers"][0] = json!({"command": ["x"]})), 422)
            .reason("Invalid"),
        case("a Job with containers of one name")
            .post("jobs", job_with(|job| job["spec"]["template"]["spec"]["containers"] = json!([{"name": "C_", "image": ""}, {"name": "c"}, {"name": "c"}])), 422)
            .reason("Invalid"),
        case("a Job that mounts what is not there")
            .post("jobs", job_with(|job| job["spec"]["template"]["spec"]["volumes"] = json!([])), 422)
            .reason("Invalid"),
        case("a Job with variables that cannot be named so")
            .post("jobs?dryRun=All", job_with(|job| {
                let container = &mut job["spec"]["template"]["spec"]["containers"][0];
                container["env"] = json!([
                    {"name": "a b=", "value": "x"}, {"name": "1x", "value": "x"}, {"name": "", "value": "x"}, {"value": "x"},
                    {"name": "ü"}, {"name": "a\tb"}, {"name": "a.b-c d~"},
                ]);
                container["envFrom"] = json!([{"prefix": "p=", "configMapRef": {"name": "c"}}, {"prefix": "", "secretRef": {"name": "s"}}]);
            }), 422)
            .reason("Invalid"),
        case("a Job with negative numbers").post("jobs", job_with(|job| job["spec"]["backoffLimit"] = json!(-1)), 422).reason("Invalid"),
        case("a Job with a name that is too long")
            .post("jobs", job_with(|job| job["metadata"]["name"] = json!("x".repeat(64))), 422)
            .reason("Invalid"),
        case("a Job's template is immutable")
            .post("jobs", job("j"), 201)
            .merge("jobs/j", json!({"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}), 422)
            .reason("Invalid")
            .differs(Difference::GoValues),
        case("a Job's completions are immutable").post("jobs", job("j"), 201).merge("jobs/j", json!({"spec": {"completions": 3}}), 422).reason("Invalid"),
        case("a Job is suspended")
            .post("jobs", job("j"), 201)
            .merge("jobs/j?fieldManager=orchestrator", json!({"spec": {"suspend": true}}), 200)
            .accept(super::dsl::METADATA)
            .has("/metadata/generation", 2)
            .get("jobs/j", 200)
            .has("/spec/suspend", true),
        case("a Job's status").post("jobs", job("j"), 201)
            .merge("jobs/j/status", json!({"spec": {"suspend": true}, "metadata": {"labels": {"x": "y"}}, "status": {"active": 1, "startTime": "2026-01-01T00:00:00Z"}}), 200)
            .has("/spec/suspend", false)
            .has("/metadata/labels/x", "y")
            .has("/status/active", 1)
            .merge("jobs/j", json!({"status": {"active": 5}}), 200)
            .has("/status/active", 1),
        case("Jobs by a field").post("jobs", job("j"), 201)
            .get("jobs?fieldSelector=status.successful%3D0", 200)
            .has("/items/0/metadata/name", "j")
            .get("jobs?fieldSelector=status.successful%3D1", 200)
            .has("/items", json!([])),
        case("a Job is adopted by name").post("jobs", job("j"), 201).post("jobs", job("j"), 409).reason("AlreadyExists").get("jobs/j", 200),
    ]
}

fn pods() -> Vec<Case> {
    vec![
        case("a pod is completed by the server")
            .post("pods", pod("p"), 201)
            .has("/status/phase", "Pending")
            .has("/spec/dnsPolicy", "ClusterFirst"),
        case("a pod's command is immutable")
            .post("pods", pod("p"), 201)
            .merge(
                "pods/p",
                json!({"spec": {"containers": [{"name": "c", "image": "busybox", "command": ["x"]}]}}),
                422,
            )
            .reason("Invalid")
            .differs(Difference::GoValues),
        case("pods by phase")
            .post("pods", pod("p"), 201)
            .merge("pods/p/status", json!({"status": {"phase": "Running"}}), 200)
            .has("/status/phase", "Running")
            .get("pods?fieldSelector=status.phase%3DRunning", 200)
            .has("/items/0/metadata/name", "p")
            .get("pods?fieldSelector=status.phase%21%3DRunning", 200)
            .has("/items", json!([]))
            .get(
                "pods?fieldSelector=spec.schedulerName%3Dnone&labelSelector=batch.kubernetes.io/job-name%3Dj",
                200,
            )
            .has("/items/0/metadata/name", "p"),
        case("a pod on no node goes at once")
            .post("pods", pod("p"), 201)
            .delete("pods/p", 200)
            .has("/kind", "Pod")
            .get("pods/p", 404),
        case("a pod without containers")
            .post(
                "pods",
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}),
                422,
            )
            .reason("Invalid"),
        case("a pod on a node goes with grace")
            .post(
                "pods",
                {
                    let mut pod = pod("p");
                    pod["spec"]["nodeName"] = json!("nowhere");
                    pod["spec"]["terminationGracePeriodSeconds"] = json!(600);
                    pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
                    pod
                },
                201,
            )
            .delete("pods/p", 200)
            .has("/metadata/deletionGracePeriodSeconds", 600)
            .get("pods/p", 200)
            .delete_with("pods/p", json!({"gracePeriodSeconds": 0}), 200)
            .get("pods/p", 404),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case("an Event is the same object in both groups")
            .post(EVENTS, event("e"), 201)
            .get("events/e", 200)
            .has("/involvedObject/uid", "u1")
            .has("/message", "runs")
            .get(&format!("{EVENTS}/e"), 200),
        case("an old Event is the same object in both groups")
            .post("events", json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "{ns}", "uid": "u1"},
                "reason": "R", "message": "m", "type": "Normal", "count": 2, "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:01Z", "source": {"component": "x", "host": "h"}}), 201)
            .get(&format!("{EVENTS}/e"), 200)
            .has("/deprecatedCount", 2)
            .merge("events/e", json!({"message": "n", "count": 3}), 200)
            .has("/message", "n"),
        case("a repeated Event as kube sends it")
            .post(EVENTS, event("e"), 201)
            .merge(&format!("{EVENTS}/e"), json!({"series": {"count": 2, "lastObservedTime": "2026-01-01T00:01:00.123456Z"}}), 200)
            .has("/series/count", 2),
        case("an Event's note is immutable").post(EVENTS, event("e"), 201).merge(&format!("{EVENTS}/e"), json!({"note": "other"}), 422).reason("Invalid"),
        case("an Event without a time and of no type")
            .post(EVENTS, json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "R", "note": "m", "type": "Norma"}), 422)
            .reason("Invalid"),
        case("an Event about another namespace")
            .post("events", json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "other"}}), 422)
            .reason("Invalid"),
        case("Events by what they are about")
            .post(EVENTS, event("e"), 201)
            .get("events?fieldSelector=involvedObject.uid%3Du1,reason%3DStarted", 200)
            .has("/items/0/metadata/name", "e")
            .get("events?fieldSelector=involvedObject.uid%3Du1,reason%3DFailedCreate", 200)
            .has("/items", json!([]))
            .get(&format!("{EVENTS}?fieldSelector=regarding.uid%3Du1"), 200)
            .has("/items/0/regarding/uid", "u1"),
        case("a field of Events that cannot be selected by")
            .get("events?fieldSelector=foo%3Dx", 400)
            .reason("BadRequest")
            .get(&format!("{EVENTS}?fieldSelector=involvedObject.uid%3Dx"), 400)
            .reason("BadRequest"),
        case("a Lease is taken and renewed")
            .post("leases", json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}}), 201)
            .save("l")
            .put("leases/l", json!({"metadata": {"name": "l", "resourceVersion": "{l.rv}"}, "spec": {"holderIdentity": "b", "leaseTransitions": 1}}), 200)
            .has("/spec/holderIdentity", "b")
            .put("leases/l", json!({"metadata": {"name": "l", "resourceVersion": "{l.rv}"}, "spec": {"holderIdentity": "c"}}), 409)
            .reason("Conflict"),
        case("a Lease without a version").post("leases", json!({"metadata": {"name": "l"}}), 201).put("leases/l", json!({"metadata": {"name": "l"}}), 422).reason("Invalid"),
        case("a Lease that is put where none was").put("leases/l", json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "b"}}), 201),
        case("a Lease of no length").post("leases", json!({"metadata": {"name": "l"}, "spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}), 422).reason("Invalid"),
        case("a ControllerRevision is immutable")
            .post("controllerrevisions", json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "r"}, "data": {"a": {"b": [1]}}, "revision": 3}), 201)
            .merge("controllerrevisions/r", json!({"data": {"a": 2}}), 422)
            .reason("Invalid")
            .merge("controllerrevisions/r", json!({"revision": 4}), 200)
            .has("/revision", 4),
        case("a ControllerRevision of nothing")
            .post("controllerrevisions", json!({"metadata": {"name": "r"}, "revision": 1}), 422)
            .reason("Invalid")
            .post("controllerrevisions", json!({"metadata": {"name": "r"}, "data": "x", "revision": -1}), 422)
            .reason("Invalid"),
        case("a Secret's texts are encoded").post("secrets", json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}}), 201).has("/data/a", "Yg==").has("/type", "Opaque"),
        case("a Secret that is no base64").post("secrets", json!({"metadata": {"name": "s"}, "data": {"a": "!"}}), 400).reason("BadRequest"),
        case("a Secret's keys").post("secrets", json!({"metadata": {"name": "s"}, "data": {"a b": "YQ=="}}), 422).reason("Invalid"),
        case("a Secret's type is immutable").post("secrets", json!({"metadata": {"name": "s"}, "type": "example.com/a"}), 201).merge("secrets/s", json!({"type": "example.com/b"}), 422).reason("Invalid"),
        case("an immutable ConfigMap")
            .post("configmaps", json!({"metadata": {"name": "m"}, "data": {"a": "b"}, "immutable": true}), 201)
            .merge("configmaps/m", json!({"data": {"a": "c"}}), 422)
            .reason("Invalid")
            .merge("configmaps/m", json!({"immutable": null}), 422)
            .merge("configmaps/m", json!({"metadata": {"labels": {"x": "y"}}}), 200),
        case("a ServiceAccount").post("serviceaccounts", json!({"metadata": {"name": "s"}}), 201).get("serviceaccounts/s", 200),
    ]
}
