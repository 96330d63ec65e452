//! `orchestrator lint`: everything that is wrong with files, with no cluster.
//!
//! Responsible for: what is printed, and the exit code. Must never: find anything by itself; [`crate::lint`] does.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::engine::text::one_line;
use crate::lint::{Finding, Options, Report, Severity, lint};
use crate::manifest::{self, Extent};

/// Exit code when a file cannot be read, or there is nothing to be checked.
const UNREADABLE: u8 = 2;

/// Flags of `lint`.
#[derive(Debug, clap::Args)]
pub struct LintArguments {
    /// Files, and directories with all that is in them; `-` is standard input.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Form of the findings on standard output.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Let pass references to definitions that are not in the files, because they are on the cluster already.
    #[arg(long)]
    pub allow_missing: bool,
    /// Let pass job templates that reach into the node, as an operator does that was started with this flag.
    #[arg(long)]
    pub allow_host_access: bool,
    /// Exit with 1 on warnings too.
    #[arg(long)]
    pub strict: bool,
}

/// Form of the findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line for each: `file:line: Code: path: message`.
    Text,
    /// A list of objects with file, line, document, kind, name, path, code, message and severity.
    Json,
}

/// Lints files.
pub fn run(arguments: &LintArguments) -> anyhow::Result<ExitCode> {
    let (mut parts, mut unreadable) = (Vec::new(), Vec::new());
    for part in manifest::read(&arguments.paths, Extent::Tree) {
        match part {
            Ok(part) => parts.push(part),
            Err(mistake) => unreadable.push(Finding::from(mistake)),
        }
    }
    // Mostly a file that was not written, or a pipe whose other end has failed.
    if unreadable.is_empty() && parts.iter().all(|part| part.value.is_null()) {
        let nothing = arguments.paths.iter().map(|path| manifest::no_document(path));
        unreadable.extend(nothing.map(Finding::from));
    }
    let options =
        Options { allow_missing: arguments.allow_missing, allow_host_access: arguments.allow_host_access };
    let report = lint(&parts, &options).map_err(anyhow::Error::msg)?;
    let code = exit_code(&report, !unreadable.is_empty(), arguments.strict);
    // What can only be read in part is told first: the rest may follow from it.
    let findings: Vec<&Finding> = unreadable.iter().chain(&report.findings).collect();
    let text = match arguments.output {
        Format::Text => {
            findings.iter().map(|finding| format!("{}\n", one_line(&finding.to_string()))).collect()
        }
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&findings)?),
    };
    // A reader that has gone away (a closed pipe) changes nothing.
    drop(std::io::stdout().write_all(text.as_bytes()));
    drop(std::io::stderr().write_all(summary(&findings, &report, arguments).as_bytes()));
    Ok(code)
}

fn exit_code(report: &Report, is_unreadable: bool, strict: bool) -> ExitCode {
    let counts = |finding: &Finding| strict || finding.severity == Severity::Error;
    if is_unreadable {
        ExitCode::from(UNREADABLE)
    } else if report.findings.iter().any(counts) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// What was looked at, for people.
fn summary(findings: &[&Finding], report: &Report, arguments: &LintArguments) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut text =
        format!("{} checked: {}", numbered(report.checked, "document"), numbered(errors, "problem"));
    if warnings > 0 {
        text.push_str(&format!(", {}", numbered(warnings, "warning")));
    }
    text.push('\n');
    if !report.skipped.is_empty() {
        let kinds = report.skipped.iter().map(|(what, count)| format!("{count} {what}"));
        let all = one_line(&kinds.collect::<Vec<_>>().join(", "));
        text.push_str(&format!("skipped, because not of {}: {all}\n", crate::api::GROUP));
    }
    let is_missing = |finding: &&&Finding| {
        let code = finding.code.as_deref();
        matches!(code, Some("ActivityDefinitionNotFound" | "DefinitionNotFound"))
    };
    if findings.iter().any(|finding| is_missing(&finding)) && !arguments.allow_missing {
        text.push_str("--allow-missing lets pass references to definitions that are not in these files\n");
    }
    text
}

fn numbered(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
