//! Options: the parameters of a request.
//!
//! Responsible for: reading them, and refusing what is no value of them in the API server's words. Must never: act on
//! one.

use serde_json::{Value, json};

use crate::embedded::field::FieldError;
use crate::embedded::kinds::strategy::Propagation;
use crate::embedded::refusal::Refusal;
use crate::embedded::state::DeleteOptions;
use crate::embedded::validate::decode;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a path.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A parameter; empty when it is absent.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// A parameter that is true or false; present without a value is true.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let Some((_, value)) = self.0.iter().find(|(key, _)| key == name) else { return Ok(false) };
        // As Go's conversion of parameters has it: what is not false is true.
        Ok(!matches!(value.to_lowercase().as_str(), "0" | "f" | "false"))
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!("strconv.ParseInt: parsing {}: invalid syntax", json!(text)))
            }),
        }
    }

    /// A version; none when nothing or `0` is asked for is left to the caller.
    pub fn version(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                let quoted = json!(text);
                Refusal::bad_request(format!(
                    "invalid resource version: resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: invalid syntax"
                ))
            }),
        }
    }
}

/// How a write is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub is_dry_run: bool,
    /// Unknown and duplicate fields are refused.
    pub is_strict: bool,
}

/// Reads the options of a write; `kind` is their kind, such as `CreateOptions`.
pub fn write_options(parameters: &Parameters, kind: &str) -> Result<WriteOptions, Refusal> {
    let mut errors = Vec::new();
    let dry_run = parameters.text("dryRun");
    if !matches!(dry_run, "" | "All") {
        errors.push(FieldError::not_supported("dryRun", &json!([dry_run]), &["\"All\"".to_owned()]));
    }
    let validation = parameters.text("fieldValidation");
    if !matches!(validation, "" | "Ignore" | "Warn" | "Strict") {
        let supported = ["", "Ignore", "Strict", "Warn"].map(|word| format!("\"{word}\""));
        errors.push(FieldError::not_supported("fieldValidation", &json!(validation), &supported));
    }
    if !errors.is_empty() {
        return Err(Refusal::invalid_as("meta.k8s.io", kind, "", &errors));
    }
    Ok(WriteOptions { is_dry_run: dry_run == "All", is_strict: validation == "Strict" })
}

/// Reads the options of a deletion, from the body or from the parameters.
pub fn delete_options(parameters: &Parameters, bytes: &[u8]) -> Result<DeleteOptions, Refusal> {
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        decode::read(bytes).map_err(|words| {
            Refusal::bad_request(format!("couldn't get version/kind; json parse error: {words}"))
        })?
    };
    if let Some(kind) = body.get("kind").and_then(Value::as_str).filter(|kind| *kind != "DeleteOptions") {
        let version = body.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        return Err(Refusal::bad_request(format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in the embedded server's scheme of options"
        )));
    }
    let text = |pointer: &str, parameter: &str| {
        let found = body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        found.or_else(|| Some(parameters.text(parameter).to_owned()).filter(|text| !text.is_empty()))
    };
    let mut errors = Vec::new();
    let orphan = body.get("orphanDependents").and_then(Value::as_bool);
    let propagation = match text("/propagationPolicy", "propagationPolicy").as_deref() {
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"].map(|word| format!("\"{word}\""));
            errors.push(FieldError::not_supported("propagationPolicy", &json!(other), &supported));
            None
        }
        None => orphan.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }),
    };
    let dry_run = body.pointer("/dryRun/0").and_then(Value::as_str).unwrap_or(parameters.text("dryRun"));
    if !matches!(dry_run, "" | "All") {
        errors.push(FieldError::not_supported("dryRun", &json!([dry_run]), &["\"All\"".to_owned()]));
    }
    let grace_period = match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
        Some(seconds) => Some(seconds),
        None => parameters.number("gracePeriodSeconds")?,
    };
    if !errors.is_empty() {
        return Err(Refusal::invalid_as("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    Ok(DeleteOptions {
        propagation,
        grace_period,
        uid: text("/preconditions/uid", ""),
        resource_version: text("/preconditions/resourceVersion", ""),
        is_dry_run: dry_run == "All",
    })
}
