//! The guard: reads an object of a user so that no object can harm the reading of the others.
//!
//! Responsible for: turning what cannot be read into a value. One object of the wrong shape, or nested deeper than the
//! parser goes, would make the typed list of its kind fail for every tenant. Must never: interpret an object.

use std::borrow::Cow;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// An object whose metadata could be read, and whose rest perhaps could not.
#[derive(Clone, Debug)]
pub struct Guarded<K> {
    metadata: ObjectMeta,
    /// The object, or why it cannot be read.
    pub content: Result<K, Unreadable>,
}

impl<K: Resource> Guarded<K> {
    /// An object that could be read.
    pub fn readable(object: K) -> Self {
        Self { metadata: object.meta().clone(), content: Ok(object) }
    }
}

/// What is known of an object that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub message: String,
    /// Whether it is nested deeper than the parser goes, which no other version could read either.
    pub too_deep: bool,
    /// The generation that the status speaks of, if that much could be read.
    pub observed_generation: Option<i64>,
    /// Whether the status says that it has finished.
    pub is_finished: bool,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.too_deep {
            formatter.write_str("the object is nested deeper than the 128 levels that can be read")
        } else {
            write!(formatter, "the object cannot be read: {}", self.message)
        }
    }
}

#[derive(Deserialize)]
struct Shell<'a> {
    metadata: Metadata,
    #[serde(borrow, default)]
    status: Option<&'a RawValue>,
}

/// What we need of an object's metadata. Its managedFields repeat the nesting of the whole object: they are walked over
/// without recursion, and not taken.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<Metadata> for ObjectMeta {
    fn from(read: Metadata) -> Self {
        Self {
            name: read.name,
            namespace: read.namespace,
            uid: read.uid,
            resource_version: read.resource_version,
            generation: read.generation,
            creation_timestamp: read.creation_timestamp,
            deletion_timestamp: read.deletion_timestamp,
            owner_references: read.owner_references,
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusShell {
    observed_generation: Option<i64>,
    completion_time: Option<String>,
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As text first: this step walks the nesting without recursion.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let shell: Shell<'_> = serde_json::from_str(raw.get()).map_err(D::Error::custom)?;
        let metadata = ObjectMeta::from(shell.metadata);
        let content = match serde_json::from_str::<K>(raw.get()) {
            Ok(mut object) => {
                object.meta_mut().managed_fields = None;
                Ok(object)
            }
            Err(error) => {
                let message = error.to_string();
                let status =
                    shell.status.and_then(|status| serde_json::from_str::<StatusShell>(status.get()).ok());
                Err(Unreadable {
                    too_deep: message.contains("recursion limit"),
                    message,
                    observed_generation: status.as_ref().and_then(|status| status.observed_generation),
                    is_finished: status.is_some_and(|status| status.completion_time.is_some()),
                })
            }
        };
        Ok(Self { metadata, content })
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Guarded<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(dynamic: &()) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &()) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &()) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &()) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Orchestration;
    use kube::core::ObjectList;

    fn list(input: &str) -> ObjectList<Guarded<Orchestration>> {
        let text = format!(
            r#"{{"apiVersion": "v1", "kind": "List", "metadata": {{}}, "items": [
                {{"metadata": {{"name": "bad", "uid": "1"}}, "spec": {{"type": "t", "input": {input}}}, "status": {{"observedGeneration": 3}}}},
                {{"metadata": {{"name": "good", "uid": "2"}}, "spec": {{"type": "t"}}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn managed_fields_as_deep_as_the_object_leave_the_others_readable() {
        for depth in [130, 9000] {
            let fields = format!("{}1{}", r#"{"f:a":"#.repeat(depth), "}".repeat(depth));
            let text = format!(
                r#"{{"apiVersion": "v1", "kind": "List", "metadata": {{}}, "items": [
                    {{"metadata": {{"name": "bad", "managedFields": [{{"fieldsV1": {fields}}}]}}, "spec": {{"type": "t"}}}},
                    {{"metadata": {{"name": "good"}}, "spec": {{"type": "t"}}}}]}}"#
            );
            let list: ObjectList<Guarded<Orchestration>> = serde_json::from_str(&text).unwrap();
            assert_eq!(list.items[0].meta().name.as_deref(), Some("bad"));
            assert!(list.items[0].content.as_ref().unwrap_err().too_deep);
            assert!(list.items[1].content.is_ok());
        }
    }

    #[test]
    fn a_poison_object_leaves_the_others_readable() {
        for depth in [126, 3000, 9000] {
            let input = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
            let items = list(&input).items;
            let bad = items[0].content.as_ref().unwrap_err();
            assert!(bad.too_deep && bad.observed_generation == Some(3), "{bad:?}");
            assert_eq!(items[0].meta().name.as_deref(), Some("bad"));
            assert!(items[1].content.is_ok());
        }
        let items = list("17").items;
        assert!(!items[0].content.as_ref().unwrap_err().too_deep);
        assert!(items[1].content.is_ok());
    }
}
