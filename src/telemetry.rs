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
///
/// # Errors
/// The level is none.
pub fn start(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let mut filter = filter(level)?;
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

/// What is let through. A word that is no level would be taken for the name of a module, and nothing else be said.
fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    let is_level = |word: &str| {
        ["off", "error", "warn", "info", "debug", "trace"].contains(&word.trim().to_lowercase().as_str())
    };
    let is_directive =
        |word: &str| word.split_once('=').map_or_else(|| is_level(word), |(_, level)| is_level(level));
    anyhow::ensure!(
        level.split(',').all(is_directive),
        "\"{level}\" must be error, warn, info, debug, trace or off, or directives such as info,kube=debug"
    );
    Ok(EnvFilter::try_new(level)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_the_known() {
        for level in ["info", "WARN", "off", "info,kube=debug", "orchestrator::reconcile=trace"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["bogus", "", "info,bogus", "kube=loud", "info;debug"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
