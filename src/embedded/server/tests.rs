//! The server as its clients see it; what it answers in detail is for the conformance suite.
#![allow(clippy::needless_pass_by_value, reason = "what a controller calls takes what it is handed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{CustomResourceExt, ResourceExt};
use serde_json::{Value, json};

use super::*;
use crate::api::Orchestration;

mod garbage;

type Names = Arc<Mutex<Vec<String>>>;

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn server() -> Server {
    let definition = Definition::compile(&serde_json::to_value(Orchestration::crd()).unwrap()).unwrap();
    Server::builder(Arc::new(Still)).random(Random::from_seed(1)).definition(definition).build()
}

fn orchestration(name: &str) -> Orchestration {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": name},
        "spec": {"type": "t"},
    }))
    .unwrap()
}

fn config_map(name: &str, owner: Option<&ConfigMap>) -> ConfigMap {
    let owners: Vec<Value> = owner
        .iter()
        .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid()}))
        .collect();
    serde_json::from_value(json!({"metadata": {"name": name, "ownerReferences": owners}})).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_real_controller_runs_on_it_in_no_time() {
    let client = server().client();
    let api: Api<Orchestration> = Api::default_namespaced(client.clone());
    api.create(&PostParams::default(), &orchestration("a")).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let reconcile = |object: Arc<Orchestration>, context: Arc<(Api<Orchestration>, Names)>| async move {
        context.1.lock().unwrap().push(object.name_any());
        if object.status.is_none() {
            let patch = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": {"state": "Running"}});
            context.0.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?;
        }
        Ok::<_, kube::Error>(Action::requeue(Duration::from_secs(3600)))
    };
    let controller = Controller::new(Api::<Orchestration>::all(client), watcher::Config::default()).run(
        reconcile,
        |_, error, _| panic!("{error}"),
        Arc::new((api.clone(), Arc::clone(&seen))),
    );
    let task = tokio::spawn(controller.for_each(|_| async {}));
    tokio::time::sleep(Duration::from_secs(10)).await;
    api.create(&PostParams::default(), &orchestration("b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    task.abort();
    let seen = seen.lock().unwrap().clone();
    assert!((50..=56).contains(&seen.len()), "{seen:?}");
    assert_eq!(api.get("b").await.unwrap().status.unwrap().state.as_deref(), Some("Running"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fell_behind_is_told_so_and_an_idle_one_goes_on() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let first = api.create(&PostParams::default(), &config_map("a", None)).await.unwrap();
    let idle = api.watch(&WatchParams::default(), &first.resource_version().unwrap()).await.unwrap();
    pin_mut!(idle);
    api.create(&PostParams::default(), &config_map("b", None)).await.unwrap();
    assert!(matches!(idle.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    server.compact();
    let late = api.watch(&WatchParams::default(), &first.resource_version().unwrap()).await.unwrap();
    pin_mut!(late);
    let Some(WatchEvent::Error(error)) = late.try_next().await.unwrap() else { panic!("no error") };
    assert_eq!((error.code, error.reason.as_str()), (410, "Expired"));
    assert!(late.try_next().await.unwrap().is_none());
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(matches!(idle.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_an_old_version_goes_on_and_expires() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    for name in ["a", "b", "c"] {
        api.create(&PostParams::default(), &config_map(name, None)).await.unwrap();
    }
    let page = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!((page.items.len(), page.metadata.remaining_item_count), (2, Some(1)));
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let token = page.metadata.continue_.clone().unwrap();
    let rest = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    assert_eq!(
        (rest.items[0].name_any().as_str(), rest.metadata.resource_version),
        ("c", page.metadata.resource_version)
    );
    server.compact();
    let error = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.code == 410 && status.reason == "Expired"));
}

#[tokio::test(start_paused = true)]
async fn the_observer_sees_every_write_and_who_made_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&seen);
    let server = Server::builder(Arc::new(Still))
        .observer(Box::new(move |write| {
            let count = write.store.list("/configmaps", None).count();
            writes.lock().unwrap().push((
                write.context.verb,
                write.key.name.clone(),
                write.new.is_some(),
                count,
            ));
        }))
        .build();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let owner = api.create(&PostParams::default(), &config_map("owner", None)).await.unwrap();
    api.create(&PostParams::default(), &config_map("child", Some(&owner))).await.unwrap();
    let unchanged = Patch::Merge(json!({"data": null}));
    api.patch("owner", &PatchParams::default(), &unchanged).await.unwrap();
    api.delete("owner", &DeleteParams::default()).await.unwrap();
    let seen: Vec<_> = seen.lock().unwrap().iter().skip(2).cloned().collect();
    let expected = [
        ("create", "owner", true, 1),
        ("create", "child", true, 2),
        ("delete", "owner", false, 1),
        ("collect", "child", false, 0),
    ];
    assert_eq!(seen, expected.map(|(verb, name, new, count)| (verb, name.to_owned(), new, count)));
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_is_answered_from_the_history() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let first = api.create(&PostParams::default(), &config_map("a", None)).await.unwrap();
    let version: u64 = first.resource_version().unwrap().parse().unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut request =
        Request::get("/api/v1/namespaces/default/configmaps/a").body(RequestBody::empty()).unwrap();
    request.extensions_mut().insert(AsOf(version));
    let response = server.client().send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.objects_at("", "configmaps", None, version).unwrap().len(), 1);
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_with_its_contents_once_nothing_holds_them() {
    let client = server().client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client, "n");
    let mut held = config_map("held", None);
    held.finalizers_mut().push("example.com/hold".to_owned());
    api.create(&PostParams::default(), &held).await.unwrap();
    api.create(&PostParams::default(), &config_map("free", None)).await.unwrap();
    namespaces.delete("n", &DeleteParams::default()).await.unwrap();
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert!(namespaces.get_opt("n").await.unwrap().is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    api.patch("held", &PatchParams::default(), &release).await.unwrap();
    assert!(namespaces.get_opt("n").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused() {
    let client = server().client();
    let request =
        Request::post("/api/v1/namespaces/default/configmaps").body(vec![b' '; MAX_BODY + 1]).unwrap();
    let Err(kube::Error::Api(status)) = client.request::<Value>(request).await else {
        panic!("it was taken")
    };
    assert_eq!((status.code, status.message.as_str()), (413, "Request entity too large: limit is 3145728"));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_watches_cost_nothing_while_nothing_happens() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let mut watches = Vec::new();
    for _ in 0..1000 {
        watches.push(Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap()));
    }
    api.create(&PostParams::default(), &config_map("a", None)).await.unwrap();
    for watch in &mut watches {
        assert!(matches!(watch.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_cut_off_instead_of_filling_the_memory() {
    let server = Server::builder(Arc::new(Still)).history(Bounds { changes: 10, bytes: usize::MAX }).build();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let slow = api.watch(&WatchParams::default(), "0").await.unwrap();
    let mut other = Box::pin(api.watch(&WatchParams::default(), "0").await.unwrap());
    for index in 0..50 {
        api.create(&PostParams::default(), &config_map(&format!("m{index}"), None)).await.unwrap();
        // Who reads in time misses nothing.
        let Some(WatchEvent::Added(seen)) = other.try_next().await.unwrap() else { panic!("no event") };
        assert_eq!(seen.name_any(), format!("m{index}"));
    }
    let events: Vec<_> = slow.try_collect().await.unwrap();
    assert!(matches!(events.as_slice(), [WatchEvent::Error(status)] if status.code == 410), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_when_something_has_happened_elsewhere() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let events = api.watch(&WatchParams::default().labels("never=there").timeout(200), "0").await.unwrap();
    api.create(&PostParams::default(), &config_map("a", None)).await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    let [WatchEvent::Bookmark(bookmark)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(bookmark.metadata.resource_version, server.version().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_kind_comes_and_goes_with_its_definition() {
    let client = Server::builder(Arc::new(Still)).build().client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let api: Api<Orchestration> = Api::default_namespaced(client);
    assert!(api.list(&ListParams::default()).await.is_err());
    let made = definitions.create(&PostParams::default(), &Orchestration::crd()).await.unwrap();
    let conditions = made.status.and_then(|status| status.conditions).unwrap_or_default();
    assert!(
        conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
    );
    api.create(&PostParams::default(), &orchestration("a")).await.unwrap();
    definitions.delete(&made.metadata.name.unwrap(), &DeleteParams::default()).await.unwrap();
    assert!(api.list(&ListParams::default()).await.is_err());
    definitions.create(&PostParams::default(), &Orchestration::crd()).await.unwrap();
    assert!(api.list(&ListParams::default()).await.unwrap().items.is_empty());
    let mut bad = serde_json::to_value(Orchestration::crd()).unwrap();
    bad["metadata"]["name"] = json!("other");
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "self.("}]);
    let error =
        definitions.create(&PostParams::default(), &serde_json::from_value(bad).unwrap()).await.unwrap_err();
    let kube::Error::Api(status) = error else { panic!("{error}") };
    assert_eq!((status.code, status.details.unwrap().causes.len()), (422, 2));
}

#[tokio::test(start_paused = true)]
async fn a_fork_begins_like_its_origin_and_goes_its_own_way() {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    api.create(&PostParams::default(), &config_map("both", None)).await.unwrap();
    let fork = server.fork(Arc::new(Still), Random::from_seed(2), None);
    let forked: Api<ConfigMap> = Api::default_namespaced(fork.client());
    let both = forked.get("both").await.unwrap();
    assert_eq!(both.uid(), api.get("both").await.unwrap().uid());
    let watch = forked.watch(&WatchParams::default(), &both.resource_version().unwrap()).await.unwrap();
    pin_mut!(watch);
    api.create(&PostParams::default(), &config_map("origin", None)).await.unwrap();
    forked.create(&PostParams::default(), &config_map("fork", None)).await.unwrap();
    let Some(WatchEvent::Added(seen)) = watch.try_next().await.unwrap() else { panic!("nothing was seen") };
    assert_eq!(seen.name_any(), "fork");
    assert!(
        api.get_opt("fork").await.unwrap().is_none() && forked.get_opt("origin").await.unwrap().is_none()
    );
}
