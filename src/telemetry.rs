//! Telemetry: structured logs on standard error.
//!
//! Responsible for: level and format of what the process says. Must never: log inputs, outputs or secrets.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Form of the log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `level` is a level or a list of directives such as `info,kube=debug`.
pub fn start(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(level)?;
    if !level.contains("kube") {
        // The client warns with the whole body of an answer that it cannot read; we say what went wrong ourselves.
        filter = filter.add_directive("kube_client=error".parse()?);
    }
    let registry = tracing_subscriber::registry().with(filter);
    // Colours are for people at a terminal; in a file they are noise.
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => registry.with(layer).try_init()?,
        LogFormat::Json => registry.with(layer.json()).try_init()?,
    }
    Ok(())
}
