//! The decisions of the Job controller's role: what a Job and its pods ask for next.
//!
//! It follows `syncJob` of Kubernetes 1.36, for Jobs that are not indexed, with two differences. Where the real
//! controller writes a terminal status only after it has released all pods, this one writes it before, because a
//! finished Job counts nothing any more; the release is made up for whenever it is missing. And a pod that was
//! withdrawn fails no Job while it ends: the real one seldom sees that moment, because it looks once a second.
//!
//! Responsible for: one next step from what is known. Must never: look at the world, or remember anything.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::pods::{finish_time, is_active, is_ready, is_terminal, is_tracked, phase, uid};
use super::policy::{Consequence, consequence};

/// Name of the real Job controller in `spec.managedBy`.
pub const JOB_CONTROLLER: &str = "kubernetes.io/job-controller";

/// Pause before a failed pod is replaced, doubled with every further failure, and its limit. Kubernetes' own values.
const BACKOFF: SignedDuration = SignedDuration::from_secs(10);
const MAX_BACKOFF: SignedDuration = SignedDuration::from_secs(600);

/// What to do next. Each step is carried out, and its answers taken into account, before the next is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Create so many pods.
    Create(usize),
    /// Delete these pods. They are counted, as failed.
    Delete(Vec<String>),
    /// Release these pods from the finalizer, then delete them: they are not counted.
    Withdraw(Vec<String>),
    /// Write this status.
    Record(Box<JobStatus>),
    /// Release these pods from the finalizer: they have been counted.
    Release(Vec<String>),
    /// Nothing, until something changes or this moment comes.
    Rest(Option<Timestamp>),
}

/// The next step for a Job.
#[must_use]
pub fn next(job: &Job, pods: &[&Pod], now: Timestamp) -> Step {
    // Statuses hold whole seconds: what is compared with one must too.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let tracked = || pods.iter().copied().filter(|pod| is_tracked(pod));
    let Some(spec) = job.spec.as_ref().filter(|_| !is_finished(job)) else {
        return release(tracked()).unwrap_or(Step::Rest(None));
    };
    let old = job.status.clone().unwrap_or_default();
    let mut round = Round { spec, pods, now, wake_at: None, status: old.clone() };
    if let Some(step) = round.run(job.metadata.deletion_timestamp.is_some()) {
        return step;
    }
    if round.status != old {
        return Step::Record(Box::new(round.status));
    }
    let recorded = uids(old.uncounted_terminated_pods.unwrap_or_default());
    let is_leaving = job.metadata.deletion_timestamp.is_some();
    let counted = tracked().filter(|pod| {
        // An ignored failure is recorded nowhere.
        recorded.contains(&uid(pod))
            || is_leaving
            || (is_failed(pod, spec) && consequence(spec, pod) == Consequence::Ignore)
    });
    release(counted).unwrap_or(Step::Rest(round.wake_at))
}

/// Whether the Job has ended and stays as it is.
#[must_use]
pub fn is_finished(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    ["Complete", "Failed"].iter().any(|type_| holding(conditions, type_).is_some())
}

fn release<'a>(pods: impl Iterator<Item = &'a Pod>) -> Option<Step> {
    let names: Vec<String> = pods.map(ResourceExt::name_any).collect();
    (!names.is_empty()).then_some(Step::Release(names))
}

/// One look at a Job.
struct Round<'a> {
    spec: &'a JobSpec,
    pods: &'a [&'a Pod],
    now: Timestamp,
    wake_at: Option<Timestamp>,
    status: JobStatus,
}

/// How the Job ends.
struct End {
    success: bool,
    reason: String,
    message: String,
}

impl Round<'_> {
    /// Brings the status up to date, unless something must be done first.
    fn run(&mut self, is_leaving: bool) -> Option<Step> {
        let is_suspended = self.spec.suspend == Some(true);
        self.settle_uncounted();
        let uncounted = self.uncounted();
        let (succeeded, failed) = self.finished_pods();
        let all_succeeded = count(self.status.succeeded) + len(&uncounted.succeeded) + succeeded.len();
        let counted_failures = failed.iter().filter(|pod| consequence(self.spec, pod) != Consequence::Ignore);
        let all_failed = count(self.status.failed) + len(&uncounted.failed) + counted_failures.count();
        if self.status.start_time.is_none() && !is_suspended {
            self.status.start_time = Some(Time(self.now));
        }

        let mut end = self.recorded_end().or_else(|| self.failure(all_failed, is_suspended));
        if end.is_some() {
            let active: Vec<String> = self.active().map(ResourceExt::name_any).collect();
            if !active.is_empty() {
                return Some(Step::Delete(active));
            }
        } else {
            if !is_leaving && let Some(step) = self.manage(all_succeeded, all_failed, is_suspended) {
                return Some(step);
            }
            let wanted = self.spec.completions.and_then(|wanted| usize::try_from(wanted).ok());
            if all_succeeded >= wanted.unwrap_or(1) && self.active().next().is_none() {
                end = Some(End {
                    success: true,
                    reason: "CompletionsReached".to_owned(),
                    message: "Reached expected number of succeeded pods".to_owned(),
                });
            } else if !is_leaving {
                self.record_suspension(is_suspended);
            }
        }
        self.record(end);
        None
    }

    /// Adds to the counts what was recorded as uncounted and has been released.
    fn settle_uncounted(&mut self) {
        let mut uncounted = self.status.uncounted_terminated_pods.take().unwrap_or_default();
        let tracked: Vec<&str> = self
            .pods
            .iter()
            .filter(|pod| is_tracked(pod))
            .filter_map(|pod| pod.metadata.uid.as_deref())
            .collect();
        let settle = |uids: &mut Option<Vec<String>>, counter: &mut Option<i32>| {
            let before = len(uids);
            if let Some(uids) = uids {
                uids.retain(|uid| tracked.contains(&uid.as_str()));
            }
            *counter = number(count(*counter) + before - len(uids));
        };
        settle(&mut uncounted.succeeded, &mut self.status.succeeded);
        settle(&mut uncounted.failed, &mut self.status.failed);
        self.status.uncounted_terminated_pods = Some(uncounted);
    }

    fn uncounted(&self) -> UncountedTerminatedPods {
        self.status.uncounted_terminated_pods.clone().unwrap_or_default()
    }

    /// Tracked pods that ended and are in no count yet.
    fn finished_pods(&self) -> (Vec<&Pod>, Vec<&Pod>) {
        let uncounted = uids(self.uncounted());
        let new =
            || self.pods.iter().copied().filter(|pod| is_tracked(pod) && !uncounted.contains(&uid(pod)));
        let succeeded = new().filter(|pod| phase(pod) == "Succeeded").collect();
        (succeeded, new().filter(|pod| is_failed(pod, self.spec)).collect())
    }

    fn active(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().copied().filter(|pod| is_active(pod))
    }

    fn terminating(&self) -> usize {
        self.pods.iter().filter(|pod| !is_terminal(pod) && pod.metadata.deletion_timestamp.is_some()).count()
    }

    /// The end that an earlier round has decided on.
    fn recorded_end(&self) -> Option<End> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let end = |type_: &str, success: bool| {
            let condition = holding(conditions, type_)?;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            Some(End { success, reason: text(&condition.reason), message: text(&condition.message) })
        };
        end("SuccessCriteriaMet", true).or_else(|| end("FailureTarget", false))
    }

    fn failure(&mut self, all_failed: usize, is_suspended: bool) -> Option<End> {
        let end =
            |reason: &str, message: String| Some(End { success: false, reason: reason.to_owned(), message });
        let was_withdrawn = |pod: &Pod| pod.metadata.deletion_timestamp.is_some() && !is_tracked(pod);
        for pod in self.pods.iter().filter(|pod| is_failed(pod, self.spec) && !was_withdrawn(pod)) {
            if let Consequence::FailJob(message) = consequence(self.spec, pod) {
                return end("PodFailurePolicy", message);
            }
        }
        let limit = self.spec.backoff_limit.map_or(6, |limit| usize::try_from(limit).unwrap_or_default());
        if all_failed > limit {
            return end("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned());
        }
        let started = self.status.start_time.as_ref().filter(|_| !is_suspended);
        if let Some((seconds, started)) = self.spec.active_deadline_seconds.zip(started) {
            let deadline =
                started.0.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
            if deadline <= self.now {
                return end("DeadlineExceeded", "Job was active longer than specified deadline".to_owned());
            }
            self.wake_at = Some(deadline);
        }
        None
    }

    /// Makes the pods that are missing and ends those that are too many.
    fn manage(&mut self, all_succeeded: usize, all_failed: usize, is_suspended: bool) -> Option<Step> {
        let mut active: Vec<&Pod> = self.active().collect();
        let parallelism =
            self.spec.parallelism.map_or(1, |wanted| usize::try_from(wanted).unwrap_or_default());
        let wanted = if is_suspended {
            0
        } else {
            match self.spec.completions.and_then(|wanted| usize::try_from(wanted).ok()) {
                Some(completions) => completions.saturating_sub(all_succeeded).min(parallelism),
                None if all_succeeded > 0 => active.len(),
                None => parallelism,
            }
        };
        if active.len() > wanted {
            // Those that have come least far go first.
            active.sort_by_key(|pod| (is_ready(pod), phase(pod) == "Running"));
            let names = active.iter().take(active.len() - wanted).map(|pod| pod.name_any()).collect();
            return Some(Step::Withdraw(names));
        }
        let taken = if replaces_only_failed(self.spec) { self.terminating() } else { 0 };
        let missing = wanted.saturating_sub(taken).saturating_sub(active.len());
        if missing == 0 {
            return None;
        }
        if let Some(until) = self.backoff(all_failed).filter(|until| *until > self.now) {
            self.wake_at = Some(self.wake_at.map_or(until, |other| other.min(until)));
            return None;
        }
        Some(Step::Create(missing))
    }

    /// Until when no pod is made after failures. Nothing without failed pods to see.
    fn backoff(&self, all_failed: usize) -> Option<Timestamp> {
        let last =
            self.pods.iter().filter(|pod| phase(pod) == "Failed").filter_map(|pod| finish_time(pod)).max()?;
        let doublings = u32::try_from(all_failed.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
        let pause = BACKOFF.checked_mul(2_i32.pow(doublings)).unwrap_or(MAX_BACKOFF).min(MAX_BACKOFF);
        last.saturating_add(pause).ok().filter(|_| all_failed > 0)
    }

    fn record_suspension(&mut self, is_suspended: bool) {
        let changed = if is_suspended {
            self.condition("Suspended", "True", "JobSuspended", "Job suspended")
        } else {
            self.condition("Suspended", "False", "JobResumed", "Job resumed")
        };
        if changed {
            // The deadline counts from the start or the last resumption.
            self.status.start_time = (!is_suspended).then_some(Time(self.now));
        }
    }

    /// Writes counts and conditions.
    fn record(&mut self, end: Option<End>) {
        let mut uncounted = self.uncounted();
        let known = uids(uncounted.clone());
        let terminating = self.terminating();
        let new = self.pods.iter().copied().filter(|pod| is_tracked(pod) && !known.contains(&uid(pod)));
        for pod in new {
            let has_failed = is_failed(pod, self.spec) || end.as_ref().is_some_and(|end| !end.success);
            if phase(pod) == "Succeeded" {
                uncounted.succeeded.get_or_insert_default().push(uid(pod));
            } else if has_failed && consequence(self.spec, pod) != Consequence::Ignore {
                // Where the Job has failed, so has every pod that did not succeed.
                uncounted.failed.get_or_insert_default().push(uid(pod));
            }
        }
        let ready = self.active().filter(|pod| is_ready(pod)).count();
        let active = self.active().count();
        self.status.active = number(active);
        self.status.ready = Some(i32::try_from(ready).unwrap_or(i32::MAX));
        self.status.terminating = Some(i32::try_from(terminating).unwrap_or(i32::MAX));
        if let Some(end) = end {
            let (interim, last) =
                if end.success { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
            self.condition(interim, "True", &end.reason, &end.message);
            if terminating == 0 && active == 0 {
                self.condition(last, "True", &end.reason, &end.message);
                self.status.succeeded = number(count(self.status.succeeded) + len(&uncounted.succeeded));
                self.status.failed = number(count(self.status.failed) + len(&uncounted.failed));
                self.status.completion_time = end.success.then_some(Time(self.now));
                uncounted = UncountedTerminatedPods::default();
            }
        }
        uncounted.succeeded.take_if(|uids| uids.is_empty());
        uncounted.failed.take_if(|uids| uids.is_empty());
        self.status.uncounted_terminated_pods = Some(uncounted);
    }

    /// Sets a condition. One that is not there is never made False. The result is whether anything changed.
    fn condition(&mut self, type_: &str, status: &str, reason: &str, message: &str) -> bool {
        let new = JobCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_probe_time: Some(Time(self.now)),
            last_transition_time: Some(Time(self.now)),
        };
        let conditions = self.status.conditions.get_or_insert_default();
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            Some(old)
                if old.status == new.status && old.reason == new.reason && old.message == new.message =>
            {
                false
            }
            Some(old) => {
                *old = new;
                true
            }
            None if status == "False" => {
                if conditions.is_empty() {
                    self.status.conditions = None;
                }
                false
            }
            None => {
                conditions.push(new);
                true
            }
        }
    }
}

fn holding<'a>(conditions: &'a [JobCondition], type_: &str) -> Option<&'a JobCondition> {
    conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
}

fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed") || spec.pod_failure_policy.is_some()
}

fn is_failed(pod: &Pod, spec: &JobSpec) -> bool {
    let is_ending = pod.metadata.deletion_timestamp.is_some() && phase(pod) != "Succeeded";
    phase(pod) == "Failed" || (is_ending && !replaces_only_failed(spec))
}

fn uids(uncounted: UncountedTerminatedPods) -> Vec<String> {
    [uncounted.succeeded, uncounted.failed].into_iter().flatten().flatten().collect()
}

fn len(uids: &Option<Vec<String>>) -> usize {
    uids.as_ref().map_or(0, Vec::len)
}

fn count(number: Option<i32>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

/// A count as the server stores it: zero is absent.
fn number(count: usize) -> Option<i32> {
    (count > 0).then(|| i32::try_from(count).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests;
