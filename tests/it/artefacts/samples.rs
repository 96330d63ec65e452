//! `config/samples`: every document is one of our kinds, loses nothing when it is read, and refers to what is there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde_json::Value;

use super::{documents, names, path, typed};

/// The documents of one directory of samples.
#[derive(Default)]
pub struct Samples {
    pub activities: Vec<ActivityDefinition>,
    pub definitions: Vec<OrchestrationDefinition>,
    pub orchestrations: Vec<Orchestration>,
    pub schedules: Vec<OrchestrationSchedule>,
}

/// Reads a directory. Whatever is in it must be a sample.
pub fn load(directory: &str) -> Samples {
    let directory: PathBuf = path("config/samples").join(directory);
    let mut samples = Samples::default();
    for name in names(&directory) {
        let file = directory.join(&name);
        assert!(name.ends_with(".yaml"), "{} is not a sample", file.display());
        let documents = documents(&file);
        assert!(!documents.is_empty(), "{} is empty", file.display());
        for document in documents {
            let group = if document["kind"] == "ConfigMap" { "v1" } else { "orchestrator.dev/v1alpha1" };
            assert_eq!(document["apiVersion"], group, "{}", file.display());
            assert!(document["metadata"]["namespace"].is_null(), "{} names a namespace", file.display());
            match document["kind"].as_str() {
                Some("ActivityDefinition") => samples.activities.push(typed(&document)),
                Some("OrchestrationDefinition") => samples.definitions.push(typed(&document)),
                Some("OrchestrationSchedule") => samples.schedules.push(typed(&document)),
                Some("ConfigMap") => drop(typed::<ConfigMap>(&document)),
                Some("Orchestration") => samples.orchestrations.push(typed(&document)),
                kind => panic!("{} has a document of kind {kind:?}", file.display()),
            }
        }
    }
    samples
}

fn all() -> Vec<(String, Samples)> {
    let directories = names(&path("config/samples"));
    assert!(!directories.is_empty(), "there are no samples");
    directories.into_iter().map(|directory| (directory.clone(), load(&directory))).collect()
}

#[test]
fn every_sample_is_read_without_a_loss() {
    for (directory, samples) in all() {
        assert!(!samples.orchestrations.is_empty(), "{directory} runs nothing");
    }
}

#[test]
fn every_type_that_a_sample_refers_to_is_beside_it() {
    for (directory, samples) in all() {
        let activities: BTreeSet<_> =
            samples.activities.iter().filter_map(|a| a.metadata.name.clone()).collect();
        let definitions: BTreeSet<_> =
            samples.definitions.iter().filter_map(|d| d.metadata.name.clone()).collect();
        let used: BTreeSet<_> = samples
            .definitions
            .iter()
            .flat_map(|d| d.spec.activities.iter().chain(&d.spec.finally))
            .map(|a| a.type_.clone())
            .collect();
        assert_eq!(
            used, activities,
            "{directory}: the activity types that are used, and those that are defined"
        );
        let scheduled = samples.schedules.iter().map(|s| &s.spec.orchestration_template.spec.type_);
        let run: BTreeSet<_> =
            samples.orchestrations.iter().map(|o| &o.spec.type_).chain(scheduled).cloned().collect();
        assert_eq!(
            run, definitions,
            "{directory}: the orchestration types that are run, and those that are defined"
        );
    }
}

#[test]
fn every_pod_template_is_one_and_runs_under_the_restricted_profile() {
    for (_, samples) in all() {
        for activity in samples.activities {
            let name = activity.metadata.name.unwrap();
            let job = activity.spec.job.unwrap_or_else(|| panic!("{name} is not a Job"));
            // An open object in the CRD: only this type sees a field that does not exist.
            let template: PodTemplateSpec = typed(&Value::Object(job.template));
            let pod = template.spec.unwrap();
            let security = pod.security_context.unwrap();
            assert_eq!(security.run_as_non_root, Some(true), "{name}");
            assert!(security.run_as_user > Some(0), "{name}");
            assert!(pod.volumes.is_none() && pod.service_account_name.is_none(), "{name}");
            for container in pod.containers {
                assert!(!container.image.unwrap().ends_with(":latest"), "{name}");
                assert!(container.resources.unwrap().requests.is_some(), "{name}");
                for argument in container.command.iter().chain(&container.args).flatten() {
                    // Kubernetes would make one of it.
                    assert!(!argument.contains("$$"), "{name}");
                }
            }
        }
    }
}
