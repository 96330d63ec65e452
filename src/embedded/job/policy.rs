//! The pod failure policy of a Job: which rule a failed pod matches, and what follows.
//!
//! Responsible for: Kubernetes' order of rules and its words. Must never: look at anything but the pod's status.

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use kube::ResourceExt;

/// What follows from the failure of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The Job fails, with this message.
    FailJob(String),
    /// It counts towards the backoff limit.
    Count,
    /// It does not count, and the pod is replaced.
    Ignore,
}

/// What follows from the failure of this pod. Without a rule that matches it counts.
#[must_use]
pub fn consequence(spec: &JobSpec, pod: &Pod) -> Consequence {
    let rules = spec.pod_failure_policy.as_ref().map(|policy| policy.rules.as_slice()).unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let matched = if let Some(requirement) = &rule.on_exit_codes {
            matching_container(pod, requirement).map(|(container, code)| {
                format!("Container {container} for pod {} failed with exit code {code}", name(pod))
            })
        } else {
            let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
            matching_condition(pod, patterns)
                .map(|condition| format!("Pod {} has condition {}", name(pod), condition.type_))
        };
        let Some(matched) = matched else { continue };
        match rule.action.as_str() {
            "FailJob" => {
                return Consequence::FailJob(format!("{matched} matching FailJob rule at index {index}"));
            }
            "Ignore" => return Consequence::Ignore,
            "Count" => return Consequence::Count,
            // What is not known decides nothing.
            _ => {}
        }
    }
    Consequence::Count
}

fn name(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

/// Containers come before init containers, as in the real controller.
fn matching_container<'a>(
    pod: &'a Pod,
    requirement: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let init_containers = status.init_container_statuses.iter().flatten();
    containers.chain(init_containers).find_map(|container| {
        let code = exit_code(container).filter(|code| *code != 0)?;
        let is_meant = requirement.container_name.as_ref().is_none_or(|name| *name == container.name);
        let is_listed = requirement.values.contains(&code);
        let matches = match requirement.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        };
        (is_meant && matches).then_some((container.name.as_str(), code))
    })
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    Some(container.state.as_ref()?.terminated.as_ref()?.exit_code)
}

fn matching_condition<'a>(
    pod: &'a Pod,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
) -> Option<&'a PodCondition> {
    let matches = |condition: &PodCondition, pattern: &PodFailurePolicyOnPodConditionsPattern| {
        condition.type_ == pattern.type_ && condition.status == pattern.status.as_deref().unwrap_or("True")
    };
    pod.status
        .as_ref()?
        .conditions
        .iter()
        .flatten()
        .find(|condition| patterns.iter().any(|pattern| matches(condition, pattern)))
}
