//! What the role sends, as values.

use super::*;

fn job(name: &str, uid: &str) -> Job {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "7"},
        "spec": {"template": {
            "metadata": {"labels": {"team": "dns"}, "annotations": {"a": "b"}},
            "spec": {"containers": [{"name": "main"}]},
        }},
        "status": {"active": 1, "ready": 0, "uncountedTerminatedPods": {"failed": ["u"]}},
    }))
    .unwrap()
}

#[test]
fn a_pods_name_follows_from_the_job_and_fits() {
    let name = pod_name(&job("x", "1"), 0);
    assert_eq!(name, pod_name(&job("x", "1"), 0));
    assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    assert!(name != pod_name(&job("x", "1"), 1) && name != pod_name(&job("x", "2"), 0));
    assert_eq!(pod_name(&job(&"y".repeat(63), "1"), 0).len(), 63);
}

#[test]
fn a_pod_is_made_as_the_job_controller_makes_it() {
    let pod = new_pod(&job("x", "1"), "x-abcde", Some("localhost"));
    assert_eq!(
        serde_json::to_value(&pod).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "x-abcde", "generateName": "x-", "namespace": "ns",
                "labels": {
                    "team": "dns", "batch.kubernetes.io/controller-uid": "1", "controller-uid": "1",
                    "batch.kubernetes.io/job-name": "x", "job-name": "x",
                },
                "annotations": {"a": "b"},
                "finalizers": ["batch.kubernetes.io/job-tracking"],
                "ownerReferences": [{
                    "apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": "1",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"containers": [{"name": "main"}], "nodeName": "localhost"},
        })
    );
}

#[test]
fn a_status_is_patched_with_what_is_there_no_more() {
    let new = JobStatus {
        ready: Some(0),
        uncounted_terminated_pods: Some(Default::default()),
        ..JobStatus::default()
    };
    assert_eq!(
        status_patch(&job("x", "1"), &new),
        json!({
            "metadata": {"resourceVersion": "7", "uid": "1"},
            "status": {"active": null, "ready": 0, "uncountedTerminatedPods": {"failed": null}},
        })
    );
}
