//! The view of running orchestrations: plain lines, or a live picture on a terminal.
//!
//! Responsible for: telling every change of state once. Must never: ask the server, or hold anything back until the end.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kube::ResourceExt;

use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, ActivityStatus};
use crate::engine::condition;
use crate::engine::status::duration;
use crate::engine::text::one_line;

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The Orchestration: its name, behind its namespace if there are several.
    pub orchestration: String,
    /// Id of the activity; absent if the change is of the whole.
    pub activity: Option<String>,
    /// The new state.
    pub state: String,
    /// What there is to say about it; may be empty.
    pub text: String,
    /// Whether nothing more comes of it.
    pub is_final: bool,
}

/// Finds out what changed since the last look.
#[derive(Debug, Default)]
pub struct Changes {
    seen: BTreeMap<(String, Option<String>), (String, String)>,
    shows_namespaces: bool,
}

impl Changes {
    /// Nothing seen yet of Orchestrations that are given by namespace and name. Where they are in several namespaces,
    /// their names alone would not tell them apart.
    #[must_use]
    pub fn of(orchestrations: &[(String, String)]) -> Self {
        let shows_namespaces = is_several(orchestrations.iter().map(|(namespace, _)| namespace.as_str()));
        Self { shows_namespaces, ..Self::default() }
    }

    /// What changed.
    pub fn since_last(&mut self, orchestration: &Orchestration) -> Vec<Change> {
        let name = title(orchestration, self.shows_namespaces);
        let Some(status) = &orchestration.status else { return Vec::new() };
        let mut changes = Vec::new();
        // In the order of the tiers, as they run.
        let mut activities: Vec<(&String, &ActivityStatus)> = status.activities.iter().collect();
        activities.sort_by_key(|(id, activity)| (activity.tier, *id));
        for (id, activity) in activities {
            let change = Change {
                orchestration: name.clone(),
                activity: Some(id.clone()),
                state: format!("{:?}", activity.state),
                text: activity_text(activity),
                is_final: crate::engine::state::is_final(activity.state),
            };
            if activity.state != ActivityState::Pending || activity.reason.is_some() {
                changes.extend(self.unless_told(change));
            }
        }
        let message =
            condition::find(&status.conditions, "Succeeded").map(|succeeded| succeeded.message.clone());
        let is_final = status.completion_time.is_some();
        let accepted = condition::is_true(&status.conditions, "Accepted");
        changes.extend(self.unless_told(Change {
            orchestration: name,
            activity: None,
            state: status.state.clone().unwrap_or_default(),
            // While it runs, the progress is told by its activities.
            text: if is_final || !accepted { message.unwrap_or_default() } else { String::new() },
            is_final,
        }));
        changes
    }

    fn unless_told(&mut self, change: Change) -> Option<Change> {
        let said = (change.state.clone(), change.text.clone());
        let key = (change.orchestration.clone(), change.activity.clone());
        (self.seen.insert(key, said.clone()) != Some(said)).then_some(change)
    }
}

/// Whether there is more than one namespace.
pub(super) fn is_several<'a>(mut namespaces: impl Iterator<Item = &'a str>) -> bool {
    let first = namespaces.next();
    namespaces.any(|other| Some(other) != first)
}

/// What people are told an Orchestration by.
pub(super) fn title(orchestration: &Orchestration, shows_namespace: bool) -> String {
    let name = orchestration.name_any();
    match orchestration.namespace().filter(|_| shows_namespace) {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    }
}

fn activity_text(activity: &ActivityStatus) -> String {
    match (&activity.reason, &activity.message, &activity.start_time, &activity.completion_time) {
        (Some(reason), Some(message), _, _) => format!("{reason}: {message}"),
        (Some(reason), None, _, _) => reason.clone(),
        (None, _, Some(start), Some(end)) => duration(start.0, end.0),
        (None, _, _, _) => String::new(),
    }
}

/// Shows changes.
#[derive(Debug)]
pub enum View {
    /// One line per change, on standard error.
    Lines,
    /// A line per activity that is still open, turning while it runs.
    Terminal(Box<Terminal>),
}

/// The picture on a terminal.
#[derive(Debug)]
pub struct Terminal {
    all: MultiProgress,
    open: BTreeMap<(String, Option<String>), ProgressBar>,
}

impl View {
    /// A picture if standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn new(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Terminal(Box::new(Terminal { all: MultiProgress::new(), open: BTreeMap::new() }))
        } else {
            Self::Lines
        }
    }

    /// Shows changes.
    pub fn show(&mut self, changes: &[Change]) {
        for change in changes {
            match self {
                // A reader that has gone away is no reason to stop the work.
                Self::Lines => drop(writeln!(std::io::stderr(), "{}", line(change))),
                Self::Terminal(terminal) => terminal.show(change),
            }
        }
    }
}

impl Terminal {
    fn show(&mut self, change: &Change) {
        let key = (change.orchestration.clone(), change.activity.clone());
        if change.is_final {
            if let Some(bar) = self.open.remove(&key) {
                bar.finish_and_clear();
            }
            drop(self.all.println(line(change)));
            return;
        }
        let bar = self.open.entry(key).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TURN);
            bar
        });
        bar.set_message(line(change));
    }
}

/// One change as a line. What a process said steers no terminal, and a message of several lines is one.
fn line(change: &Change) -> String {
    let what = change.activity.as_deref().unwrap_or("");
    let text = format!("{:<24} {:<24} {:<10} {}", change.orchestration, what, change.state, change.text);
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn orchestration(config: &str, state: &str) -> Orchestration {
        serde_json::from_value(json!({
            "metadata": {"name": "o"}, "spec": {"type": "t"},
            "status": {"state": state, "activities": {
                "config": {"tier": 0, "state": config}, "later": {"tier": 1, "state": "Pending"},
            }, "conditions": [
                {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn every_change_is_told_once() {
        let mut changes = Changes::default();
        let told = |changes: &mut Changes, config, state| -> Vec<String> {
            changes.since_last(&orchestration(config, state)).iter().map(line).collect()
        };
        assert_eq!(told(&mut changes, "Running", "Running").len(), 2);
        assert_eq!(told(&mut changes, "Running", "Running"), Vec::<String>::new());
        let last = told(&mut changes, "Succeeded", "Running");
        assert_eq!(last.len(), 1);
        assert!(
            last[0].starts_with("o ") && last[0].contains("config") && last[0].ends_with("Succeeded"),
            "{last:?}"
        );
    }

    #[test]
    fn a_process_cannot_write_to_the_terminal() {
        let change = Change {
            orchestration: "o".to_owned(),
            activity: None,
            state: "Failed".to_owned(),
            text: "\u{1b}[2Jit says \u{202e}txt.exe\u{0}:\nspec.a: wrong\r\nspec.b: wrong\n".to_owned(),
            is_final: true,
        };
        let shown = format!(
            "{:<49} {:<10} {}",
            "o", "Failed", "it says \u{fffd}txt.exe\u{fffd}: | spec.a: wrong | spec.b: wrong"
        );
        assert_eq!(line(&change), shown);
    }

    #[test]
    fn namesakes_in_several_namespaces_are_told_apart() {
        let wanted = ["a", "b"].map(|namespace| (namespace.to_owned(), "o".to_owned()));
        let told = |wanted: &[(String, String)]| -> Vec<String> {
            let mut changes = Changes::of(wanted);
            let of = |(namespace, _): &(String, String)| {
                let mut one = orchestration("Running", "Running");
                one.metadata.namespace = Some(namespace.clone());
                changes.since_last(&one).into_iter().map(|change| change.orchestration).collect::<Vec<_>>()
            };
            wanted.iter().flat_map(of).collect()
        };
        assert_eq!(told(&wanted), ["a/o", "a/o", "b/o", "b/o"]);
        assert_eq!(told(&wanted[..1]), ["o", "o"]);
    }
}
