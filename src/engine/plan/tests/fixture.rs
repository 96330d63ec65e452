//! One orchestration on a table: its definition in a few words, and what is seen of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::ActivityDefinitionSpec;
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus, Orchestration, OrchestrationStatus};
use crate::engine::acceptance::{Definition, decide};
use crate::engine::condition::find;
use crate::engine::definition::{Compiled, TypeState, compile};
use crate::engine::effect::Effect;
use crate::engine::observe::{Attempt, FailureReason, Observed, Outcome, Verdict};
use crate::engine::plan::{Plan, Situation, plan};
use crate::engine::retry;
use jiff::{SignedDuration, Timestamp};

/// A definition from words: `c<a+b` depends on a and b, `d<c.url+c.id` and `d<!x` read c and the input besides. The
/// first input has its default name, the others are `t1`, `t2` and so on.
pub fn dag(words: &str) -> Value {
    let activity = |word: &str| {
        let (id, needs) = word.split_once('<').unwrap_or((word, ""));
        let needs: Vec<&str> = needs.split('+').filter(|need| !need.is_empty()).collect();
        let ids = needs.iter().filter(|need| !need.starts_with('!'));
        let mut depends_on: Vec<&str> = ids.map(|need| need.split('.').next().unwrap()).collect();
        depends_on.dedup();
        let sources = needs.iter().filter(|need| need.contains(['.', '!']));
        let source = |(at, need): (usize, &&str)| {
            let source = need.replace('!', "input.");
            if at == 0 { json!(source) } else { json!({"source": source, "target": format!("t{at}")}) }
        };
        let inputs: Vec<Value> = sources.enumerate().map(source).collect();
        json!({"id": id, "type": "t", "dependsOn": depends_on, "inputs": inputs})
    };
    json!({"activities": words.split_whitespace().map(activity).collect::<Vec<_>>()})
}

/// A definition with activity types by name; those that are not given take and produce anything.
pub fn typed(definition: &Value, types: Value) -> Compiled {
    let types: BTreeMap<String, ActivityDefinitionSpec> = serde_json::from_value(types).unwrap();
    // Most tests are about what comes after the last attempt.
    let plain: ActivityDefinitionSpec = serde_json::from_value(json!({"retry": {"maxRetries": 0}})).unwrap();
    let state_of = |type_: &str| TypeState::Ready(types.get(type_).unwrap_or(&plain));
    compile(&serde_json::from_value(definition.clone()).unwrap(), state_of).unwrap()
}

/// Seconds after the creation of every Orchestration here.
pub fn at(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

pub fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

pub fn complete(outputs: Value) -> Attempt {
    let verdict = Verdict::Complete(object(outputs));
    Attempt::Ended(Outcome { verdict, start_time: Some(at(1)), completion_time: Some(at(2)) })
}

pub fn failed(reason: FailureReason, message: &str) -> Attempt {
    let verdict = Verdict::Failed { reason, message: message.to_owned() };
    Attempt::Ended(Outcome { verdict, start_time: Some(at(1)), completion_time: Some(at(2)) })
}

pub fn running() -> Attempt {
    Attempt::Running { start_time: at(1) }
}

pub fn refused(retry_at: i64) -> Attempt {
    let (reason, message) = ("QuotaExceeded".to_owned(), "exceeded quota: q".to_owned());
    Attempt::Refused { since: at(1), retry_at: at(retry_at), reason, message }
}

/// An Orchestration that has been accepted, and what is seen of it.
pub struct Fixture {
    pub compiled: Compiled,
    pub orchestration: Orchestration,
    pub observed: Observed,
    pub now: Timestamp,
}

impl Fixture {
    /// The run of a definition, accepted in the second of its creation.
    pub fn of(definition: &Value) -> Self {
        Self::with_input(definition, json!({}))
    }

    pub fn with_input(definition: &Value, input: Value) -> Self {
        Self::typed(definition, json!({}), input)
    }

    /// The run of a definition with activity types by name.
    pub fn typed(definition: &Value, types: Value, input: Value) -> Self {
        let compiled = typed(definition, types);
        let mut orchestration: Orchestration = serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "o", "uid": "u", "generation": 1, "creationTimestamp": at(0)},
            "spec": {"type": "t", "input": input},
        }))
        .unwrap();
        let ready = Definition::Ready { revision: "t-1", compiled: &compiled };
        let accepted = decide(&orchestration, &ready, at(0));
        orchestration.status = Some(accepted.update.apply(&OrchestrationStatus::default()));
        Self { compiled, orchestration, observed: Observed::default(), now: at(0) }
    }

    /// The run of a definition in words.
    pub fn words(words: &str) -> Self {
        Self::of(&dag(words))
    }

    pub fn see(&mut self, id: &str, attempt: Attempt) -> &mut Self {
        self.see_at(self.compiled.index[id], attempt);
        self
    }

    /// The attempt that the activity of an index is at.
    pub fn see_at(&mut self, activity: usize, attempt: Attempt) {
        let entry = self
            .orchestration
            .status
            .as_ref()
            .and_then(|status| status.activities.get(&self.compiled.activities[activity].id));
        let number = entry.map_or(1, retry::attempt);
        self.observed.insert(activity, number, attempt);
    }

    /// What is planned now. Nothing is recorded.
    pub fn plan(&self) -> Plan {
        let Self { compiled, orchestration, observed, now } = self;
        plan(&Situation { compiled, orchestration, observed, now: *now })
    }

    /// Plans at a second, and records.
    pub fn record(&mut self, second: i64) -> Plan {
        self.now = at(second);
        let plan = self.plan();
        self.orchestration.status = Some(plan.update.apply(self.status()));
        plan
    }

    pub fn status(&self) -> &OrchestrationStatus {
        self.orchestration.status.as_ref().unwrap()
    }

    pub fn entry(&self, id: &str) -> &ActivityStatus {
        &self.status().activities[id]
    }

    pub fn state(&self, id: &str) -> ActivityState {
        self.entry(id).state
    }

    /// `Reason: message` of an activity.
    pub fn why(&self, id: &str) -> String {
        let entry = self.entry(id);
        format!("{}: {}", entry.reason.as_deref().unwrap_or("-"), entry.message.as_deref().unwrap_or("-"))
    }

    /// `Status Reason: message` of a condition; nothing if there is none.
    pub fn condition(&self, type_: &str) -> String {
        find(&self.status().conditions, type_)
            .map(|c| format!("{} {}: {}", c.status, c.reason, c.message))
            .unwrap_or_default()
    }

    /// What a plan starts, as ids.
    pub fn starts(&self, plan: &Plan) -> String {
        self.ids(plan, |effect| matches!(effect, Effect::Start { .. }))
    }

    /// What a plan stops, as ids.
    pub fn stops(&self, plan: &Plan) -> String {
        self.ids(plan, |effect| matches!(effect, Effect::Stop { .. }))
    }

    fn ids(&self, plan: &Plan, wanted: impl Fn(&Effect) -> bool) -> String {
        let ids = plan.effects.iter().filter(|effect| wanted(effect)).map(|effect| {
            let (Effect::Start { activity, .. } | Effect::Stop { activity, .. }) = effect;
            self.compiled.activities[*activity].id.as_str()
        });
        ids.collect::<Vec<_>>().join(" ")
    }

    /// Plays until nothing starts any more: all that is started is done a second later, but for what fails. The
    /// result is what started, second by second.
    pub fn play(&mut self, failing: &[&str]) -> String {
        let mut seconds: Vec<String> = Vec::new();
        for second in 1..50 {
            let mut started = Vec::new();
            // Outputs are stored first, and then start what reads them.
            for _ in 0..2 {
                let plan = self.record(second);
                started.extend(plan.effects.into_iter().filter_map(|effect| match effect {
                    Effect::Start { activity, .. } => Some(activity),
                    Effect::Stop { .. } => None,
                }));
                for activity in &started {
                    self.see_at(*activity, Attempt::Requested { at: self.now });
                }
            }
            self.record(second);
            let ids: Vec<String> =
                started.iter().map(|at| self.compiled.activities[*at].id.clone()).collect();
            for (activity, id) in started.iter().zip(&ids) {
                let fails = failing.contains(&id.as_str());
                let end = if fails {
                    failed(FailureReason::ExitCode, "exit code 1")
                } else {
                    complete(json!({"x": id}))
                };
                self.see_at(*activity, end);
            }
            if ids.is_empty() {
                break;
            }
            seconds.push(ids.join(" "));
        }
        seconds.join(" | ")
    }
}
