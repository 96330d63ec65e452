//! The result of a run: for people, or as objects for programs.
//!
//! Responsible for: what is printed on standard output at the end. Must never: print anything before that.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::view::{is_several, title};
use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, ActivityStatus};
use crate::engine::condition;
use crate::engine::text::clean;

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, with the outputs of every activity.
    Wide,
    /// The Orchestrations as JSON.
    Json,
    /// The Orchestrations as YAML.
    Yaml,
}

/// What people are told beside the Orchestrations.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// The last lines of the logs of failed activities, by uid of the Orchestration and id of the activity.
    pub tails: BTreeMap<(String, String), String>,
    /// What activities wait for that have not started, by the same.
    pub waits: BTreeMap<(String, String), String>,
    /// How long after the program the first process was started; nothing if none was.
    pub first_process: Option<Duration>,
}

/// The result as text.
pub fn render(
    orchestrations: &[Orchestration],
    notes: &Notes,
    format: Option<Format>,
) -> anyhow::Result<String> {
    Ok(match format {
        Some(Format::Json) => format!("{}\n", serde_json::to_string_pretty(&objects(orchestrations)?)?),
        Some(Format::Yaml) => serde_saphyr::to_string(&objects(orchestrations)?)?,
        Some(Format::Wide) => people(orchestrations, notes, true),
        None => people(orchestrations, notes, false),
    })
}

/// One object as it is, several as a List, as kubectl does.
fn objects(orchestrations: &[Orchestration]) -> anyhow::Result<Value> {
    Ok(match orchestrations {
        [one] => serde_json::to_value(one)?,
        several => json!({"apiVersion": "v1", "kind": "List", "items": serde_json::to_value(several)?}),
    })
}

fn people(orchestrations: &[Orchestration], notes: &Notes, wide: bool) -> String {
    let mut text = String::new();
    let namespaces: Vec<String> = orchestrations.iter().filter_map(ResourceExt::namespace).collect();
    let shows_namespaces = is_several(namespaces.iter().map(String::as_str));
    for orchestration in orchestrations {
        // Writing to a String cannot fail.
        let _ = one(&mut text, orchestration, &title(orchestration, shows_namespaces), notes, wide);
    }
    if let Some(first_process) = notes.first_process {
        let _ = writeln!(text, "\nfirst process after {} ms", first_process.as_millis());
    }
    text
}

fn one(
    text: &mut String,
    orchestration: &Orchestration,
    title: &str,
    notes: &Notes,
    wide: bool,
) -> std::fmt::Result {
    let status = orchestration.status.clone().unwrap_or_default();
    let state = status.state.as_deref().unwrap_or("Pending");
    let (progress, took) = (status.progress.unwrap_or_default(), status.duration.unwrap_or_default());
    writeln!(text, "\n{title}  {}  {state}  {progress}  {took}", orchestration.spec.type_)?;
    if let Some(succeeded) = condition::find(&status.conditions, "Succeeded").filter(|c| c.status != "True") {
        indented(text, "  ", &format!("{}: {}", succeeded.reason, succeeded.message))?;
    }
    let mut activities: Vec<(&String, &ActivityStatus)> = status.activities.iter().collect();
    activities.sort_by_key(|(id, activity)| (activity.tier, *id));
    for (id, activity) in activities {
        let tier = activity.tier.map(|tier| tier.to_string()).unwrap_or_default();
        writeln!(text, "  {tier:>2}  {id:<24} {:?}", activity.state)?;
        if let (true, Some(outputs)) = (wide, &activity.outputs) {
            writeln!(text, "      outputs {}", clean(&Value::Object(outputs.clone()).to_string()))?;
        }
        let key = (orchestration.uid().unwrap_or_default(), id.clone());
        if activity.state != ActivityState::Succeeded
            && let (Some(reason), Some(message)) = (&activity.reason, &activity.message)
        {
            indented(text, "      ", &format!("{reason}: {message}"))?;
        } else if let Some(wait) = notes.waits.get(&key) {
            indented(text, "      ", wait)?;
        }
        indented(text, "      | ", notes.tails.get(&key).map_or("", String::as_str))?;
    }
    if let Some(output) = status.output {
        writeln!(text, "  output")?;
        indented(text, "    ", &serde_json::to_string_pretty(&Value::Object(output)).unwrap_or_default())?;
    }
    Ok(())
}

/// A text on lines of its own, each behind the same beginning.
fn indented(text: &mut String, begin: &str, said: &str) -> std::fmt::Result {
    said.lines().try_for_each(|line| writeln!(text, "{begin}{}", clean(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(namespace: &str) -> Orchestration {
        serde_json::from_value(json!({
            "metadata": {"name": "o", "namespace": namespace, "uid": namespace}, "spec": {"type": "t"},
            "status": {"state": "Failed", "progress": "0/1", "duration": "1s", "output": {"x": "\u{202e}y"}, "activities": {
                "a": {
                    "tier": 0, "state": "Failed", "reason": "OutputInvalid", "message": "x: wrong\ny: \u{202e}wrong",
                    "outputs": {"x": "\u{9b}2J"},
                },
            }, "conditions": [{
                "type": "Succeeded", "status": "False", "reason": "ActivityFailed", "message": "one\n\u{1b}[2Jtwo",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        }))
        .unwrap()
    }

    #[test]
    fn what_was_said_steers_no_terminal_and_keeps_its_place() {
        let tail = "\u{1b}[31mred\u{1b}[0m\n  \u{2066}turned\n".to_owned();
        let tails = BTreeMap::from([(("n".to_owned(), "a".to_owned()), tail)]);
        let notes = Notes { tails, ..Notes::default() };
        assert_eq!(
            render(&[failed("n")], &notes, Some(Format::Wide)).unwrap(),
            "
o  t  Failed  0/1  1s
  ActivityFailed: one
  two
   0  a                        Failed
      outputs {\"x\":\"\u{fffd}2J\"}
      OutputInvalid: x: wrong
      y: \u{fffd}wrong
      | red
      |   \u{fffd}turned
  output
    {
      \"x\": \"\u{fffd}y\"
    }
"
        );
    }

    #[test]
    fn namesakes_in_several_namespaces_are_told_apart() {
        let shown = render(&[failed("a"), failed("b")], &Notes::default(), None).unwrap();
        let titles: Vec<&str> = shown.lines().filter(|line| line.ends_with("  1s")).collect();
        assert_eq!(titles, ["a/o  t  Failed  0/1  1s", "b/o  t  Failed  0/1  1s"]);
    }
}
