//! What people may do who have the roles that every cluster has.

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::{ObjectMeta, PostParams};

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::scene::until;

/// Gives a person one of the roles of every cluster in a namespace.
async fn bind(namespace: &TestNamespace, role: &str) -> String {
    let person = format!("{role}-of-{}", namespace.name);
    let binding = RoleBinding {
        metadata: ObjectMeta { name: Some(role.to_owned()), ..ObjectMeta::default() },
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "ClusterRole".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "User".to_owned(),
            name: person.clone(),
            namespace: None,
        }]),
    };
    namespace.api::<RoleBinding>().create(&PostParams::default(), &binding).await.unwrap();
    person
}

fn may(namespace: &TestNamespace, person: &str, verb: &str, resource: &str) -> bool {
    let resource = format!("{resource}.orchestrator.dev");
    let arguments = ["auth", "can-i", verb, &resource, "--namespace", &namespace.name, "--as", person];
    cluster().kubectl_command().args(arguments).output().unwrap().status.success()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_edit_may_start_runs_and_who_may_view_may_not() {
    let namespace = TestNamespace::new().await;
    let (viewer, editor, admin) =
        (bind(&namespace, "view").await, bind(&namespace, "edit").await, bind(&namespace, "admin").await);
    // The controller manager puts the roles together.
    until("the roles are put together", || {
        let all = may(&namespace, &viewer, "get", "orchestrations")
            && may(&namespace, &admin, "create", "orchestrations");
        std::future::ready(all.then_some(()))
    })
    .await;
    let kinds =
        ["activitydefinitions", "orchestrationdefinitions", "orchestrations", "orchestrationschedules"];
    for kind in kinds {
        for verb in ["get", "list", "watch"] {
            for person in [&viewer, &editor, &admin] {
                assert!(may(&namespace, person, verb, kind), "{person} {verb} {kind}");
            }
        }
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            assert!(!may(&namespace, &viewer, verb, kind), "{viewer} {verb} {kind}");
            for person in [&editor, &admin] {
                assert!(may(&namespace, person, verb, kind), "{person} {verb} {kind}");
            }
        }
    }
    let stranger = TestNamespace::new().await;
    assert!(!may(&stranger, &editor, "create", "orchestrations"), "another namespace");
}
