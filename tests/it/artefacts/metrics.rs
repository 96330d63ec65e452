//! `docs/metrics.md`: what it says of the metrics is what the code says.

use orchestrator::metrics::Metrics;

use super::{path, read};

/// Between these lines is what is generated.
const BEGIN: &str = "<!-- begin: written by UPDATE_ARTEFACTS=1 cargo test artefacts -->\n";
const END: &str = "<!-- end -->\n";

/// The table, as the code has it.
fn table() -> String {
    let rows = Metrics::default()
        .descriptions()
        .iter()
        .map(|metric| {
            let labels = if metric.labels.is_empty() { "—" } else { metric.labels };
            format!("| `{}` | {} | {labels} | {} |\n", metric.name, metric.kind, metric.help)
        })
        .collect::<String>();
    format!("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n{rows}")
}

#[test]
fn the_documentation_of_the_metrics_is_that_of_the_code() {
    let file = path("docs/metrics.md");
    let text = read(&file);
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table is marked");
    let (written, after) = rest.split_once(END).expect("the end of the table is marked");
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    if std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1") {
        std::fs::write(&file, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        return;
    }
    assert_eq!(
        written,
        table(),
        "docs/metrics.md is stale: UPDATE_ARTEFACTS=1 cargo test artefacts writes it again"
    );
}

#[test]
fn every_metric_that_is_served_is_described_and_the_other_way_round() {
    let metrics = Metrics::default();
    touch(&metrics);
    let rendered = metrics.render(false);
    let types = rendered.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut served: Vec<String> = types.map(str::to_owned).collect();
    let mut described: Vec<String> =
        metrics.descriptions().iter().map(|metric| format!("{} {}", metric.name, metric.kind)).collect();
    served.sort();
    described.sort();
    assert_eq!(served, described);
    for metric in metrics.descriptions() {
        let help = format!("# HELP {} {}.\n", metric.name, metric.help);
        assert!(rendered.contains(&help), "{help}");
        let line = rendered.lines().find(|line| line.starts_with(&metric.name));
        let labels = line.and_then(|line| line.split_once('{')).map_or("", |(_, rest)| rest);
        let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
        let names: Vec<&str> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, _)| name)
            .filter(|name| *name != "le")
            .collect();
        assert_eq!(names.join(", "), metric.labels, "{}", metric.name);
    }
}

/// One sample of every family: what has none is not served.
fn touch(metrics: &Metrics) {
    use orchestrator::metrics::{Outcome, ProviderOutcome, Request, Why};
    use std::collections::BTreeMap;
    use std::time::Duration;

    drop(metrics.reconcile("Orchestration"));
    metrics.reconciled("Orchestration", "success", Duration::from_millis(3));
    let kind = orchestrator::metrics::Kind { kind: "Job".to_owned() };
    metrics.watch_interruptions.get_or_create(&kind).inc();
    metrics.requests.get_or_create(&Request { verb: "GET".to_owned(), code: "200".to_owned() }).inc();
    metrics.orchestration_duration.get_or_create(&Outcome { result: "Succeeded" }).observe(1.0);
    let done = ProviderOutcome { provider: "job", result: "Succeeded" };
    metrics.activity_duration.get_or_create(&done).observe(1.0);
    metrics.activity_start_delay.observe(1.0);
    let why = Why { reason: "TimedOut" };
    metrics.activity_retries.get_or_create(&why).inc();
    metrics.activity_failures.get_or_create(&why).inc();
    metrics.schedule_missed.get_or_create(&why).inc();
    metrics.schedule_skew.observe(1.0);
    metrics.stale_reads.inc();
    metrics.leader.set(1);
    metrics.count_states(|| BTreeMap::from([("Running", 2)]));
}

#[test]
fn five_thousand_orchestrations_make_a_small_scrape() {
    let metrics = Metrics::default();
    touch(&metrics);
    // Every label value that there can be.
    for reason in orchestrator::engine::observe::FailureReason::ALL {
        let why = orchestrator::metrics::Why { reason: reason.as_str() };
        metrics.activity_retries.get_or_create(&why).inc();
        metrics.activity_failures.get_or_create(&why).inc();
    }
    for kind in ["ActivityDefinition", "OrchestrationDefinition", "Orchestration", "OrchestrationSchedule"] {
        for result in ["success", "conflict", "transient", "permanent", "gone", "panic"] {
            metrics.reconciled(kind, result, std::time::Duration::from_millis(7));
        }
    }
    for verb in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
        for code in
            ["200", "201", "400", "401", "403", "404", "409", "410", "422", "429", "500", "503", "none"]
        {
            let request = orchestrator::metrics::Request { verb: verb.to_owned(), code: code.to_owned() };
            metrics.requests.get_or_create(&request).inc();
        }
    }
    metrics.count_states(|| std::collections::BTreeMap::from([("Succeeded", 5000)]));
    let size = metrics.render(true).len();
    println!("a scrape with every label value is {size} bytes");
    assert!(size <= 100_000, "{size}");
}
