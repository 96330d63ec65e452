//! Metrics: what the operator counts and measures, for Prometheus.
//!
//! Responsible for: every metric with its name, unit, labels and meaning, in one place. Must never: have a label whose
//! values users choose, such as a name or a namespace: how much there is to scrape must not depend on what runs.
//!
//! `docs/metrics.md` is written from here, and a test keeps the two equal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

pub mod text;

/// What every name begins with.
const PREFIX: &str = "orchestrator";

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// ActivityDefinition, OrchestrationDefinition, Orchestration, OrchestrationSchedule, Job or Pod.
    pub kind: String,
}

/// A kind, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindResult {
    /// As in [`Kind`].
    pub kind: String,
    /// success, conflict, transient, permanent, gone or panic.
    pub result: &'static str,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// The state at the end, such as Succeeded.
    pub result: &'static str,
}

/// Who does the work, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderOutcome {
    /// job.
    pub provider: &'static str,
    /// The state at the end, such as Succeeded.
    pub result: &'static str,
}

/// A reason from a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Why {
    /// The reason, one CamelCase word.
    pub reason: &'static str,
}

/// A request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// The HTTP method.
    pub verb: String,
    /// The HTTP status, or `none` where no answer came.
    pub code: String,
}

/// The version that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

/// Buckets of durations from 5 ms to 11 minutes.
#[derive(Clone, Debug, Default)]
pub struct Short;

impl MetricConstructor<Histogram> for Short {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(0.005, 2.0, 18))
    }
}

/// Buckets of durations from 1 s to 3 days.
#[derive(Clone, Debug, Default)]
pub struct Long;

impl MetricConstructor<Histogram> for Long {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(1.0, 2.0, 19))
    }
}

/// What is said of a metric in `docs/metrics.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name in Prometheus.
    pub name: String,
    /// counter, gauge or histogram.
    pub kind: &'static str,
    /// Its labels, with commas in between.
    pub labels: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// Counts the Orchestrations by state, when somebody asks.
type Census = Box<dyn Fn() -> BTreeMap<&'static str, u64> + Send + Sync>;

/// Every metric. Handing it on is cheap; all copies count the same.
#[derive(Clone)]
pub struct Metrics {
    /// Reconciles that have ended.
    pub reconciles: Family<KindResult, Counter>,
    /// How long they took.
    pub reconcile_duration: Family<Kind, Histogram, Short>,
    /// Reconciles that are under way.
    pub reconciling: Family<Kind, Gauge>,
    /// Watches that were interrupted.
    pub watch_interruptions: Family<Kind, Counter>,
    /// Requests to the API server.
    pub requests: Family<Request, Counter>,
    /// How long Orchestrations took.
    pub orchestration_duration: Family<Outcome, Histogram, Long>,
    /// How long activities took.
    pub activity_duration: Family<ProviderOutcome, Histogram, Long>,
    /// From ready to started.
    pub activity_start_delay: Histogram,
    /// Attempts that failed and are followed by another.
    pub activity_retries: Family<Why, Counter>,
    /// Attempts that failed for good.
    pub activity_failures: Family<Why, Counter>,
    /// From a tick to its run.
    pub schedule_skew: Histogram,
    /// Ticks without a run.
    pub schedule_missed: Family<Why, Counter>,
    /// Caches that were older than the server.
    pub stale_reads: Counter,
    /// Whether this replica works.
    pub leader: Gauge,
    censuses: Arc<Mutex<Vec<Census>>>,
    registry: Arc<Registry>,
    descriptions: Arc<Vec<Description>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

/// A registry, and what is said of everything in it.
struct Register {
    registry: Registry,
    descriptions: Vec<Description>,
}

impl Register {
    fn counter<M>(&mut self, name: &str, labels: &'static str, help: &'static str, metric: M) -> M
    where
        M: Metric + Clone,
    {
        self.describe(format!("{PREFIX}_{name}_total"), "counter", labels, help);
        self.registry.register(name, help, metric.clone());
        metric
    }

    fn gauge<M: Metric + Clone>(
        &mut self,
        name: &str,
        labels: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        self.describe(format!("{PREFIX}_{name}"), "gauge", labels, help);
        self.registry.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: Metric + Clone>(
        &mut self,
        name: &str,
        labels: &'static str,
        help: &'static str,
        metric: M,
    ) -> M {
        self.describe(format!("{PREFIX}_{name}_seconds"), "histogram", labels, help);
        self.registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }

    fn describe(&mut self, name: String, kind: &'static str, labels: &'static str, help: &'static str) {
        self.descriptions.push(Description { name, kind, labels, help });
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::with_prefix(PREFIX);
        let mut all = Register { registry, descriptions: Vec::new() };
        let build: Family<Version, Gauge> = Family::default();
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
        all.gauge("build_info", "version", "Always 1; the version that runs is its label", build);
        let censuses = Arc::new(Mutex::new(Vec::new()));
        all.describe(format!("{PREFIX}_orchestrations"), "gauge", "state", ORCHESTRATIONS);
        all.registry.register_collector(Box::new(States(Arc::clone(&censuses))));
        Self {
            reconciles: all.counter("reconcile", "kind, result", "Reconciles that have ended", Family::default()),
            reconcile_duration: all.seconds(
                "reconcile_duration",
                "kind",
                "How long one reconcile took",
                Family::new_with_constructor(Short),
            ),
            reconciling: all.gauge("reconciles_running", "kind", "Reconciles that are under way", Family::default()),
            watch_interruptions: all.counter(
                "watch_interruptions",
                "kind",
                "Watches that the API server or the network ended with an error; they are resumed",
                Family::default(),
            ),
            requests: all.counter(
                "api_requests",
                "verb, code",
                "Requests to the API server; code is none where no answer came",
                Family::default(),
            ),
            orchestration_duration: all.seconds(
                "orchestration_duration",
                "result",
                "From the start of an Orchestration to its end",
                Family::new_with_constructor(Long),
            ),
            activity_duration: all.seconds(
                "activity_duration",
                "provider, result",
                "From the start of the last attempt of an activity to its end",
                Family::new_with_constructor(Long),
            ),
            activity_start_delay: all.seconds(
                "activity_start_delay",
                "",
                "From the moment at which nothing but the start of an attempt was missing to the start of its pod",
                Short.new_metric(),
            ),
            activity_retries: all.counter(
                "activity_retries",
                "reason",
                "Attempts that failed or were taken away, and are followed by another",
                Family::default(),
            ),
            activity_failures: all.counter(
                "activity_failures",
                "reason",
                "Attempts that failed for good",
                Family::default(),
            ),
            schedule_skew: all.seconds(
                "schedule_skew",
                "",
                "From the tick of a schedule to the creation of its run",
                Short.new_metric(),
            ),
            schedule_missed: all.counter(
                "schedule_missed",
                "reason",
                "Ticks of schedules that have no run",
                Family::default(),
            ),
            stale_reads: all.counter(
                "stale_reads_rejected",
                "",
                "Times that the server had a newer object than the cache, seen before anything was done from the old one",
                Counter::default(),
            ),
            leader: all.gauge(
                "leader",
                "",
                "1 while this replica works, 0 while it waits for the Lease",
                Gauge::default(),
            ),
            censuses,
            registry: Arc::new(all.registry),
            descriptions: Arc::new(all.descriptions),
        }
    }
}

/// What is said of the gauge that is counted at every scrape.
const ORCHESTRATIONS: &str = "Orchestrations in the cache, by state; Unreadable: those that cannot be read";

impl Metrics {
    /// Everything as text for Prometheus or, where `open` is asked for, in the form of OpenMetrics 1.0.
    #[must_use]
    pub fn render(&self, open: bool) -> String {
        let mut rendered = String::new();
        // Writing into a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut rendered, &self.registry);
        if open { rendered } else { text::plain(&rendered) }
    }

    /// What is said of every metric, in the order of the documentation.
    #[must_use]
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// Counts what `census` counts whenever somebody asks.
    pub fn count_states(&self, census: impl Fn() -> BTreeMap<&'static str, u64> + Send + Sync + 'static) {
        self.censuses.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(census));
    }

    /// A reconcile of a kind begins; it ends when the result is dropped.
    #[must_use]
    pub fn reconcile(&self, kind: &str) -> Reconciling {
        let gauge = self.reconciling.get_or_create_owned(&Kind { kind: kind.to_owned() });
        gauge.inc();
        Reconciling(gauge)
    }

    /// A reconcile has ended.
    pub fn reconciled(&self, kind: &str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&KindResult { kind: kind.to_owned(), result }).inc();
        self.reconcile_duration.get_or_create(&Kind { kind: kind.to_owned() }).observe(took.as_secs_f64());
    }
}

/// A reconcile that is under way.
#[derive(Debug)]
pub struct Reconciling(Gauge);

impl Drop for Reconciling {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The Orchestrations by state, counted at every scrape: what is counted while it changes drifts.
struct States(Arc<Mutex<Vec<Census>>>);

impl fmt::Debug for States {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("States")
    }
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Collector for States {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
        for census in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            for (state, count) in census() {
                *all.entry(state).or_default() += count;
            }
        }
        let gauge = ConstGauge::new(0_u64);
        let mut family = encoder.encode_descriptor(
            "orchestrations",
            &format!("{ORCHESTRATIONS}."),
            None,
            gauge.metric_type(),
        )?;
        for (state, count) in all {
            let counted = ConstGauge::new(count);
            counted.encode(family.encode_family(&State { state })?)?;
        }
        Ok(())
    }
}
