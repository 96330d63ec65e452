//! Counts reconciles, by the log line that each of them writes.
//!
//! Responsible for: one subscriber in the whole test binary. Must never: print anything.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static COUNTS: LazyLock<Mutex<HashMap<(String, String), usize>>> = LazyLock::new(Mutex::default);

thread_local! {
    /// The same of the test that has this thread, by kind.
    static HERE: RefCell<HashMap<String, usize>> = RefCell::default();
}

/// How often an object of a kind was reconciled in this thread: by the operators of a test whose time stands still.
pub fn reconciles_here(kind: &str) -> usize {
    HERE.with_borrow(|counts| counts.get(kind).copied().unwrap_or_default())
}

/// How often an object of a kind was reconciled in a namespace.
pub fn reconciles(kind: &str, namespace: &str) -> usize {
    COUNTS.lock().unwrap().get(&(kind.to_owned(), namespace.to_owned())).copied().unwrap_or_default()
}

/// Starts counting. May be called any number of times. `RUST_LOG` makes the log visible as well.
pub fn start_counting() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let counted =
            Counter.with_filter(Targets::new().with_target("orchestrator::reconcile", tracing::Level::DEBUG));
        let shown = std::env::var("RUST_LOG").ok().map(|directives| {
            tracing_subscriber::fmt::layer()
                .with_test_writer()
                .with_filter(tracing_subscriber::EnvFilter::new(directives))
        });
        tracing_subscriber::registry().with(counted).with(shown).init();
    });
}

struct Counter;

impl<S: tracing::Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        HERE.with_borrow_mut(|counts| *counts.entry(fields.kind.clone()).or_default() += 1);
        *COUNTS.lock().unwrap().entry((fields.kind, fields.namespace)).or_default() += 1;
    }
}

#[derive(Default)]
struct Fields {
    kind: String,
    namespace: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "kind" => self.kind = format!("{value:?}"),
            "namespace" => self.namespace = format!("{value:?}"),
            _ => {}
        }
    }
}
