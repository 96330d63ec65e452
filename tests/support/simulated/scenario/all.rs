//! The scenarios that the explorer goes through.
//!
//! Responsible for: one for every feature whose course faults could change. Must never: be long; every request of one is
//! a place for every fault.

use super::{Course, FAILURE, FATAL, Scenario, Step};
use crate::support::simulated::users::Act;

impl Scenario {
    /// How it ends if nothing touches it.
    fn ends(self, end: &'static str, states: &'static str) -> Self {
        Self { end, states, ..self }
    }

    /// With something particular about a step.
    fn with(mut self, id: &str, change: impl FnOnce(&mut Step)) -> Self {
        let mut steps = self.steps.iter_mut().chain(&mut self.finally);
        change(steps.find(|step| step.id == id).unwrap());
        self
    }

    fn finally(self, words: &str) -> Self {
        Self { finally: words.split(' ').map(Step::parse).collect(), ..self }
    }
}

pub fn all() -> Vec<Scenario> {
    [plain(), attempts(), times(), policies(), lasts(), shutdowns(), kept()].concat()
}

fn plain() -> Vec<Scenario> {
    let fan_out = Scenario { parallelism: Some(2), ..Scenario::new("fan-out", "a b<a c<a d<a e<a") };
    let tiered = Scenario { tiered: true, ..Scenario::new("tiered", "a b<a c<b d") };
    let skipping = Scenario { has_data: true, ..Scenario::new("skipping", "a b<a c=a,b d=c") }
        .with("b", |b| b.when = Some("input.cell != 'dark'"))
        .with("d", |d| d.when = Some("activities.c.outputs.value == 'of c' && input.n == 3"));
    vec![
        Scenario::new("chain", "a b=a c=b").ends("Succeeded", "a Succeeded/1 b Succeeded/1 c Succeeded/1"),
        Scenario::new("diamond", "a b=a c=a d=b,c")
            .ends("Succeeded", "a Succeeded/1 b Succeeded/1 c Succeeded/1 d Succeeded/1"),
        fan_out.ends("Succeeded", "a Succeeded/1 b Succeeded/1 c Succeeded/1 d Succeeded/1 e Succeeded/1"),
        Scenario::new("failing", "a b<a! c<a d<b,c")
            .ends("Failed", "a Succeeded/1 b Failed/1 c Succeeded|NotStarted d NotStarted/0"),
        tiered.ends("Succeeded", "a Succeeded/1 b Succeeded/1 c Succeeded/1 d Succeeded/1"),
        skipping.ends("Succeeded", "a Succeeded/1 b Skipped/0 c Succeeded/1 d Succeeded/1"),
    ]
}

/// Attempts that fail.
fn attempts() -> Vec<Scenario> {
    let script = |course: Course, times: u32, retries: u32| {
        move |step: &mut Step| (step.script, step.retries) = ((course, times), retries)
    };
    // A program that is asked to end says that all is lost: who deletes its pod does not make the run fail.
    let trapping = Scenario { deleted: FATAL, ..Scenario::new("trapping", "a@ b=a") };
    vec![
        Scenario::new("retrying", "a b=a c=b")
            .with("b", script(Course::Fail(FAILURE), 2, 2))
            .ends("Succeeded", "a Succeeded/1 b Succeeded/3 c Succeeded/1"),
        Scenario::new("exhausted", "a b<a c")
            .with("a", script(Course::Fail(FAILURE), u32::MAX, 1))
            .ends("Failed", "a Failed/2 b NotStarted/0 c Succeeded|NotStarted"),
        Scenario::new("fatal", "a b<a")
            .with("a", script(Course::Fail(FATAL), u32::MAX, 3))
            .ends("Failed", "a Failed/1 b NotStarted/0"),
        trapping.ends("Succeeded", "a Succeeded/1 b Succeeded/1"),
    ]
}

/// What takes too long.
fn times() -> Vec<Scenario> {
    let slow = |step: &mut Step| (step.script, step.timeout) = ((Course::Run, 1), Some(20));
    // A server that is away for ten minutes costs an attempt.
    let stuck = |step: &mut Step| (step.script, step.starting, step.retries) = ((Course::Stick, 1), 40, 6);
    let failing = |step: &mut Step| {
        (step.script, step.retries, step.pause) = ((Course::Fail(FAILURE), u32::MAX), 5, 1000);
    };
    let late = Scenario { deadline: 300, ..Scenario::new("late", "a b<a").with("a", failing) };
    let overdue = Scenario { deadline: 100, ..Scenario::new("overdue", "a~ b<a").finally("z") };
    vec![
        Scenario::new("slow", "a b=a").with("a", slow).ends("Succeeded", "a Succeeded/2 b Succeeded/1"),
        Scenario::new("stuck", "a b=a").with("a", stuck).ends("Succeeded", "a Succeeded/1-7 b Succeeded/1"),
        late.ends("Failed", "a Cancelled|NotStarted b NotStarted/0"),
        overdue.ends("Failed", "a Cancelled|NotStarted b NotStarted/0 z Succeeded/1"),
    ]
}

fn policies() -> Vec<Scenario> {
    let cancelling = Scenario { policy: "Cancel", ..Scenario::new("cancelling", "a! b~ c<b") };
    let continuing =
        Scenario { policy: "Continue", tiered: true, ..Scenario::new("continuing", "a! b<a c d<c") };
    vec![
        cancelling.ends("Failed", "a Failed/1 b Cancelled|NotStarted c NotStarted/0"),
        continuing.ends("Failed", "a Failed/1 b NotStarted/0 c Succeeded/1 d Succeeded/1"),
    ]
}

/// What comes last.
fn lasts() -> Vec<Scenario> {
    let unless_good = |step: &mut Step| step.when = Some("run.state != 'Succeeded'");
    let stuck = Scenario { finally_deadline: 60, ..Scenario::new("stuck-at-last", "a").finally("z~") };
    vec![
        Scenario::new("good-at-last", "a b<a")
            .finally("z=a y")
            .with("y", unless_good)
            .ends("Succeeded", "a Succeeded/1 b Succeeded/1 z Succeeded/1 y Skipped/0"),
        Scenario::new("bad-at-last", "a! b<a")
            .finally("z=a y")
            .with("y", unless_good)
            .ends("Failed", "a Failed/1 b NotStarted/0 z Succeeded/1 y Succeeded/1"),
        stuck.ends("Failed", "a Succeeded/1 z Cancelled|NotStarted"),
    ]
}

/// What users stop and hold up.
fn shutdowns() -> Vec<Scenario> {
    // An operator whose watch is silent hears of it when its next write is refused: it has started another one by then.
    let stopped =
        Scenario { acts: vec![(3, Act::Stop)], ..Scenario::new("stopped", "a@ b<a@ c<b").finally("z=a") };
    // What is in finally runs if a fault resumes it in time.
    let held = Scenario {
        acts: vec![(3, Act::Suspend), (6, Act::Stop)],
        ..Scenario::new("held", "a@ b<a@ c<b").finally("z=a")
    };
    let terminated =
        Scenario { acts: vec![(6, Act::Terminate)], ..Scenario::new("terminated", "a~ b").finally("z") };
    let suspended =
        Scenario { is_suspended: true, acts: vec![(20, Act::Resume)], ..Scenario::new("suspended", "a b=a") };
    vec![
        stopped
            .ends("Cancelled", "a Succeeded|NotStarted b Succeeded|NotStarted c NotStarted/0 z Succeeded/1"),
        terminated
            .ends("Cancelled", "a Cancelled|NotStarted b Succeeded|Cancelled|NotStarted z NotStarted/0"),
        held.ends(
            "Cancelled",
            "a Succeeded|NotStarted b Succeeded|NotStarted c NotStarted/0 z Succeeded|NotStarted",
        ),
        suspended.ends("Succeeded", "a Succeeded/1 b Succeeded/1"),
    ]
}

/// What is taken over, and what is kept afterwards.
fn kept() -> Vec<Scenario> {
    let resumed = Scenario { broke: Some("c"), taken: &["a", "b"], ..Scenario::new("resumed", "a b=a c=b") };
    let changed = Scenario {
        broke: Some("c"),
        changed: Some("b"),
        taken: &["a"],
        ..Scenario::new("changed", "a b=a c=b")
    };
    // Longer than any request is under way.
    let kept = Scenario { retention: Some(50), ..Scenario::new("kept", "a b=a") };
    let short_lived =
        Scenario { time_to_live: Some(80), retention: Some(50), ..Scenario::new("short-lived", "a b<a") };
    vec![
        resumed.ends("Succeeded", "a Succeeded/0 b Succeeded/0 c Succeeded/1"),
        changed.ends("Succeeded", "a Succeeded/0 b Succeeded/1 c Succeeded/1"),
        kept.ends("Succeeded", "a Succeeded/1 b Succeeded/1"),
        short_lived.ends("Succeeded", "a Succeeded/1 b Succeeded/1"),
    ]
}
