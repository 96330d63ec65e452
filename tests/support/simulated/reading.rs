//! Reading objects as JSON.
//!
//! Responsible for: the few values that invariants are about. Must never: judge them.

use jiff::Timestamp;
use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::store::{Key, Object, Store};
use serde_json::{Value, json};

use super::nodes::{is_over, label};
use super::scenario::{NAMESPACE, RUN};

/// A text in an object.
pub fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Name and uid of the one controller of an object.
pub fn controller(object: &Value) -> Option<(&str, &str)> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let [owner] = owners.as_slice() else { return None };
    (owner["controller"] == true && owner["kind"] == "Orchestration").then_some(())?;
    Some((owner["name"].as_str()?, owner["uid"].as_str()?))
}

/// The recorded state of an activity.
pub fn recorded(run: &Value, activity: &str) -> ActivityState {
    let state = run.pointer(&format!("/status/activities/{activity}/state"));
    state.and_then(|state| serde_json::from_value(state.clone()).ok()).unwrap_or_default()
}

/// The recorded entry of an activity; null if there is none.
pub fn entry<'v>(run: &'v Value, activity: &str) -> &'v Value {
    &run["status"]["activities"][activity]
}

/// A time in an object.
pub fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

/// Whether a state never changes any more.
pub fn is_final(state: ActivityState) -> bool {
    matches!(
        state,
        ActivityState::Succeeded
            | ActivityState::Skipped
            | ActivityState::Failed
            | ActivityState::Cancelled
            | ActivityState::NotStarted
    )
}

/// Whether what depends on an activity may go on.
pub fn is_done(state: ActivityState) -> bool {
    matches!(state, ActivityState::Succeeded | ActivityState::Skipped)
}

/// The Jobs or pods of an activity of a run.
pub fn children<'s>(
    store: &'s Store,
    storage: &'static str,
    uid: &str,
    activity: &str,
) -> impl Iterator<Item = &'s Object> {
    let is_of = move |object: &&Object| {
        label(&object.value, "orchestration-uid") == uid && label(&object.value, "activity") == activity
    };
    store.list(storage, Some(NAMESPACE)).map(AsRef::as_ref).filter(is_of)
}

/// Whether a pod runs, or will.
pub fn is_alive(pod: &Value) -> bool {
    !matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}

/// Whether a Job may still have pods of its own.
pub fn is_active(job: &Value) -> bool {
    !is_over(job) && job["spec"]["suspend"] != true
}

/// What of a Job only its maker may decide.
pub fn without_suspension(job: &Value) -> Value {
    let mut spec = job["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("suspend");
    }
    json!([
        spec,
        job["metadata"]["labels"],
        job["metadata"]["annotations"],
        job["metadata"]["ownerReferences"]
    ])
}

/// Whether the run says that it runs from a revision, or ran.
pub fn is_in_use(store: &Store, revision: &Key) -> bool {
    let place = Key {
        storage: "orchestrator.dev/orchestrations".to_owned(),
        namespace: revision.namespace.clone(),
        name: RUN.to_owned(),
    };
    store.get(&place).is_some_and(|run| text(&run.value, "/status/revision") == Some(&revision.name))
}
