//! Whole runs of random definitions in the simulated world, driven as the shell does: effects, then another look and
//! another plan, then the record; with crashes in between.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{at, object, typed};
use super::invariants::{Moment, check};
use super::world::{Dice, World};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, Orchestration, OrchestrationStatus, Shutdown};
use crate::engine::acceptance::{Definition, deadline, decide};
use crate::engine::definition::Compiled;
use crate::engine::observe::Observed;
use crate::engine::plan::{STOP_GRACE, Situation, Urgency, plan};
use crate::engine::state::is_done;

/// A definition, and what it means in words of its own.
pub struct Case {
    pub compiled: Compiled,
    pub is_tiered: bool,
    sources: Vec<Vec<(String, Source)>>,
    conditions: Vec<When>,
    kinds: Vec<Kind>,
    /// Those of `finally`, by index from the first.
    lasts: Vec<Last>,
    outputs: Vec<(String, Source)>,
    input: Object,
}

/// What an activity of `finally` is like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    Always,
    /// Only after this state.
    After(&'static str),
}

/// What an activity takes and produces.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Anything.
    Plain,
    /// It requires t0, and has a default.
    Needy,
    /// It has to produce a value.
    Strict,
}

/// The condition of an activity.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    True,
    False,
    Skipped(usize),
    HasValue(usize),
    Broken,
}

/// Where a value comes from, as the definition was made.
#[derive(Clone, Copy, Debug)]
enum Source {
    Input,
    MemberOfInput,
    Nothing,
    Whole(usize),
    Value(usize),
    RunState,
}

impl Case {
    /// A random definition of so many activities.
    fn new(size: usize, dice: &mut Dice) -> Self {
        let density = 1 + dice.below(4);
        // Ids in random order, so that the definition is not in topological order.
        let mut position: Vec<usize> = (0..size).collect();
        for at in (1..size).rev() {
            position.swap(at, dice.index(at + 1));
        }
        let mut activities = vec![Value::Null; size];
        let mut sources = vec![Vec::new(); size];
        let mut conditions = vec![When::Always; size];
        let mut kinds = vec![Kind::Plain; size];
        let mut ancestors: Vec<Vec<usize>> = Vec::new();
        for at in 0..size {
            let mut depends_on: Vec<usize> =
                (0..dice.below(density)).filter(|_| at > 0).map(|_| dice.index(at)).collect();
            depends_on.sort_unstable();
            depends_on.dedup();
            let mut above: Vec<usize> =
                depends_on.iter().flat_map(|on| ancestors[*on].iter().copied().chain([*on])).collect();
            above.sort_unstable();
            above.dedup();
            let readable: Vec<usize> = above.iter().map(|on| position[*on]).collect();
            let kind = kind(dice);
            let least = u64::from(kind == Kind::Needy);
            let chosen: Vec<(String, Source)> = (0..least + dice.below(4 - least))
                .map(|item| (format!("t{item}"), source(dice, &readable)))
                .collect();
            let when = when(dice, &readable);
            let id = position[at];
            activities[id] = json!({
                "id": format!("a{id}"), "type": format!("{kind:?}"),
                "dependsOn": depends_on.iter().map(|on| format!("a{}", position[*on])).collect::<Vec<_>>(),
                "inputs": mappings(&chosen), "when": expression(when),
                "retry": {"maxRetries": dice.below(3), "backoff": {"initialSeconds": dice.below(4), "maxSeconds": 4}},
                "startingDeadlineSeconds": 8 + dice.below(40),
            });
            sources[id] = chosen;
            conditions[id] = when;
            kinds[id] = kind;
            ancestors.push(above);
        }
        let all: Vec<usize> = (0..size).collect();
        let outputs: Vec<(String, Source)> =
            (0..dice.below(3)).map(|item| (format!("o{item}"), source(dice, &all))).collect();
        let is_tiered = dice.one_in(3);
        let mut lasts = Vec::new();
        let mut finally = Vec::new();
        for at in 0..if dice.one_in(3) { 1 + dice.index(3) } else { 0 } {
            let last =
                dice.pick(&[Last::Always, Last::Always, Last::After("Succeeded"), Last::After("Failed")]);
            let mut chosen: Vec<(String, Source)> =
                (0..dice.below(3)).map(|item| (format!("t{item}"), source(dice, &all))).collect();
            chosen.push(("state".to_owned(), Source::RunState));
            let when = match last {
                Last::Always => None,
                Last::After(state) => Some(format!("run.state == '{state}'")),
            };
            finally.push(json!({
                "id": format!("z{at}"), "type": "Plain", "inputs": mappings(&chosen), "when": when,
                "retry": {"maxRetries": dice.below(3), "backoff": {"initialSeconds": dice.below(4), "maxSeconds": 4}},
                "startingDeadlineSeconds": 8 + dice.below(40),
            }));
            sources.push(chosen);
            conditions.push(When::Always);
            kinds.push(Kind::Plain);
            lasts.push(last);
        }
        let mut definition = json!({
            "activities": activities, "output": mappings(&outputs), "finally": finally,
            "failurePolicy": dice.pick(&["Drain", "Drain", "Cancel", "Continue"]),
            "finallyDeadlineSeconds": if dice.one_in(2) { 300 } else { 3 + dice.below(30) },
        });
        definition["execution"] = json!(if is_tiered { "Tiered" } else { "Eager" });
        definition["activeDeadlineSeconds"] =
            json!(if dice.one_in(3) { 3 + dice.below(40) } else { 31_536_000 });
        if dice.one_in(2) {
            definition["parallelism"] = json!(1 + dice.below(if size > 50 { 40 } else { 5 }));
        }
        let input = object(json!({"x": {"y": [1, null, {"z": 2}]}}));
        let types = json!({
            "Needy": {"inputSchema": {"type": "object", "required": ["t0"], "properties": {
                "t0": {"x-kubernetes-preserve-unknown-fields": true}, "d": {"type": "integer", "default": 7},
            }}},
            "Strict": {"outputSchema": {"type": "object", "required": ["value"], "properties": {
                "value": {"x-kubernetes-preserve-unknown-fields": true},
            }}},
        });
        let compiled = typed(&definition, types);
        Self { compiled, is_tiered, sources, conditions, kinds, lasts, outputs, input }
    }

    /// Whether an activity that is ready is skipped.
    pub fn is_skipped(&self, activity: usize, world: &World, status: &OrchestrationStatus) -> bool {
        match self.last(activity) {
            Some(Last::Always) => return false,
            Some(Last::After(state)) => return self.run_state(status) != state,
            None => {}
        }
        match self.conditions[activity] {
            When::Always | When::True | When::Broken => false,
            When::False => true,
            When::Skipped(other) => !self.is_skipped(other, world, status),
            When::HasValue(other) => !self.has_value(other, world),
        }
    }

    /// Whether an activity that is ready fails before anything of it is started.
    pub fn fails_unstarted(&self, activity: usize, world: &World, status: &OrchestrationStatus) -> bool {
        let lacks = || !self.values(&self.sources[activity], status).contains_key("t0");
        matches!(self.conditions[activity], When::Broken)
            || (!self.is_skipped(activity, world, status) && self.kinds[activity] == Kind::Needy && lacks())
    }

    /// Whether an activity may end with what it has produced.
    pub fn takes_outputs(&self, activity: usize, world: &World) -> bool {
        self.kinds[activity] != Kind::Strict || self.has_value(activity, world)
    }

    fn has_value(&self, activity: usize, world: &World) -> bool {
        world.outputs(activity).is_some_and(|outputs| outputs.contains_key("value"))
    }

    pub fn expected_inputs(&self, activity: usize, status: &OrchestrationStatus) -> Object {
        let mut values = self.values(&self.sources[activity], status);
        if self.kinds[activity] == Kind::Needy {
            values.insert("d".to_owned(), json!(7));
        }
        values
    }

    pub fn expected_output(&self, status: &OrchestrationStatus) -> Option<Object> {
        (!self.outputs.is_empty()).then(|| self.values(&self.outputs, status))
    }

    fn last(&self, activity: usize) -> Option<Last> {
        activity.checked_sub(self.compiled.main).map(|at| self.lasts[at])
    }

    /// What what is in `finally` is told, from what is recorded of the others.
    fn run_state(&self, status: &OrchestrationStatus) -> &'static str {
        let main = &self.compiled.activities[..self.compiled.main];
        let states: Vec<ActivityState> = main.iter().map(|one| status.activities[&one.id].state).collect();
        if states.iter().all(|state| is_done(*state)) {
            "Succeeded"
        } else if states.contains(&ActivityState::Failed)
            || status.stop_reason.as_deref() != Some("Cancelled")
        {
            "Failed"
        } else {
            "Cancelled"
        }
    }

    fn values(&self, sources: &[(String, Source)], status: &OrchestrationStatus) -> Object {
        // What is recorded is compared with what really was made elsewhere.
        let outputs = |activity: usize| {
            let entry = &status.activities[&self.compiled.activities[activity].id];
            (entry.state == ActivityState::Succeeded).then(|| entry.outputs.clone().unwrap_or_default())
        };
        let value = |source: Source| match source {
            Source::Input => Some(Value::Object(self.input.clone())),
            Source::MemberOfInput => self.input.get("x").cloned(),
            Source::Nothing => None,
            Source::Whole(activity) => outputs(activity).map(Value::Object),
            Source::Value(activity) => outputs(activity)?.get("value").cloned(),
            Source::RunState => Some(json!(self.run_state(status))),
        };
        sources.iter().filter_map(|(target, source)| Some((target.clone(), value(*source)?))).collect()
    }
}

fn kind(dice: &mut Dice) -> Kind {
    match dice.below(24) {
        0 => Kind::Needy,
        1 => Kind::Strict,
        _ => Kind::Plain,
    }
}

fn when(dice: &mut Dice, readable: &[usize]) -> When {
    match dice.below(40) {
        0..4 => When::True,
        4..6 => When::False,
        6..9 if !readable.is_empty() => When::Skipped(dice.pick(readable)),
        9..12 if !readable.is_empty() => When::HasValue(dice.pick(readable)),
        12 => When::Broken,
        _ => When::Always,
    }
}

fn expression(when: When) -> Option<String> {
    Some(match when {
        When::Always => return None,
        When::True => "input.x.y[0] == 1".to_owned(),
        When::False => "input.x.y[0] == 2".to_owned(),
        When::Skipped(activity) => format!("activities.a{activity}.state == 'Skipped'"),
        When::HasValue(activity) => format!("has(activities.a{activity}.outputs.value)"),
        When::Broken => "input.x.y[9] == 1".to_owned(),
    })
}

fn source(dice: &mut Dice, readable: &[usize]) -> Source {
    match dice.below(6) {
        0 => Source::Input,
        1 => Source::MemberOfInput,
        2 => Source::Nothing,
        3 if !readable.is_empty() => Source::Whole(dice.pick(readable)),
        _ if !readable.is_empty() => Source::Value(dice.pick(readable)),
        _ => Source::MemberOfInput,
    }
}

fn mappings(sources: &[(String, Source)]) -> Vec<Value> {
    let path = |source: &Source| match source {
        Source::Input => "input".to_owned(),
        Source::MemberOfInput => "input.x".to_owned(),
        Source::Nothing => "nothing[3].at.all".to_owned(),
        Source::Whole(activity) => format!("a{activity}"),
        Source::Value(activity) => format!("a{activity}.value"),
        Source::RunState => "run.state".to_owned(),
    };
    sources.iter().map(|(target, source)| json!({"source": path(source), "target": target})).collect()
}

struct Simulation {
    case: Case,
    world: World,
    orchestration: Orchestration,
    deadline: Timestamp,
    last_write: Timestamp,
    wake_at: Option<Timestamp>,
    seen: Option<Observed>,
    was_suspended: bool,
}

impl Simulation {
    fn new(size: usize, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let case = Case::new(size, &mut dice);
        let mut orchestration: Orchestration = serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "o", "uid": "u", "generation": 1, "creationTimestamp": at(0)},
            "spec": {"type": "t", "input": case.input},
        }))
        .unwrap();
        let ready = Definition::Ready { revision: "r", compiled: &case.compiled };
        let update = decide(&orchestration, &ready, at(0)).update;
        orchestration.status = Some(update.apply(&OrchestrationStatus::default()));
        let deadline = deadline(&orchestration, case.compiled.active_deadline_seconds);
        let mut world = World::new(at(0), dice);
        world.failures = world.dice.pick(&[0, 10, 60, 250]);
        world.is_stubborn = world.dice.one_in(3);
        Self {
            case,
            world,
            orchestration,
            deadline,
            last_write: at(0),
            wake_at: Some(at(0)),
            seen: None,
            was_suspended: false,
        }
    }

    fn status(&self) -> &OrchestrationStatus {
        self.orchestration.status.as_ref().unwrap()
    }

    fn is_finished(&self) -> bool {
        self.status().completion_time.is_some()
    }

    /// What the shell does when it is woken.
    fn reconcile(&mut self) {
        for _ in 0..8 {
            let observed = self.world.observe(&self.case.compiled, self.status());
            let Self { case, world, orchestration, deadline, .. } = self;
            let now = world.now;
            let planned =
                plan(&Situation { compiled: &case.compiled, orchestration, observed: &observed, now });
            check(&Moment {
                case,
                world,
                orchestration,
                observed: &observed,
                deadline: *deadline,
                plan: &planned,
            });
            if !planned.effects.is_empty() {
                let crashes = world.is_troubled && world.dice.one_in(10);
                let done =
                    if crashes { world.dice.index(planned.effects.len() + 1) } else { planned.effects.len() };
                planned.effects.iter().take(done).for_each(|effect| world.apply(effect));
                if crashes {
                    return self.crash();
                }
                continue;
            }
            self.seen = Some(observed);
            self.wake_at = planned.wake_at;
            let Some(_) = planned.update.merge_patch(self.status()) else { return };
            let quiet_until = self.last_write + SignedDuration::from_secs(1);
            if planned.urgency == Urgency::Soon && now < quiet_until {
                self.wake_at = Some(planned.wake_at.map_or(quiet_until, |at| at.min(quiet_until)));
                return;
            }
            if self.world.is_troubled && self.world.dice.one_in(10) {
                return self.crash();
            }
            let next = planned.update.apply(self.status());
            self.world.forget_stored(&self.case.compiled, &next);
            self.orchestration.status = Some(next);
            self.last_write = now;
        }
        panic!("16: the rounds of one reconcile never end");
    }

    fn crash(&mut self) {
        self.world.crash();
        self.wake_at = None;
        self.seen = None;
    }

    /// People suspend and resume, and now and then end it early.
    fn meddle(&mut self) {
        let dice = &mut self.world.dice;
        let spec = &mut self.orchestration.spec;
        if dice.one_in(25) {
            spec.suspend = !spec.suspend;
        }
        if dice.one_in(250) {
            let shutdown = dice.pick(&[Shutdown::Stop, Shutdown::Terminate]);
            spec.shutdown = Some(spec.shutdown.map_or(shutdown, |before| before.max(shutdown)));
        }
        if spec.suspend {
            self.was_suspended = true;
            self.world.forget_refusals();
        }
    }

    /// Whether the shell is woken: by what it sees, or by the clock.
    fn is_woken(&self) -> bool {
        let observed = self.world.observe(&self.case.compiled, self.status());
        self.seen.as_ref() != Some(&observed) || self.wake_at.is_some_and(|at| at <= self.world.now)
    }

    fn run(&mut self) {
        for _ in 0..self.world.dice.below(60) {
            self.world.now = match self.world.dice.below(12) {
                0 => self.world.now - SignedDuration::from_secs(2),
                1..4 => self.world.now,
                4 => self.world.now + self.world.dice.seconds(40),
                _ => self.world.now + SignedDuration::from_millis(700),
            };
            self.world.pass();
            if self.world.dice.one_in(10) {
                *self.orchestration.metadata.generation.as_mut().unwrap() += 1;
            }
            self.meddle();
            if !self.is_finished()
                || self.status().observed_generation != self.orchestration.metadata.generation
            {
                self.reconcile();
            }
        }
        self.world.is_troubled = false;
        self.orchestration.spec.suspend = false;
        self.wake_at = Some(self.world.now);
        let patience = 600 + 60 * self.case.compiled.activities.len();
        let mut steps = 0;
        while !self.is_finished() {
            self.world.now += SignedDuration::from_secs(1) + self.world.dice.seconds(3);
            self.world.pass();
            if self.is_woken() {
                self.reconcile();
            }
            steps += 1;
            assert!(
                steps < patience,
                "liveness 1: not finished after {steps} quiet moments: {:?}",
                self.status()
            );
            let finally = SignedDuration::from_secs(self.case.compiled.finally_deadline_seconds);
            let last =
                self.deadline.max(at(0)) + STOP_GRACE + finally + STOP_GRACE + SignedDuration::from_secs(300);
            assert!(
                self.world.now < last,
                "liveness 2: not finished long after its deadline: {:?}",
                self.status()
            );
        }
        self.world.now = self.world.now.max(self.last_write) + SignedDuration::from_secs(2);
        self.reconcile();
        assert_eq!(self.wake_at, None, "a finished orchestration sleeps");
    }
}

proptest! {
    #[test]
    fn every_invariant_holds_in_every_history(
        size in prop_oneof![14 => 1usize..12, 5 => 12usize..40, 1 => 40usize..=200],
        seed in any::<u64>(),
    ) {
        Simulation::new(size, seed).run();
    }
}

/// The dice must fall on everything that the invariants speak of, or they would hold for nothing.
#[test]
fn the_histories_hold_every_kind_of_end() {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..400 {
        let mut simulation = Simulation::new(1 + usize::try_from(seed).unwrap() % 15, seed);
        simulation.run();
        let succeeded = crate::engine::condition::find(&simulation.status().conditions, "Succeeded").unwrap();
        *ends.entry(succeeded.reason.clone()).or_default() += 1;
        for entry in simulation.status().activities.values() {
            *ends.entry(format!("{:?}", entry.state)).or_default() += 1;
            *ends.entry(entry.reason.clone().unwrap_or_default()).or_default() += 1;
        }
        for (what, has) in [
            ("retried", simulation.status().activities.values().any(|entry| entry.attempt > 1)),
            ("disrupted", simulation.status().activities.values().any(|entry| entry.disruptions > 0)),
            ("suspended", simulation.orchestration.spec.suspend || simulation.was_suspended),
            ("finally", simulation.status().finally_time.is_some()),
        ] {
            *ends.entry(what.to_owned()).or_default() += usize::from(has);
        }
        if simulation.status().stop_time.is_some() {
            *ends.entry("stopped".to_owned()).or_default() += 1;
        }
    }
    let states = [
        ActivityState::Succeeded,
        ActivityState::Skipped,
        ActivityState::Failed,
        ActivityState::Cancelled,
        ActivityState::NotStarted,
    ];
    let wanted = states.iter().map(|state| format!("{state:?}"));
    let others = [
        "Completed",
        "ActivityFailed",
        "DeadlineExceeded",
        "Cancelled",
        "stopped",
        "retried",
        "disrupted",
        "suspended",
        "finally",
    ];
    let mistakes = ["MissingInput", "ExpressionError", "OutputInvalid"];
    for wanted in wanted.chain(others.iter().chain(&mistakes).map(|reason| (*reason).to_owned())) {
        assert!(ends.get(&wanted).is_some_and(|count| *count >= 10), "too few are {wanted}: {ends:?}");
    }
}
