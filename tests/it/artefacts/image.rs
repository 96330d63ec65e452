//! The Dockerfile: what goes into the build is enough for it.

use std::path::Path;
use std::process::Command;

use super::{path, read};

/// What `.dockerignore` lets through: it refuses everything, and then names what it wants.
fn context() -> Vec<String> {
    let text = read(&path(".dockerignore"));
    assert!(text.lines().any(|line| line == "*"), "everything else is left out");
    text.lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect()
}

#[test]
fn cargo_can_read_what_is_sent_to_the_build() {
    let directory = tempfile::tempdir().unwrap();
    for name in context() {
        let copied = Command::new("cp").arg("-r").arg(path(&name)).arg(directory.path()).status().unwrap();
        assert!(copied.success(), "{name}");
    }
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version=1"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
}

#[test]
fn no_source_file_reads_what_is_not_sent() {
    fn look(directory: &Path, root: &Path, context: &[String], seen: &mut usize) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                look(&entry, root, context, seen);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&entry) else { continue };
            // Tests are not built there.
            if entry.to_string_lossy().contains("tests") {
                continue;
            }
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for macro_ in ["include_str!(\"", "include_bytes!(\""] {
                for named in text.split(macro_).skip(1) {
                    *seen += 1;
                    let named = named.split('"').next().unwrap_or_default();
                    let file = entry.parent().unwrap().join(named).canonicalize().unwrap();
                    let inside = file.strip_prefix(root).unwrap();
                    let top = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
                    assert!(context.contains(&top), "{} reads {}", entry.display(), inside.display());
                }
            }
        }
    }
    let root = path("").canonicalize().unwrap();
    look(&root.join("src"), &root, &context(), &mut 0);
}

#[test]
fn the_dockerfile_and_the_image_of_the_tests_lay_it_out_alike() {
    let dockerfile = read(&path("Dockerfile"));
    let script = read(&path("tests/cluster/operator-image"));
    let program = "/usr/local/bin/orchestrator";
    assert!(dockerfile.contains(&format!("COPY --from=build /orchestrator {program}\n")));
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{program}\"]\n")));
    assert!(script.contains(&format!("'[\"{program}\"]' \"$program:{program}\"")));
    assert!(dockerfile.contains("\nUSER 65532:65532\n"), "nobody in particular");
}
