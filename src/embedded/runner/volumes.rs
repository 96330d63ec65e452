//! The volumes of a pod as directories: what is in them, and writing it.
//!
//! Responsible for: emptyDir, downwardAPI, configMap, secret, and projected volumes of these. Must never: write
//! outside of the volume's directory, or let others than the user read it.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume};

use super::paths::below;
use super::problem::Problem;
use super::sources::{Data, Sources, field};

/// Mode of files whose volume names none.
const DEFAULT_MODE: i32 = 0o644;

/// A directory and the files in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeContent {
    /// Name of the volume.
    pub name: String,
    /// Where it is.
    pub directory: PathBuf,
    /// Its files.
    pub files: Vec<File>,
}

impl VolumeContent {
    /// Whether the path is one of its files.
    #[must_use]
    pub fn has_file(&self, path: &Path) -> bool {
        self.files.iter().any(|file| file.path == path)
    }
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    path: PathBuf,
    content: Vec<u8>,
    mode: u32,
}

/// What is in a volume that lies in `directory`.
pub fn content(
    pod: &Pod,
    volume: &Volume,
    sources: &Sources,
    directory: PathBuf,
) -> Result<VolumeContent, Problem> {
    let mut files = Files { pod, directory: &directory, volume: &volume.name, found: Vec::new() };
    if let Some(source) = &volume.downward_api {
        files.downward(source.items.as_deref(), source.default_mode)?;
    } else if let Some(source) = &volume.config_map {
        let data = files.missing(sources.config_map(&source.name, source.optional))?;
        files.keys(data, source.items.as_deref(), source.default_mode, source.optional)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let data = files.missing(sources.secret(name, source.optional))?;
        files.keys(data, source.items.as_deref(), source.default_mode, source.optional)?;
    } else if let Some(projected) = &volume.projected {
        for source in projected.sources.iter().flatten() {
            let mode = projected.default_mode;
            if let Some(source) = &source.downward_api {
                files.downward(source.items.as_deref(), mode)?;
            } else if let Some(source) = &source.config_map {
                let data = files.missing(sources.config_map(&source.name, source.optional))?;
                files.keys(data, source.items.as_deref(), mode, source.optional)?;
            } else if let Some(source) = &source.secret {
                let data = files.missing(sources.secret(&source.name, source.optional))?;
                files.keys(data, source.items.as_deref(), mode, source.optional)?;
            } else {
                return Err(files.unsupported("a service account token or another part of it"));
            }
        }
    } else if volume.empty_dir.is_none() {
        return Err(files.unsupported("its type"));
    }
    let files = files.found;
    Ok(VolumeContent { name: volume.name.clone(), directory, files })
}

struct Files<'a> {
    pod: &'a Pod,
    directory: &'a Path,
    volume: &'a str,
    found: Vec<File>,
}

impl Files<'_> {
    fn downward(
        &mut self,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<(), Problem> {
        for item in items.unwrap_or_default() {
            let Some(reference) = &item.field_ref else { return Err(self.unsupported("a resourceFieldRef")) };
            let content = field(self.pod, &reference.field_path)?.into_bytes();
            self.add(&item.path, content, item.mode.or(mode))?;
        }
        Ok(())
    }

    fn keys(
        &mut self,
        data: Option<&Data>,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
    ) -> Result<(), Problem> {
        let Some(data) = data else { return Ok(()) };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            return data.iter().try_for_each(|(key, content)| self.add(key, content.clone(), mode));
        };
        for item in items {
            match data.get(&item.key) {
                Some(content) => self.add(&item.path, content.clone(), item.mode.or(mode))?,
                None if optional == Some(true) => {}
                None => {
                    let message = format!("references non-existent config key: {}", item.key);
                    return self.missing(Err(Problem::Missing(message)));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, content: Vec<u8>, mode: Option<i32>) -> Result<(), Problem> {
        let path = below(self.directory, path).map_err(Problem::path)?;
        let mode = u32::try_from(mode.unwrap_or(DEFAULT_MODE)).unwrap_or_default();
        // There is but one user here, who must be able to remove it again.
        self.found.push(File { path, content, mode: mode & 0o700 | 0o600 });
        Ok(())
    }

    /// The kubelet's words, and the volume that they are about.
    fn missing<T>(&self, result: Result<T, Problem>) -> Result<T, Problem> {
        result.map_err(|problem| match problem {
            Problem::Missing(message) => {
                Problem::Missing(format!("MountVolume.SetUp failed for volume {:?} : {message}", self.volume))
            }
            refused @ Problem::Refused { .. } => refused,
        })
    }

    fn unsupported(&self, what: &str) -> Problem {
        let volume = self.volume;
        Problem::path(format!(
            "volume {volume} cannot be mapped: {what} is not provided here, only emptyDir, downwardAPI, configMap, \
             secret, and projected volumes of these"
        ))
    }
}

/// Makes the directory of a volume and its files.
pub fn write(volume: &VolumeContent) -> io::Result<()> {
    make_directory(&volume.directory)?;
    for file in &volume.files {
        if let Some(parent) = file.path.parent() {
            make_directory(parent)?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut made = options.write(true).create(true).truncate(true).mode(file.mode).open(&file.path)?;
        made.write_all(&file.content)?;
    }
    Ok(())
}

/// Makes a directory and those above it, for the user only.
pub fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
