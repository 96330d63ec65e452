//! Patches: an object and a change of it become a new object.
//!
//! Responsible for: JSON patches and merge patches. Must never: store what comes of them.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use super::Call;
use crate::embedded::kinds::Kind;
use crate::embedded::refusal::Refusal;
use crate::embedded::validate::decode;
use crate::embedded::validate::typed::go_word;

/// Most operations of a JSON patch.
const MAX_OPERATIONS: usize = 10_000;
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Applies the patch of a request.
pub fn apply(call: &Call<'_>, kind: &Kind, object: &Value) -> Result<Value, Refusal> {
    let media_type = call.header(http::header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let shown = kind.view(object).unwrap_or_else(|| object.clone());
    match media_type {
        JSON_PATCH => json_patch(call.bytes, shown),
        MERGE_PATCH => merge_patch(call.bytes, shown),
        _ => Err(Refusal::unsupported_media_type(&format!("{JSON_PATCH}, {MERGE_PATCH}"))),
    }
}

fn undecodable(words: &str) -> Refusal {
    Refusal::bad_request(format!("error decoding patch: {words}"))
}

fn merge_patch(bytes: &[u8], mut object: Value) -> Result<Value, Refusal> {
    let patch = decode::read(bytes).map_err(|words| undecodable(&words))?;
    if !patch.is_object() {
        let word = go_word(&patch);
        return Err(undecodable(&format!(
            "json: cannot unmarshal {word} into Go value of type map[string]interface {{}}"
        )));
    }
    json_patch::merge(&mut object, &patch);
    Ok(object)
}

fn json_patch(bytes: &[u8], mut object: Value) -> Result<Value, Refusal> {
    let patch = decode::read(bytes).map_err(|words| undecodable(&words))?;
    let Some(operations) = patch.as_array() else {
        let word = go_word(&patch);
        return Err(undecodable(&format!(
            "json: cannot unmarshal {word} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(Refusal::too_large(MAX_OPERATIONS));
    }
    let patch: Patch = serde_json::from_value(patch).map_err(|_| Refusal::patch_does_not_fit())?;
    for operation in patch.0 {
        // Kubernetes takes null for what is not there.
        if let PatchOperation::Test(test) = &operation
            && test.value.is_null()
            && test.path.resolve(&object).is_err()
        {
            continue;
        }
        json_patch::patch(&mut object, &[operation]).map_err(|_| Refusal::patch_does_not_fit())?;
    }
    Ok(object)
}
