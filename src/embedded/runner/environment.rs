//! The variables of a container.
//!
//! Responsible for: the kubelet's order of sources, and mapped paths in the values. Must never: hand on a variable of
//! the operator.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};
use kube::ResourceExt;

use super::expansion::expand;
use super::paths::Paths;
use super::problem::Problem;
use super::sources::{Data, Sources, field};

/// Names and values of the variables that a container declares. Only these can be referred to as `$(NAME)`.
pub fn variables(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    paths: &Paths,
) -> Result<BTreeMap<String, String>, Problem> {
    let mut own: BTreeMap<String, String> = BTreeMap::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = match (&source.config_map_ref, &source.secret_ref) {
            (Some(one), _) => sources.config_map(&one.name, one.optional)?,
            (None, Some(one)) => sources.secret(&one.name, one.optional)?,
            (None, None) => None,
        };
        own.extend(data.into_iter().flatten().map(|(key, value)| (format!("{prefix}{key}"), text(value))));
    }
    for variable in container.env.iter().flatten() {
        // A reference sees what stands before it, `envFrom` included.
        if let Some(value) = value(pod, container, variable, sources, &own)? {
            own.insert(variable.name.clone(), value);
        }
    }
    Ok(own.into_iter().map(|(name, value)| (name, paths.map(&value).unwrap_or(value))).collect())
}

fn value(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    sources: &Sources,
    own: &BTreeMap<String, String>,
) -> Result<Option<String>, Problem> {
    let literal = variable.value.as_deref().unwrap_or_default();
    let Some(source) = variable.value_from.as_ref().filter(|_| literal.is_empty()) else {
        return Ok(Some(expand(literal, |name| own.get(name).cloned())));
    };
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(reference) = &source.field_ref {
        return field(pod, &reference.field_path).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let data = sources.config_map(&reference.name, reference.optional)?;
        return key(
            data,
            &reference.key,
            reference.optional,
            &format!("ConfigMap {namespace}/{}", reference.name),
        );
    }
    if let Some(reference) = &source.secret_key_ref {
        let data = sources.secret(&reference.name, reference.optional)?;
        return key(
            data,
            &reference.key,
            reference.optional,
            &format!("Secret {namespace}/{}", reference.name),
        );
    }
    let (name, container) = (&variable.name, &container.name);
    let message = format!("the source of the variable {name} of container {container} is not provided here");
    Err(Problem::unsupported(message))
}

fn key(
    data: Option<&Data>,
    key: &str,
    optional: Option<bool>,
    place: &str,
) -> Result<Option<String>, Problem> {
    // Nothing but an optional one can be missing as a whole.
    match data.and_then(|data| data.get(key)) {
        Some(value) => Ok(Some(text(value))),
        None if optional == Some(true) => Ok(None),
        None => Err(Problem::Missing(format!("couldn't find key {key} in {place}"))),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
