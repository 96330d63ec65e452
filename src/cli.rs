//! The command line: one binary with subcommands.
//!
//! Responsible for: flags, their documentation and defaults. Must never: do the work of a subcommand.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::engine::metadata::Pattern;
use crate::telemetry::LogFormat;

pub mod controller;
pub mod crds;
pub mod duration;
pub mod graph;
pub mod lint;
pub mod run;
pub mod schedule;
pub mod wait;

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
    /// succeeded, 1: one did not, or the result could not be written, 2: something in the files or flags is wrong and
    /// nothing was run, 3: time was up, 130: Ctrl-C; other signals that end programs likewise: 128 and their number. At
    /// the end nothing that was started is left; Ctrl-C once more kills what still ends.
    Run(run::RunArguments),
    /// Tell everything that is wrong with files, with no cluster: in the words of the controllers, with file and line.
    ///
    /// Documents of other kinds are skipped. Exit code 0: nothing is wrong, 1: there are problems, 2: a file cannot be
    /// read.
    Lint(lint::LintArguments),
    /// Draw the activities of OrchestrationDefinitions: tiers, and what depends on what.
    ///
    /// Exit code 0: all are drawn, 1: one cannot be drawn, 2: a file cannot be read, or there is nothing to draw.
    Graph(graph::GraphArguments),
    /// Show when a schedule is due, and make runs of it by hand.
    Schedule(schedule::ScheduleArguments),
    /// Wait until an Orchestration has ended, and tell how.
    ///
    /// Exit code 0: it succeeded, 1: it did not, 2: it cannot be read, 3: time was up.
    Wait(wait::WaitArguments),
    /// Give back as outputs what an activity gets as inputs. For tests of an installation.
    #[command(hide = true)]
    Echo {
        /// Where the inputs are.
        #[arg(long, env = "ORCHESTRATOR_INPUT_FILE")]
        input: PathBuf,
        /// Where the outputs are to be.
        #[arg(long, env = "ORCHESTRATOR_OUTPUT_FILE")]
        output: PathBuf,
    },
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
    /// Work in this namespace only, or in these: more than once, or with commas in between. Default: in all.
    #[arg(long = "namespace", env = "ORCHESTRATOR_NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    pub namespaces: Vec<String>,
    /// Serve /livez and /readyz here, such as 0.0.0.0:8080. Default: nowhere.
    #[arg(long, env = "ORCHESTRATOR_HEALTH_ADDRESS")]
    pub health_address: Option<SocketAddr>,
    /// Serve /metrics here, such as 0.0.0.0:9090. Default: nowhere.
    #[arg(long, env = "ORCHESTRATOR_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
    /// Let job templates use hostPath, hostNetwork, hostPID, hostIPC and privileged containers.
    #[arg(long, env = "ORCHESTRATOR_ALLOW_HOST_ACCESS")]
    pub allow_host_access: bool,
    /// Most objects of one kind that are worked on at the same time.
    #[arg(long, env = "ORCHESTRATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,
    /// Delete pinned definitions (ControllerRevisions) that nothing has referred to for so many seconds, 120 to 31536000.
    #[arg(long, env = "ORCHESTRATOR_REVISION_RETENTION_SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(120..=31_536_000))]
    pub revision_retention_seconds: u32,
    #[command(flatten)]
    #[allow(missing_docs)] // clap would show it instead of what the subcommand does
    pub election: ElectionArguments,
    /// How long the Jobs of a finished Orchestration are kept, with their pods and logs, such as 30m or 24h. Its status
    /// stays.
    #[arg(long, env = "ORCHESTRATOR_JOB_RETENTION", default_value = "24h", value_parser = duration::parse)]
    pub job_retention: Duration,
    /// Copy these labels of Orchestrations to their Jobs and pods: a key, or a prefix such as example.com/*. More than once,
    /// or with commas in between. Default: none.
    #[arg(long, env = "ORCHESTRATOR_PROPAGATE_LABELS", value_delimiter = ',', value_parser = Pattern::parse)]
    pub propagate_labels: Vec<Pattern>,
    /// Copy these annotations of Orchestrations to their Jobs and pods, in the same form. Default: none.
    #[arg(long, env = "ORCHESTRATOR_PROPAGATE_ANNOTATIONS", value_delimiter = ',', value_parser = Pattern::parse)]
    pub propagate_annotations: Vec<Pattern>,
    /// What to log: a level, or directives such as info,kube=debug.
    #[arg(long, env = "ORCHESTRATOR_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Form of the log lines.
    #[arg(long, env = "ORCHESTRATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Flags of the election.
#[derive(Debug, clap::Args)]
pub struct ElectionArguments {
    /// Work only while holding a Lease, so that of several replicas one works and the others wait for its end.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT")]
    pub leader_elect: bool,
    /// Namespace of the Lease. Default: the pod's own, or that of the kubeconfig.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT_NAMESPACE")]
    pub leader_elect_namespace: Option<String>,
    /// Name of the Lease. Operators that work in different namespaces need different ones.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT_NAME", default_value = "orchestrator")]
    pub leader_elect_name: String,
    /// How long the others wait before they take over from a leader that is not heard of: whole seconds.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT_LEASE_DURATION", default_value = "15s", value_parser = duration::parse)]
    pub leader_elect_lease_duration: Duration,
    /// How long a leader that cannot renew the Lease goes on; shorter than the lease duration.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT_RENEW_DEADLINE", default_value = "10s", value_parser = duration::parse)]
    pub leader_elect_renew_deadline: Duration,
    /// Time between two renewals; 1.2 times of it must be shorter than the renew deadline.
    #[arg(long, env = "ORCHESTRATOR_LEADER_ELECT_RETRY_PERIOD", default_value = "2s", value_parser = duration::parse)]
    pub leader_elect_retry_period: Duration,
}

/// The name of a namespace, as the API server takes it.
fn namespace(text: &str) -> Result<String, String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = (1..=63).contains(&text.len())
        && text.chars().all(|c| is_word(c) || c == '-')
        && text.starts_with(is_word)
        && text.ends_with(is_word);
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("must be a namespace: lower-case letters, digits and dashes, at most 63".to_owned())
    }
}

/// Runs what the command line says.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Controller(arguments) => controller::run(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Graph(arguments) => graph::run(&arguments),
        Command::Schedule(arguments) => schedule::run(&arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Echo { input, output } => echo(&input, &output).map(|()| ExitCode::SUCCESS),
        Command::Crds { output } => crds::run(&output).map(|()| ExitCode::SUCCESS),
    }
}

/// Inputs become outputs, in place: a file that takes the place of the other would not be seen.
fn echo(input: &Path, output: &Path) -> anyhow::Result<()> {
    let inputs = std::fs::read(input).with_context(|| format!("reading {}", input.display()))?;
    std::fs::write(output, inputs).with_context(|| format!("writing {}", output.display()))
}
