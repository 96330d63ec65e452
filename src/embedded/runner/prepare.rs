//! From a pod to what is to be started: commands, variables and directories on this machine.
//!
//! Responsible for: the whole preparation as a value, before anything is started. Must never: touch the world.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt;

use super::environment;
use super::expansion::expand;
use super::paths::{Paths, below};
use super::problem::Problem;
use super::sources::Sources;
use super::volumes::{self, VolumeContent};

/// Where the kubelet looks for a termination message if the template does not say.
const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// The directories of a pod.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Everything of the pod but its logs; removed when it has ended.
    pub root: PathBuf,
    /// The logs.
    pub logs: PathBuf,
}

/// Everything of a pod that is to be made before its first process.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Directories to make.
    pub directories: Vec<PathBuf>,
    /// Volumes to write.
    pub volumes: Vec<VolumeContent>,
    /// The init containers, in order.
    pub init: Vec<Launch>,
    /// The containers.
    pub main: Vec<Launch>,
}

/// A process to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Name of the container.
    pub container: String,
    /// Command and arguments; not empty.
    pub command: Vec<String>,
    /// All variables.
    pub variables: BTreeMap<String, String>,
    /// Working directory.
    pub directory: PathBuf,
    /// File of the termination message.
    pub message: PathBuf,
    /// Without a message, the end of the log is the message of a container that failed.
    pub log_is_message: bool,
    /// File of the log.
    pub log: PathBuf,
}

/// A container that cannot be started, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Name of the container; the pod's first one where all are concerned.
    pub container: String,
    /// Why.
    pub problem: Problem,
}

/// The preparation of a pod.
pub fn plan(
    pod: &Pod,
    sources: &Sources,
    layout: &Layout,
    base: &[(String, String)],
) -> Result<Plan, Obstacle> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let first = spec.containers.first().map(|container| container.name.clone()).unwrap_or_default();
    let whole = |problem| Obstacle { container: first.clone(), problem };
    if let Some(policy) = spec.restart_policy.as_deref().filter(|policy| *policy != "Never") {
        let message = format!("restartPolicy {policy} is not provided here: use Never");
        return Err(whole(Problem::unsupported(message)));
    }
    let mut contents = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let directory = beside(&layout.root, "volume", &volume.name).map_err(Problem::path).map_err(whole)?;
        contents.push(volumes::content(pod, volume, sources, directory).map_err(whole)?);
    }
    let temporary = layout.root.join("tmp");
    let mut base = base.to_vec();
    base.push(("TMPDIR".to_owned(), temporary.display().to_string()));
    base.push(("HOSTNAME".to_owned(), pod.name_any()));
    let mut plan =
        Plan { directories: vec![temporary], volumes: contents, init: Vec::new(), main: Vec::new() };
    for container in spec.init_containers.iter().flatten() {
        let launch = launch(pod, container, sources, layout, &base, &mut plan).map_err(named(container))?;
        if container.restart_policy.is_some() {
            let message = "an init container with a restartPolicy, a sidecar, is not provided here";
            return Err(named(container)(Problem::unsupported(message)));
        }
        plan.init.push(launch);
    }
    for container in &spec.containers {
        let launch = launch(pod, container, sources, layout, &base, &mut plan).map_err(named(container))?;
        plan.main.push(launch);
    }
    Ok(plan)
}

fn named(container: &Container) -> impl Fn(Problem) -> Obstacle {
    |problem| Obstacle { container: container.name.clone(), problem }
}

fn launch(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    layout: &Layout,
    base: &[(String, String)],
    plan: &mut Plan,
) -> Result<Launch, Problem> {
    let written = container.command.as_deref().unwrap_or_default();
    if written.is_empty() {
        let image = container.image.as_deref().unwrap_or("(none)");
        return Err(Problem::image_not_run(&container.name, image));
    }
    let own = |part: &str| beside(&layout.root, part, &container.name).map_err(Problem::path);
    let mut paths = Paths::new(&layout.root);
    for mount in container.volume_mounts.iter().flatten() {
        let host =
            mounted(&plan.volumes, &mount.name, mount.sub_path.as_deref(), mount.sub_path_expr.as_deref())?;
        if mount.sub_path.as_ref().is_some_and(|path| !path.is_empty()) && !is_file(&plan.volumes, &host) {
            plan.directories.push(host.clone());
        }
        paths.mount(&mount.mount_path, host).map_err(Problem::path)?;
    }
    let message_path = container.termination_message_path.as_deref().filter(|path| !path.is_empty());
    let message_path = message_path.unwrap_or(DEFAULT_MESSAGE_PATH);
    let name = Path::new(message_path).file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Problem::path(format!("the path {message_path:?} cannot be mapped")))?;
    // As the template names it, for programs that look at the ending.
    let mut message = own("message")?.into_os_string();
    message.push(format!(".{name}"));
    let message = PathBuf::from(message);
    paths.mount(message_path, message.clone()).map_err(Problem::path)?;

    let own_variables = environment::variables(pod, container, sources, &paths)?;
    let lookup = |name: &str| own_variables.get(name).cloned();
    let arguments = written.iter().chain(container.args.iter().flatten());
    let command = arguments.map(|text| {
        let expanded = expand(&paths.rewrite(text)?, lookup);
        Ok(paths.map(&expanded).unwrap_or(expanded))
    });
    let command = command.collect::<Result<Vec<_>, String>>().map_err(Problem::path)?;
    let directory = match container.working_dir.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(paths.map(path).ok_or_else(|| {
            Problem::path(format!(
                "the working directory {path} cannot be mapped: it is a path of the image, which is not run here; \
                 use a mounted one"
            ))
        })?),
        None => own("work")?,
    };
    plan.directories.push(directory.clone());
    let variables = base.iter().cloned().chain(own_variables).collect();
    let log = below(&layout.logs, &format!("{}.log", container.name)).map_err(Problem::path)?;
    let log_is_message = container.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    Ok(Launch {
        container: container.name.clone(),
        command,
        variables,
        directory,
        message,
        log_is_message,
        log,
    })
}

/// Where a volume, or a part of it, is.
fn mounted(
    volumes: &[VolumeContent],
    name: &str,
    sub_path: Option<&str>,
    sub_path_expression: Option<&str>,
) -> Result<PathBuf, Problem> {
    if sub_path_expression.is_some_and(|path| !path.is_empty()) {
        return Err(Problem::path(format!("subPathExpr of volume {name} cannot be mapped: use subPath")));
    }
    let volume = volumes.iter().find(|volume| volume.name == name);
    let volume = volume.ok_or_else(|| Problem::path(format!("there is no volume {name}")))?;
    match sub_path.filter(|path| !path.is_empty()) {
        Some(path) => below(&volume.directory, path).map_err(Problem::path),
        None => Ok(volume.directory.clone()),
    }
}

/// A part of a pod: side by side and not one in another, because making and removing directories is most of what a short
/// pod costs. Names of containers and volumes have no dot.
fn beside(root: &Path, part: &str, name: &str) -> Result<PathBuf, String> {
    below(root, name)?;
    below(root, &format!("{part}.{name}"))
}

fn is_file(volumes: &[VolumeContent], path: &Path) -> bool {
    volumes.iter().any(|volume| volume.has_file(path))
}

/// Directory of a pod's logs below the directory of all logs.
pub fn log_directory(logs: &Path, pod: &Pod) -> Result<PathBuf, String> {
    below(&below(logs, &pod.namespace().unwrap_or_default())?, &pod.name_any())
}

#[cfg(test)]
mod tests;
