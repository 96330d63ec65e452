//! Paths of a container, and where they are on this machine.
//!
//! Responsible for: one table per container, and texts rewritten by it. Must never: touch the file system, or let a
//! path out of the private directory.

use std::path::{Component, Path, PathBuf};

/// Where the mounted paths of a container are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The pod's private directory: what lies in it has been mapped already.
    root: PathBuf,
    /// Path in the container and on this machine, the longest first.
    mounts: Vec<(String, PathBuf)>,
}

impl Paths {
    /// A container of a pod with this private directory, without any mount.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), mounts: Vec::new() }
    }

    /// Adds a mount. A relative path counts from `/`, as the kubelet has it. Nothing can be mounted at `/`.
    pub fn mount(&mut self, container: &str, host: PathBuf) -> Result<(), String> {
        let segments: Vec<&str> = container.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if segments.is_empty() || segments.contains(&"..") {
            return Err(format!("the path {container:?} cannot be mapped"));
        }
        self.mounts.push((format!("/{}", segments.join("/")), host));
        self.mounts.sort_by_key(|(container, _)| std::cmp::Reverse(container.len()));
        Ok(())
    }

    /// The path on this machine, if the text is a mounted path or begins with one.
    #[must_use]
    pub fn map(&self, text: &str) -> Option<String> {
        if !text.starts_with('/') || Path::new(text).starts_with(&self.root) {
            return None;
        }
        self.mounts.iter().find_map(|(container, host)| {
            let rest = text.strip_prefix(container.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", host.display()))
        })
    }

    /// Rewrites every mounted path in a text of the template, such as a script. Paths inside of words stay: a URL
    /// is no path. The text of a script can only hold paths that a shell takes as they are.
    pub fn rewrite(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(first) = rest.chars().next() {
            let found =
                (first == '/' && before.is_none_or(starts_word)).then(|| self.mount_at(rest)).flatten();
            let length = if let Some((container, host)) = found {
                let host = host.to_string_lossy();
                if !host.chars().all(is_plain) && out.len() + rest.len() > container.len() {
                    return Err(format!(
                        "the path {container} cannot be mapped: {host} has characters that a shell would interpret"
                    ));
                }
                out.push_str(&host);
                container.len()
            } else {
                out.push(first);
                first.len_utf8()
            };
            before = rest.get(..length).and_then(|taken| taken.chars().last());
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(out)
    }

    fn mount_at(&self, rest: &str) -> Option<(&str, &Path)> {
        let ends = |container: &str| {
            let behind = rest.strip_prefix(container)?.chars().next();
            behind.is_none_or(|next| next == '/' || !continues_word(next)).then_some(())
        };
        self.mounts.iter().find_map(|(container, host)| {
            ends(container)?;
            Some((container.as_str(), host.as_path()))
        })
    }
}

/// A path below a directory from a text of the API: nothing that leads out of it.
pub fn below(directory: &Path, relative: &str) -> Result<PathBuf, String> {
    let path = Path::new(relative);
    let inside =
        path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if relative.is_empty() || !inside {
        return Err(format!("the path {relative:?} cannot be mapped: it must stay inside of its directory"));
    }
    Ok(directory.join(path))
}

/// Whether a path can begin after this character.
fn starts_word(before: char) -> bool {
    !continues_word(before) && !matches!(before, '/' | '}' | ')' | ']' | '*' | '?' | '$')
}

fn continues_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '~' | '%' | '+' | '@')
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '/' | '_' | '-' | '.' | '+' | '@' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &str) -> Paths {
        let mut paths = Paths::new(Path::new(root));
        paths.mount("/scratch", Path::new(root).join("s")).unwrap();
        paths.mount("/scratch/deep/", Path::new(root).join("d")).unwrap();
        paths.mount("/tmp", Path::new(root).join("t")).unwrap();
        paths
    }

    #[test]
    fn what_is_or_begins_with_a_mounted_path_is_mapped() {
        let paths = paths("/tmp/run");
        let cases = [
            ("/scratch", Some("/tmp/run/s")),
            ("/scratch/", Some("/tmp/run/s/")),
            ("/scratch/a b/c", Some("/tmp/run/s/a b/c")),
            ("/scratch/deep/x", Some("/tmp/run/d/x")),
            ("/scratch/deeper", Some("/tmp/run/s/deeper")),
            ("/scratches", None),
            ("x/scratch", None),
            ("/tmp/x", Some("/tmp/run/t/x")),
            // What has been mapped is not mapped again.
            ("/tmp/run/t/x", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(paths.map(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn paths_in_a_script_are_rewritten_and_words_are_not() {
        let paths = paths("/r");
        let cases = [
            ("cat /scratch/a > \"/scratch/b\"", "cat /r/s/a > \"/r/s/b\""),
            ("/scratch", "/r/s"),
            ("--file=/scratch/deep/x:/tmp", "--file=/r/d/x:/r/t"),
            ("https://example.com/scratch/a", "https://example.com/scratch/a"),
            ("${HOME}/scratch $HOME/tmp ~/tmp ../tmp", "${HOME}/scratch $HOME/tmp ~/tmp ../tmp"),
            ("/scratch.d /scratch-x /scratchü", "/scratch.d /scratch-x /scratchü"),
            ("(/tmp);/tmp/ü", "(/r/t);/r/t/ü"),
        ];
        for (text, expected) in cases {
            assert_eq!(paths.rewrite(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_mapped_is_refused() {
        let spaced = paths("/my run");
        assert_eq!(spaced.rewrite("/scratch").as_deref(), Ok("/my run/s"), "a whole argument is no script");
        assert!(spaced.rewrite("cat /scratch").unwrap_err().contains("cannot be mapped"));
        let mut paths = paths("/r");
        for path in ["/", "", "/a/../b"] {
            assert!(paths.mount(path, PathBuf::new()).is_err(), "{path}");
        }
        for path in ["", "/etc", "..", "a/../../b"] {
            assert!(below(Path::new("/r"), path).is_err(), "{path}");
        }
        assert_eq!(below(Path::new("/r"), "a/b").unwrap(), Path::new("/r/a/b"));
    }
}
