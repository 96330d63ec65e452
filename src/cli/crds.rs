//! `orchestrator crds`: the CustomResourceDefinitions as files.
//!
//! Responsible for: one YAML file per kind, the same bytes for the same types. Must never: talk to a server; applying
//! the files is the user's business.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

/// First lines of every file: whoever edits it by hand would lose the edit.
const HEADER: &str = "\
# Generated from src/api by `orchestrator crds`; do not edit.
# Apply with `kubectl apply --server-side -f crds/`.
";

/// Name and content of the file of every kind, in the order of [`crate::api::crds`].
pub fn render() -> anyhow::Result<Vec<(String, String)>> {
    crate::api::crds()
        .iter()
        .map(|crd| {
            let file = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            let value = serde_json::to_value(crd).with_context(|| format!("writing {file} as JSON"))?;
            let yaml = serde_saphyr::to_string(&whole_numbers(value))
                .with_context(|| format!("writing {file} as YAML"))?;
            Ok((file, format!("{HEADER}{yaml}")))
        })
        .collect()
}

/// Writes the files into `directory`, which is made when it is missing. Other files there are left alone.
pub fn run(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    for (file, content) in render()? {
        let path = directory.join(file);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// Bounds are floating-point numbers in the type; a server shows `255` where the file would say `255.0`, and a diff
/// between the two would never end.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Number(number) => whole(&number).map_or(Value::Number(number), Value::from),
        other => other,
    }
}

/// The integer that a floating-point number without a fraction stands for.
fn whole(number: &serde_json::Number) -> Option<i64> {
    if number.is_f64() { number.to_string().strip_suffix(".0")?.parse().ok() } else { None }
}
