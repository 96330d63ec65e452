//! The result of a run: for people, or as objects for programs.
//!
//! Responsible for: what is printed on standard output at the end. Must never: print anything before that.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use clap::ValueEnum;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, ActivityStatus};
use crate::engine::condition;

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
    for orchestration in orchestrations {
        // Writing to a String cannot fail.
        let _ = one(&mut text, orchestration, notes, wide);
    }
    if let Some(first_process) = notes.first_process {
        let _ = writeln!(text, "\nfirst process after {} ms", first_process.as_millis());
    }
    text
}

fn one(text: &mut String, orchestration: &Orchestration, notes: &Notes, wide: bool) -> std::fmt::Result {
    let name = orchestration.name_any();
    let status = orchestration.status.clone().unwrap_or_default();
    let state = status.state.as_deref().unwrap_or("Pending");
    let (progress, took) = (status.progress.unwrap_or_default(), status.duration.unwrap_or_default());
    writeln!(text, "\n{name}  {}  {state}  {progress}  {took}", orchestration.spec.type_)?;
    if let Some(succeeded) = condition::find(&status.conditions, "Succeeded").filter(|c| c.status != "True") {
        writeln!(text, "  {}: {}", succeeded.reason, succeeded.message)?;
    }
    let mut activities: Vec<(&String, &ActivityStatus)> = status.activities.iter().collect();
    activities.sort_by_key(|(id, activity)| (activity.tier, *id));
    for (id, activity) in activities {
        let tier = activity.tier.map(|tier| tier.to_string()).unwrap_or_default();
        writeln!(text, "  {tier:>2}  {id:<24} {:?}", activity.state)?;
        if let (true, Some(outputs)) = (wide, &activity.outputs) {
            writeln!(text, "      outputs {}", Value::Object(outputs.clone()))?;
        }
        let key = (orchestration.uid().unwrap_or_default(), id.clone());
        if activity.state != ActivityState::Succeeded
            && let (Some(reason), Some(message)) = (&activity.reason, &activity.message)
        {
            writeln!(text, "      {reason}: {message}")?;
        } else if let Some(wait) = notes.waits.get(&key) {
            writeln!(text, "      {}", printable(wait))?;
        }
        for line in notes.tails.get(&key).iter().flat_map(|tail| tail.lines()) {
            writeln!(text, "      | {}", printable(line))?;
        }
    }
    if let Some(output) = status.output {
        writeln!(text, "  output")?;
        for line in serde_json::to_string_pretty(&Value::Object(output)).unwrap_or_default().lines() {
            writeln!(text, "    {line}")?;
        }
    }
    Ok(())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
