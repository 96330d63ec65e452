//! Alerts and dashboard: they ask for metrics that there are, and for labels that these have.

use std::collections::BTreeSet;

use orchestrator::metrics::Metrics;
use serde_json::Value;

use super::{path, read};

/// Labels that every sample has when Prometheus has scraped it, and the bounds of histograms.
const EVERYWHERE: [&str; 4] = ["job", "namespace", "pod", "le"];

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(&path(file))).unwrap()
}

/// Everything in an expression that looks like a name: letters, digits and `_`. What stands in quotes is left out.
fn words(expression: &str) -> Vec<String> {
    let outside: String =
        expression.split('"').enumerate().filter(|(at, _)| at % 2 == 0).map(|(_, part)| part).collect();
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    outside
        .split(|character| !is_part(character))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is wrong with an expression, as far as metrics and labels go.
fn mistakes(expression: &str) -> Vec<String> {
    // Words of the language that the expressions use.
    let language =
        ["absent", "by", "histogram_quantile", "increase", "max", "rate", "sum", "__rate_interval"];
    let metrics = Metrics::default();
    let descriptions = metrics.descriptions();
    let mut labels: BTreeSet<&str> = EVERYWHERE.into();
    let mut wrong = Vec::new();
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        if expression.matches(open).count() != expression.matches(close).count() {
            wrong.push(format!("{open} and {close} are not in pairs"));
        }
    }
    let (named, others): (Vec<String>, Vec<String>) =
        words(expression).into_iter().partition(|word| word.starts_with("orchestrator_"));
    if named.is_empty() {
        wrong.push("no metric".to_owned());
    }
    for name in named {
        let found = descriptions.iter().find(|metric| {
            let ends: &[&str] =
                if metric.kind == "histogram" { &["_bucket", "_count", "_sum"] } else { &[""] };
            ends.iter().any(|end| name.strip_suffix(end) == Some(metric.name.as_str()))
        });
        match found {
            Some(metric) => labels.extend(metric.labels.split(", ")),
            None => wrong.push(format!("no metric {name}")),
        }
    }
    for word in others {
        let is_number = word.starts_with(|first: char| first.is_ascii_digit());
        if !is_number && !language.contains(&word.as_str()) && !labels.contains(word.as_str()) {
            wrong.push(format!("no label {word}"));
        }
    }
    wrong
}

#[test]
fn a_mistake_in_an_expression_is_found() {
    assert_eq!(mistakes("sum(orchestrator_leader) by (job)"), Vec::<String>::new());
    assert_eq!(mistakes("sum(orchestrator_leaders)"), ["no metric orchestrator_leaders"]);
    assert_eq!(mistakes("sum(orchestrator_leader"), ["( and ) are not in pairs"]);
    assert_eq!(mistakes("orchestrator_leader{node=\"a\"}"), ["no label node"]);
    assert_eq!(
        mistakes("orchestrator_schedule_skew_seconds > 1"),
        ["no metric orchestrator_schedule_skew_seconds"]
    );
    assert_eq!(mistakes("1 > 0"), ["no metric"]);
}

#[test]
fn every_alert_asks_for_what_there_is_and_is_documented() {
    let alerts = yaml("charts/orchestrator/files/alerts.yaml");
    let plain = yaml("config/monitoring/prometheus_rule.yaml");
    assert_eq!(
        alerts["groups"], plain["spec"]["groups"],
        "the chart's alerts are those of config/monitoring"
    );
    let documentation = read(&path("docs/metrics.md"));
    let rules = alerts["groups"][0]["rules"].as_array().unwrap();
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert_eq!(mistakes(rule["expr"].as_str().unwrap()), Vec::<String>::new(), "{name}");
        let anchor = name.to_lowercase();
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        let row = format!("| <a id=\"{anchor}\"></a>{name} | {summary} |");
        assert!(documentation.contains(&row), "docs/metrics.md lacks {row}");
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(runbook.ends_with(&format!("#{anchor}")), "{runbook}");
        assert!(
            ["critical", "warning", "info"].contains(&rule["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
    }
    assert_eq!(
        documentation.matches("<a id=\"").count(),
        rules.len(),
        "no alert is documented that there is not"
    );
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = read(&path("charts/orchestrator/files/dashboard.json"));
    let plain = yaml("config/monitoring/dashboard.yaml");
    assert_eq!(
        plain["data"]["orchestrator.json"], text,
        "the chart's dashboard is that of config/monitoring"
    );
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets: Vec<&Value> = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()).collect();
    assert!(targets.len() >= panels.len());
    for target in targets {
        let expression = target["expr"].as_str().unwrap();
        assert_eq!(mistakes(expression), Vec::<String>::new(), "{expression}");
    }
}
