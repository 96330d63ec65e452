//! The ConfigMaps and Secrets that a pod refers to.
//!
//! Responsible for: reading each of them once per pod, and the kubelet's words for what is missing. Must never:
//! read what the pod does not name, or keep it longer than the pod's start.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Volume};
use kube::{Api, Client, ResourceExt};

use super::problem::Problem;
use crate::client::{bounded, words};

/// Keys and their bytes.
pub type Data = BTreeMap<String, Vec<u8>>;

/// What a pod refers to, by name; nothing for what does not exist.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Data of ConfigMaps.
    pub config_maps: BTreeMap<String, Option<Data>>,
    /// Data of Secrets.
    pub secrets: BTreeMap<String, Option<Data>>,
}

impl Sources {
    /// Names everything that the pod refers to.
    #[must_use]
    pub fn named_by(pod: &Pod) -> Self {
        let mut sources = Self::default();
        let Some(spec) = &pod.spec else { return sources };
        spec.init_containers
            .iter()
            .flatten()
            .chain(&spec.containers)
            .for_each(|one| sources.add_container(one));
        spec.volumes.iter().flatten().for_each(|volume| sources.add_volume(volume));
        sources
    }

    fn add_container(&mut self, container: &Container) {
        for source in container.env_from.iter().flatten() {
            self.add(
                source.config_map_ref.as_ref().map(|one| &one.name),
                source.secret_ref.as_ref().map(|one| &one.name),
            );
        }
        for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
            let config_map = source.config_map_key_ref.as_ref().map(|one| &one.name);
            self.add(config_map, source.secret_key_ref.as_ref().map(|one| &one.name));
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        let config_map = volume.config_map.as_ref().map(|one| &one.name);
        self.add(config_map, volume.secret.as_ref().and_then(|one| one.secret_name.as_ref()));
        for source in volume.projected.iter().filter_map(|one| one.sources.as_ref()).flatten() {
            self.add(
                source.config_map.as_ref().map(|one| &one.name),
                source.secret.as_ref().map(|one| &one.name),
            );
        }
    }

    fn add(&mut self, config_map: Option<&String>, secret: Option<&String>) {
        self.config_maps.extend(config_map.map(|name| (name.clone(), None)));
        self.secrets.extend(secret.map(|name| (name.clone(), None)));
    }

    /// Reads everything that is named.
    pub async fn read(&mut self, client: &Client, namespace: &str) -> Result<(), Problem> {
        let failed = |error: kube::Error| Problem::Missing(words(&error));
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        for (name, data) in &mut self.config_maps {
            *data = bounded(config_maps.get_opt(name)).await.map_err(failed)?.map(config_map_data);
        }
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        for (name, data) in &mut self.secrets {
            *data = bounded(secrets.get_opt(name)).await.map_err(failed)?.map(secret_data);
        }
        Ok(())
    }

    /// Data of a ConfigMap; nothing if it is optional and missing.
    pub fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<&Data>, Problem> {
        find(&self.config_maps, "configmap", name, optional)
    }

    /// Data of a Secret; nothing if it is optional and missing.
    pub fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<&Data>, Problem> {
        find(&self.secrets, "secret", name, optional)
    }
}

fn find<'a>(
    all: &'a BTreeMap<String, Option<Data>>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a Data>, Problem> {
    let data = all.get(name).and_then(Option::as_ref);
    if data.is_none() && optional != Some(true) {
        return Err(Problem::Missing(format!("{kind} {name:?} not found")));
    }
    Ok(data)
}

fn config_map_data(config_map: ConfigMap) -> Data {
    let text = config_map.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    let binary = config_map.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0));
    text.chain(binary).collect()
}

fn secret_data(secret: Secret) -> Data {
    secret.data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0)).collect()
}

/// A field of the pod, as the downward API gives it.
pub fn field(pod: &Pod, path: &str) -> Result<String, Problem> {
    let spec = pod.spec.as_ref();
    let entry = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
    if let Some(key) = subscript(path, "metadata.annotations") {
        return Ok(entry(pod.annotations(), key));
    }
    if let Some(key) = subscript(path, "metadata.labels") {
        return Ok(entry(pod.labels(), key));
    }
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => lines(pod.labels()),
        "metadata.annotations" => lines(pod.annotations()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => "127.0.0.1".to_owned(),
        _ => return Err(Problem::unsupported(format!("the field {path} of a pod is not provided here"))),
    })
}

fn subscript<'a>(path: &'a str, map: &str) -> Option<&'a str> {
    path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")
}

/// `key="value"`, one a line, as the kubelet writes a whole map.
fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}
