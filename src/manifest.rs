//! Manifests: files of YAML or JSON documents, as people keep them.
//!
//! Responsible for: finding every document with the place where it stands, and every file or document that cannot be
//! read, all at once. Must never: know what a document means.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

mod lines;

pub use lines::Lines;

/// Largest file that is read, in bytes: more than any object that an API server takes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Endings of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// What is said of a text that is no YAML, and has what no YAML but many a template has.
const TEMPLATE_HINT: &str =
    " (this looks like a template: render it first, as `helm template` does, and hand on the result as -)";

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Number of the document in the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// Line at which the document begins, from 1; 0 for the file as a whole.
    pub line: usize,
}

/// One document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Where it stands.
    pub place: Place,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.name`; absent if the name is to be generated.
    pub name: Option<String>,
    /// The whole document.
    pub value: Value,
}

/// Something that is wrong with a file or a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong, with the field path if there is one.
    pub message: String,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}", self.file.display()),
            line => write!(formatter, "{}:{line}", self.file.display()),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.document {
            0 => write!(formatter, "{}: {}", self.place, self.message),
            document => write!(formatter, "{}: document {document}: {}", self.place, self.message),
        }
    }
}

/// One part of a file: what stands between two lines that separate documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where it stands.
    pub place: Place,
    /// What it is: anything.
    pub value: Value,
    /// It as it was written.
    text: String,
}

impl Part {
    /// The lines of its fields, counted in the file.
    #[must_use]
    pub fn lines(&self) -> Lines {
        Lines::read(&self.text, self.place.line)
    }
}

/// How far the reading of a directory goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Its own files.
    Files,
    /// The files of the directories in it as well, but for hidden ones.
    Tree,
}

/// Reads all documents of files and directories, or every mistake. Directories are read in the order of names, without
/// descending; what is named twice is read once.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Document>, Vec<Mistake>> {
    let mut documents = Vec::new();
    let mut mistakes = Vec::new();
    for part in read(paths, Extent::Files) {
        match part.and_then(identify) {
            Ok(None) => {}
            Ok(Some(document)) => documents.push(document),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(documents) } else { Err(mistakes) }
}

/// Reads all parts of files and directories in the order of names, and tells what cannot be read. The path `-` is
/// standard input.
pub fn read(paths: &[PathBuf], extent: Extent) -> Vec<Result<Part, Mistake>> {
    let mut parts = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        if path.as_os_str() == STANDARD_INPUT {
            let file = Path::new("<stdin>");
            match text(std::io::stdin()) {
                Ok(text) => parse(file, &text, &mut parts),
                Err(message) => parts.push(Err(whole(file, message))),
            }
            continue;
        }
        match files(path, extent) {
            Ok(files) => {
                for file in files {
                    if file.canonicalize().is_ok_and(|canonical| !seen.insert(canonical)) {
                        continue;
                    }
                    let opened =
                        std::fs::File::open(&file).map_err(|error| format!("cannot be read: {error}"));
                    match opened.and_then(text) {
                        Ok(text) => parse(&file, &text, &mut parts),
                        Err(message) => parts.push(Err(whole(&file, message))),
                    }
                }
            }
            Err(message) => parts.push(Err(whole(path, message))),
        }
    }
    parts
}

fn whole(file: &Path, message: String) -> Mistake {
    Mistake { place: Place { file: file.to_owned(), document: 0, line: 0 }, message }
}

fn files(path: &Path, extent: Extent) -> Result<Vec<PathBuf>, String> {
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| format!("{} cannot be read: {error}", directory.display()))?;
        for entry in entries.filter_map(Result::ok) {
            let file = entry.path();
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            // Of the entry and not of what a link leads to: a link to a directory above would lead round in circles.
            if entry.file_type().is_ok_and(|type_| type_.is_dir()) {
                if extent == Extent::Tree && !is_hidden {
                    directories.push(file);
                }
            // What cannot be looked at, such as a link to nowhere, is told when it is read.
            } else if std::fs::metadata(&file).map_or(true, |metadata| metadata.is_file())
                && file.extension().and_then(|ending| ending.to_str()).is_some_and(|e| ENDINGS.contains(&e))
            {
                files.push(file);
            }
        }
    }
    files.sort();
    if files.is_empty() {
        return Err("holds no file that ends in .yaml, .yml or .json".to_owned());
    }
    Ok(files)
}

fn text(source: impl Read) -> Result<String, String> {
    // Not its size is asked for: a pipe or a device tells none.
    let mut bytes = Vec::new();
    source
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("has more than the {MAX_FILE_BYTES} bytes that are read"));
    }
    String::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))
}

fn parse(file: &Path, text: &str, parts: &mut Vec<Result<Part, Mistake>>) {
    for (number, (line, part)) in split(text).into_iter().enumerate() {
        let place = Place { file: file.to_owned(), document: number + 1, line };
        parts.push(match serde_saphyr::from_str::<Value>(part) {
            Ok(value) => Ok(Part { place, value, text: part.to_owned() }),
            Err(error) => {
                let at = error.location().map_or(line, |location| {
                    line + usize::try_from(location.line()).unwrap_or(1).saturating_sub(1)
                });
                let mut message = words(&error);
                if part.contains("{{") {
                    message.push_str(TEMPLATE_HINT);
                }
                Err(Mistake { place: Place { line: at, ..place }, message })
            }
        });
    }
}

/// Why a text is no document. The line is told by its place.
fn words(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => words(error),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            "is nested deeper than the 64 levels that are read".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "has more parts, or more aliases, than are read".to_owned()
        }
        other => {
            let column = other.location().map_or(1, |location| location.column());
            let words = UserMessageFormatter.format_message(other);
            format!("is not YAML: column {column}: {}", words.lines().next().unwrap_or_default())
        }
    }
}

/// What a document says that it is; an empty document is nothing.
fn identify(part: Part) -> Result<Option<Document>, Mistake> {
    let Part { place, value, .. } = part;
    if value.is_null() {
        return Ok(None);
    }
    if !value.is_object() {
        let message = "must be an object with apiVersion, kind and metadata".to_owned();
        return Err(Mistake { place, message });
    }
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let missing: Vec<&str> =
        ["apiVersion", "kind"].into_iter().filter(|name| text(&format!("/{name}")).is_none()).collect();
    match missing.as_slice() {
        [] => {}
        [one] => return Err(Mistake { place, message: format!("{one} is required, as text") }),
        several => {
            return Err(Mistake {
                place,
                message: format!("{} are required, as text", several.join(" and ")),
            });
        }
    }
    let (api_version, kind) = (text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default());
    let name = text("/metadata/name");
    Ok(Some(Document { place, api_version, kind, name, value }))
}

/// The documents of a text with the lines at which they begin. A line that begins with `---` always separates, in YAML
/// even within a block of text.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_separator =
            line.strip_prefix("---").is_some_and(|rest| rest.trim_end().is_empty() || rest.starts_with(' '));
        if is_separator {
            parts.push((start_line, text.get(start..offset).unwrap_or_default()));
            // What follows the dashes on the same line belongs to the document.
            start = offset + 3;
            start_line = number + 1;
        }
        offset += line.len();
    }
    parts.push((start_line, text.get(start..).unwrap_or_default()));
    let is_empty =
        |part: &str| part.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    parts.retain(|(_, part)| !is_empty(part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> (Vec<Document>, Vec<String>) {
        let (mut parts, mut documents, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
        parse(Path::new("f.yaml"), text, &mut parts);
        for part in parts {
            match part.and_then(identify) {
                Ok(document) => documents.extend(document),
                Err(mistake) => mistakes.push(mistake.to_string()),
            }
        }
        (documents, mistakes)
    }

    #[test]
    fn every_document_knows_its_place() {
        let (documents, mistakes) = parse_text(
            "# first\n---\nkind: A\napiVersion: v1\n---\n\n---\nkind: B\napiVersion: v1\nmetadata: {name: b}\n",
        );
        assert_eq!(mistakes, Vec::<String>::new());
        let shown: Vec<_> =
            documents.iter().map(|d| (d.kind.as_str(), d.place.document, d.place.line)).collect();
        assert_eq!(shown, [("A", 1, 2), ("B", 2, 7)]);
        assert_eq!(documents[1].name.as_deref(), Some("b"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let (documents, mistakes) =
            parse_text("a: [\n---\nkind: A\n---\n- 1\n---\nkind: B\napiVersion: v1\n");
        assert_eq!(documents.len(), 1);
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(mistakes[0].contains("document 1: is not YAML"), "{mistakes:?}");
        assert_eq!(mistakes[1], "f.yaml:2: document 2: apiVersion is required, as text");
        assert_eq!(mistakes[2], "f.yaml:4: document 3: must be an object with apiVersion, kind and metadata");
    }

    #[test]
    fn a_path_that_is_not_there_is_told() {
        let mistakes = load(&[PathBuf::from("does-not-exist.yaml"), PathBuf::from("neither")]).unwrap_err();
        assert_eq!(mistakes.len(), 2);
        assert!(mistakes[0].to_string().starts_with("does-not-exist.yaml: cannot be read: "));
    }

    #[test]
    fn what_is_too_much_is_told_in_words() {
        let told = |text: &str| parse_text(text).1.join("\n");
        let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
        assert_eq!(told(&deep), "f.yaml:1: document 1: is nested deeper than the 64 levels that are read");
        let levels =
            (1..9).map(|level| format!("l{level}: &l{level} [{}]\n", format!("*l{}, ", level - 1).repeat(9)));
        let bomb = format!("l0: &l0 [1]\n{}", levels.collect::<String>());
        assert!(
            told(&bomb).ends_with("document 1: has more parts, or more aliases, than are read"),
            "{}",
            told(&bomb)
        );
        let twice = "kind: A\nkind: B\n";
        let expected =
            "f.yaml:2: document 1: is not YAML: column 1: duplicate mapping key `kind` is not allowed here";
        assert_eq!(told(twice), expected);
    }

    #[test]
    fn a_file_is_read_once_and_never_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        std::fs::write(&file, "kind: A\napiVersion: v1\n").unwrap();
        let paths = [file, directory.path().to_owned(), directory.path().join("../").join(directory.path())];
        assert_eq!(load(&paths).unwrap().len(), 1);
        std::os::unix::fs::symlink("nowhere", directory.path().join("b.yaml")).unwrap();
        let mistakes = load(&[directory.path().to_owned(), "/dev/zero".into()]).unwrap_err();
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert!(told[0].contains("/b.yaml: cannot be read: "), "{told:?}");
        assert_eq!(told[1], "/dev/zero: has more than the 16777216 bytes that are read");
    }

    #[test]
    fn a_template_is_told_as_one() {
        let (_, mistakes) = parse_text("kind: A\nmetadata: {name: {{ .Release.Name }}}\n");
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].starts_with("f.yaml:2: document 1: is not YAML: column "), "{mistakes:?}");
        assert!(mistakes[0].ends_with(TEMPLATE_HINT), "{mistakes:?}");
    }

    #[test]
    fn a_tree_is_read_with_what_is_below_but_not_what_is_hidden() {
        let directory = tempfile::tempdir().unwrap();
        for file in ["b/c/x.yaml", "a.json", ".git/y.yaml", "b/z.txt"] {
            let file = directory.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "{}").unwrap();
        }
        std::os::unix::fs::symlink(directory.path(), directory.path().join("b/loop")).unwrap();
        let found = |extent| {
            let parts = read(&[directory.path().to_owned()], extent);
            let files = parts.into_iter().map(|part| part.unwrap().place.file);
            files.map(|file| file.strip_prefix(directory.path()).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(Extent::Files), [Path::new("a.json")]);
        assert_eq!(found(Extent::Tree), [Path::new("a.json"), Path::new("b/c/x.yaml")]);
    }
}
