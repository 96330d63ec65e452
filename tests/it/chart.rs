//! The Helm chart, rendered by the real Helm and judged by the real API server; and `config/`, which is the same without Helm.

mod admission;
mod people;
mod rendered;
mod values;

use serde_json::Value;

use crate::support::cluster::cluster;

/// What the chart renders with more arguments, one document each.
fn rendered(arguments: &[&str]) -> Vec<Value> {
    let all =
        [&["template", "release", "CHART", "--namespace", "system", "--kube-version", "1.36"], arguments];
    let (succeeded, text) = cluster().helm(&all.concat());
    assert!(succeeded, "{text}");
    documents(&text)
}

fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    all.into_iter().filter(|document| !document.is_null()).collect()
}

/// The only document of a kind with this end of its name.
fn only<'d>(documents: &'d [Value], kind: &str, end: &str) -> &'d Value {
    let found: Vec<&Value> = documents
        .iter()
        .filter(|one| one["kind"] == kind && one["metadata"]["name"].as_str().unwrap().ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{kind} {end}: {found:?}");
    found[0]
}
