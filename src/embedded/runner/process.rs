//! One container as a local process: its group, its output, its end.
//!
//! Responsible for: a process group that never outlives its container, and the exit code as a container runtime
//! reports it. Must never: read what the process says, but for keeping it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;

use super::log;
use super::prepare::Launch;

/// How long the output of a process that has ended is waited for. It ends with the process, unless a process that
/// left the group holds it open.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
/// Another thread that forks at the wrong moment holds a freshly written program open for writing.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
const BUSY_TRIES: u32 = 100;

/// By when a container must have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When it is killed. Until then it has been asked to end.
    pub kill_at: Instant,
}

/// A process group. It is killed when the value goes, whatever happened.
#[derive(Debug)]
struct Group(Pid);

impl Group {
    /// Sends a signal to all processes of the group. That none is left is no error.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A started process.
#[derive(Debug)]
pub struct Process {
    // The order matters: what is left of the group ends before the child is forgotten.
    group: Group,
    child: Child,
    output: pipe::Receiver,
}

/// Starts a process. The error is what a container runtime would say.
pub async fn start(launch: &Launch) -> Result<Process, String> {
    let name = launch.command.first().map(String::as_str).unwrap_or_default();
    let failed = |error: &io::Error| format!("exec: {name:?}: {}", words(error));
    let path = launch.variables.get("PATH").map(String::as_str).unwrap_or_default();
    let program = find(name, path, &launch.directory)?;
    let mut tries = 0;
    loop {
        match spawn(launch, &program) {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            result => return result.map_err(|error| failed(&error)),
        }
    }
}

fn spawn(launch: &Launch, program: &Path) -> io::Result<Process> {
    let (reader, writer) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut command = Command::new(program);
    command
        .arg0(launch.command.first().map(String::as_str).unwrap_or_default())
        .args(launch.command.iter().skip(1))
        .env_clear()
        .envs(&launch.variables)
        .current_dir(&launch.directory)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0);
    let child = command.spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = Group(id.ok_or_else(|| io::Error::other("the process has no id"))?);
    Ok(Process { group, child, output })
}

impl Process {
    /// Waits for the end. Once `stop` says so the group is asked to end, and later made to.
    pub async fn end(
        mut self,
        launch: &Launch,
        log_limit: u64,
        mut stop: watch::Receiver<Option<Stop>>,
    ) -> i32 {
        let mut output = std::pin::pin!(log::keep(self.output, &launch.log, log_limit));
        let mut logged = false;
        let mut asked = false;
        let status = loop {
            let kill_at = stop.borrow_and_update().map(|stop| stop.kill_at);
            if kill_at.is_some() && !asked {
                asked = true;
                self.group.signal(Signal::TERM);
            }
            tokio::select! {
                status = self.child.wait() => break status,
                result = &mut output, if !logged => {
                    logged = true;
                    note(launch, result);
                }
                Ok(()) = stop.changed() => {}
                () = at(kill_at) => {
                    self.group.signal(Signal::KILL);
                    // Nothing holds out against this one.
                    break self.child.wait().await;
                }
            }
        };
        // As in a container, nothing outlives the first process.
        self.group.signal(Signal::KILL);
        if !logged && let Ok(result) = tokio::time::timeout(LAST_OUTPUT, output).await {
            note(launch, result);
        }
        status.map_or(-1, exit_code)
    }
}

fn note(launch: &Launch, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(container = launch.container, %error, "the log is incomplete");
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A signal is 128 and its number.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The file that a command names: looked for in the container's own PATH, so that the system need not.
fn find(name: &str, path: &str, directory: &Path) -> Result<PathBuf, String> {
    if name.contains('/') {
        let file = directory.join(name);
        return match std::fs::metadata(&file) {
            Err(error) => Err(format!("exec: {name:?}: stat {name}: {}", words(&error))),
            Ok(_) => Ok(file),
        };
    }
    let is_program = |file: &PathBuf| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    folders
        .map(|folder| directory.join(folder).join(name))
        .find(is_program)
        .ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}

/// What went wrong, without the number that means nothing to most.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ArgumentListTooLong => "argument list too long".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
