//! The command line: one binary with subcommands.
//!
//! Responsible for: flags, their documentation and defaults. Must never: do the work of a subcommand.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::telemetry::LogFormat;

pub mod controller;
pub mod crds;
pub mod run;

/// Runs orchestrations: DAGs of activities on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator against the cluster of the kubeconfig, or the one that it runs in.
    Controller(ControllerArguments),
    /// Run orchestrations from files on this machine, with no cluster: activities are local processes.
    ///
    /// There is no isolation: a process may do what its user may do, and container images are not run. Exit code 0: all
    /// succeeded, 1: one did not, 2: something in the files is wrong and nothing was run, 3: time was up.
    Run(run::RunArguments),
    /// Write the CustomResourceDefinitions, one file per kind.
    Crds {
        /// Directory to write into.
        #[arg(long, default_value = "crds")]
        output: PathBuf,
    },
}

/// Flags of the operator.
#[derive(Debug, clap::Args)]
pub struct ControllerArguments {
    /// Work in this namespace only. Default: in all.
    #[arg(long, env = "ORCHESTRATOR_NAMESPACE")]
    pub namespace: Option<String>,
    /// Let job templates use hostPath, hostNetwork, hostPID, hostIPC and privileged containers.
    #[arg(long, env = "ORCHESTRATOR_ALLOW_HOST_ACCESS")]
    pub allow_host_access: bool,
    /// Most objects of one kind that are worked on at the same time.
    #[arg(long, env = "ORCHESTRATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,
    /// Delete pinned definitions (ControllerRevisions) that nothing has referred to for so many seconds, 60 to 31536000.
    #[arg(long, env = "ORCHESTRATOR_REVISION_RETENTION_SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(60..=31_536_000))]
    pub revision_retention_seconds: u32,
    /// How long the Jobs of a finished Orchestration are kept, with their pods and logs, such as 30m or 24h. Its status
    /// stays.
    #[arg(long, env = "ORCHESTRATOR_JOB_RETENTION", default_value = "24h", value_parser = duration)]
    pub job_retention: Duration,
    /// What to log: a level, or directives such as info,kube=debug.
    #[arg(long, env = "ORCHESTRATOR_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Form of the log lines.
    #[arg(long, env = "ORCHESTRATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Runs what the command line says.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Controller(arguments) => controller::run(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Crds { output } => crds::run(&output).map(|()| ExitCode::SUCCESS),
    }
}

/// A duration as people write it: a number with ms, s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "must be a number with ms, s, m or h, such as 30s".to_owned())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("must be a number with ms, s, m or h, such as 30s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "5", "s", "-1s", "1d", "1 s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
