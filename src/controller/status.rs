//! Writing a status: a merge patch of what changed, with the resourceVersion that it was computed from.
//!
//! Responsible for: optimistic locking. A status computed from an old object is refused by the server (409) instead
//! of overwriting a newer one. Must never: write a status that is equal, or anything but a status.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::Error;
use super::guard::Guarded;
use crate::api::labels;
use crate::client::bounded;

/// Writes a patch of the form `{"status": …}`. The result is the object as it is then.
pub async fn write<K>(
    client: &Client,
    object: &impl ResourceExt,
    mut patch: Value,
) -> Result<Guarded<K>, Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug,
{
    if let Some(patch) = patch.as_object_mut() {
        patch.insert("metadata".to_owned(), json!({"resourceVersion": object.resource_version()}));
    }
    let api: Api<Guarded<K>> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let parameters =
        PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
    bounded(api.patch_status(&object.name_any(), &parameters, &Patch::Merge(patch)))
        .await
        .map_err(|source| Error::Write { what: "the status", source })
}
