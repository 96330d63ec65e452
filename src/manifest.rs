//! Manifests: files of YAML or JSON documents, as people keep them.
//!
//! Responsible for: finding every document with the place where it stands, and every file or document that cannot be
//! read, all at once. Must never: know what a document means.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod lines;
mod parse;
mod part;

pub use lines::Lines;
use parse::parse;
pub use part::Part;

/// Largest file that is read, in bytes: more than any object that an API server takes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Endings of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// What it is called where something is said of it.
const STANDARD_INPUT_SHOWN: &str = "<stdin>";

/// Where a document stands. The order is that of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the file among those that were read, from 0.
    pub number: usize,
    /// The file.
    pub file: PathBuf,
    /// Number of the document in the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// Positions in the lists that hold it, from 0, the outermost first; empty for a document of its own.
    pub items: Vec<usize>,
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
        write!(formatter, "{}: ", self.place)?;
        if self.place.document > 0 {
            write!(formatter, "document {}: ", self.place.document)?;
        }
        if !self.place.items.is_empty() {
            write!(formatter, "{}: ", self.place.path())?;
        }
        formatter.write_str(&self.message)
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

impl Place {
    /// Where it stands, in words for another place: `document 2 of run.yaml`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let document = format!("document {} of {}", self.document, self.file.display());
        if self.items.is_empty() { document } else { format!("{} of {document}", self.path()) }
    }

    /// Field path within the document: `items[2]`.
    fn path(&self) -> String {
        let steps: Vec<String> = self.items.iter().map(|at| format!("items[{at}]")).collect();
        steps.join(".")
    }
}

/// What files hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Every document that can be read, in the order of reading.
    pub documents: Vec<Document>,
    /// Every file and document that cannot be, in the same order.
    pub mistakes: Vec<Mistake>,
    /// Texts of the documents that cannot be read.
    unread: Vec<String>,
    /// A file could not be read at all.
    lacks_files: bool,
}

/// Reads all documents of files and directories; `-` is standard input. Directories are read in the order of names,
/// without descending; what is named twice is read once.
#[must_use]
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    sources(paths, Extent::Files).for_each(|(file, text)| loaded.read(&file, text));
    loaded
}

/// Reads all parts of files and directories in the order of names, and tells what cannot be read; `-` is standard
/// input. What is named twice is read once, and of a list there is what it holds.
pub fn read(paths: &[PathBuf], extent: Extent) -> Vec<Result<Part, Mistake>> {
    let mut parts = Vec::new();
    for (file, text) in sources(paths, extent) {
        match text {
            Ok(text) => {
                for (number, (line, document)) in split(&text).into_iter().enumerate() {
                    let place = Place { document: number + 1, line, ..file.clone() };
                    match parse(&place, document) {
                        Ok(value) => parts.extend(Part::all(place, value, document).map(Ok)),
                        Err(mistake) => parts.push(Err(mistake)),
                    }
                }
            }
            Err(message) => parts.push(Err(Mistake { place: file, message })),
        }
    }
    parts
}

/// What is said of a path in which there is no document at all.
#[must_use]
pub fn no_document(path: &Path) -> Mistake {
    let is_input = path.as_os_str() == STANDARD_INPUT;
    let file = if is_input { PathBuf::from(STANDARD_INPUT_SHOWN) } else { path.to_owned() };
    let message = "holds no document: nothing was checked".to_owned();
    Mistake { place: Place { file, ..Place::default() }, message }
}

/// Every file with its text, or why it cannot be read.
fn sources(paths: &[PathBuf], extent: Extent) -> impl Iterator<Item = (Place, Result<String, String>)> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for path in paths {
        if path.as_os_str() == STANDARD_INPUT {
            if seen.insert(path.clone()) {
                all.push((PathBuf::from(STANDARD_INPUT_SHOWN), bounded(std::io::stdin().lock())));
            }
            continue;
        }
        match files(path, extent) {
            Ok(files) => {
                for file in files {
                    if !file.canonicalize().is_ok_and(|canonical| !seen.insert(canonical)) {
                        let text = open(&file);
                        all.push((file, text));
                    }
                }
            }
            Err(message) => all.push((path.clone(), Err(message))),
        }
    }
    all.into_iter()
        .enumerate()
        .map(|(number, (file, text))| (Place { number, file, ..Place::default() }, text))
}

impl Loaded {
    /// Whether what could not be read may hold something of this name.
    #[must_use]
    pub fn may_hold(&self, name: &str) -> bool {
        self.lacks_files || self.unread.iter().any(|text| holds_word(text, name))
    }

    fn read(&mut self, file: &Place, text: Result<String, String>) {
        match text {
            Ok(text) => self.split(file, &text),
            Err(message) => {
                self.lacks_files = true;
                self.mistakes.push(Mistake { place: file.clone(), message });
            }
        }
    }

    fn split(&mut self, file: &Place, text: &str) {
        for (number, (line, part)) in split(text).into_iter().enumerate() {
            let place = Place { document: number + 1, line, ..file.clone() };
            let value = match parse(&place, part) {
                Ok(value) => value,
                Err(mistake) => {
                    self.refuse(mistake.place, mistake.message, part);
                    continue;
                }
            };
            for (place, value) in flat(place, value) {
                match identify(place.clone(), value) {
                    Ok(None) => {}
                    Ok(Some(document)) => self.documents.push(document),
                    Err(message) => self.refuse(place, message, part),
                }
            }
        }
    }

    fn refuse(&mut self, place: Place, message: String, text: &str) {
        self.mistakes.push(Mistake { place, message });
        self.unread.push(text.to_owned());
    }
}

/// Whether a name stands in a text, not as a part of a longer name.
fn holds_word(text: &str, name: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty()
        && text.match_indices(name).any(|(at, found)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + found.len()..).and_then(|behind| behind.chars().next());
            !before.is_some_and(continues) && !behind.is_some_and(continues)
        })
}

/// A document, or what the list holds that it is, as kubectl takes lists apart.
fn flat(place: Place, mut value: Value) -> Vec<(Place, Value)> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text(&value, "kind").unwrap_or_default();
    let items = match (kind.strip_suffix("List"), value.get_mut("items")) {
        (Some(item_kind), Some(Value::Array(items))) => Some((item_kind, std::mem::take(items))),
        (Some(item_kind), Some(Value::Null)) => Some((item_kind, Vec::new())),
        _ => None,
    };
    let Some((item_kind, items)) = items else { return vec![(place, value)] };
    let api_version = text(&value, "apiVersion");
    let mut all = Vec::new();
    for (at, mut item) in items.into_iter().enumerate() {
        // What a server lists says what it is only once, for the whole list.
        if let Some(fields) = item.as_object_mut()
            && !item_kind.is_empty()
            && !fields.contains_key("kind")
            && !fields.contains_key("apiVersion")
        {
            fields.insert("kind".to_owned(), item_kind.into());
            fields.insert("apiVersion".to_owned(), api_version.clone().into());
        }
        let mut place = place.clone();
        place.items.push(at);
        all.append(&mut flat(place, item));
    }
    all
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

fn open(file: &Path) -> Result<String, String> {
    std::fs::File::open(file).map_err(|error| format!("cannot be read: {error}")).and_then(bounded)
}

fn bounded(source: impl Read) -> Result<String, String> {
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

/// Why a document is no Kubernetes object; nothing if it is one.
#[must_use]
pub fn why_no_object(value: &Value) -> Option<String> {
    if !value.is_object() {
        return Some("must be an object with apiVersion, kind and metadata".to_owned());
    }
    let is_missing = |name: &&str| !value.get(name).is_some_and(Value::is_string);
    let missing: Vec<&str> = ["apiVersion", "kind"].into_iter().filter(is_missing).collect();
    match missing.as_slice() {
        [] => None,
        [one] => Some(format!("{one} is required, as text")),
        several => Some(format!("{} are required, as text", several.join(" and "))),
    }
}

/// What a document says that it is; an empty document is nothing.
fn identify(place: Place, value: Value) -> Result<Option<Document>, String> {
    if value.is_null() {
        return Ok(None);
    }
    if let Some(why) = why_no_object(&value) {
        return Err(why);
    }
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
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

    fn file(name: &str) -> Place {
        Place { file: name.into(), ..Place::default() }
    }

    fn parse_text(text: &str) -> (Vec<Document>, Vec<String>) {
        let mut loaded = Loaded::default();
        loaded.read(&file("f.yaml"), Ok(text.to_owned()));
        (loaded.documents, loaded.mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_template_is_told_as_one() {
        let (_, mistakes) = parse_text("kind: A\nmetadata: {name: {{ .Release.Name }}}\n");
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].starts_with("f.yaml:2: document 1: is not YAML: column "), "{mistakes:?}");
        assert!(mistakes[0].ends_with(parse::TEMPLATE_HINT), "{mistakes:?}");
    }

    #[test]
    fn a_tab_is_told_where_it_stands() {
        let told = |text: &str| parse_text(text).1.join("\n");
        let says = |line: usize, column: usize| {
            format!(
                "f.yaml:{line}: document 1: is not YAML: column {column}: tabs cannot indent, only spaces can"
            )
        };
        assert_eq!(told("kind: A\n# x\nspec:\n  a: 1\n\tx: y\n"), says(5, 1));
        assert_eq!(told("kind: A\nspec:\n  - a\n  \t- b\n"), says(4, 3));
        assert!(told("kind: A\nspec:\n\ta: b\n").starts_with("f.yaml:3: document 1: is not YAML: column "));
        let json = "{\n\t\"kind\": \"A\",\n\t\"apiVersion\": \"v1\"\n}\n";
        assert_eq!(told(json), "", "a tab is a space in JSON");
    }

    #[test]
    fn scalars_are_what_they_are_for_kubectl() {
        let text =
            "{kind: A, apiVersion: v1, x: [0644, 0o644, 0, 08, 1_000, yes, off, ~, 2024-01-01, '010']}";
        let (documents, mistakes) = parse_text(text);
        assert_eq!(mistakes, Vec::<String>::new());
        let expected = serde_json::json!([420, 420, 0, 8, 1000, true, false, null, "2024-01-01", "010"]);
        let found = &documents[0].value["x"];
        assert_eq!(found.to_string().replace("8.0", "8"), expected.to_string());
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
        let mistakes = load(&[PathBuf::from("does-not-exist.yaml"), PathBuf::from("neither")]).mistakes;
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
        let loaded = load(&paths);
        assert_eq!((loaded.documents.len(), loaded.mistakes), (1, Vec::new()));
        std::os::unix::fs::symlink("nowhere", directory.path().join("b.yaml")).unwrap();
        let mistakes = load(&[directory.path().to_owned(), "/dev/zero".into()]).mistakes;
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert!(told[0].contains("/b.yaml: cannot be read: "), "{told:?}");
        assert_eq!(told[1], "/dev/zero: has more than the 16777216 bytes that are read");
    }

    #[test]
    fn a_list_is_what_it_holds() {
        let (documents, mistakes) = parse_text(
            "kind: List\napiVersion: v1\nitems:\n- {kind: A, apiVersion: v1}\n- 7\n- kind: BList\n  apiVersion: x/v1\n  items: [{}, {kind: C}]\n\
             ---\nkind: List\napiVersion: v1\nitems: []\n---\nkind: List\napiVersion: v1\n---\n[]\n",
        );
        let shown: Vec<_> =
            documents.iter().map(|d| (d.kind.as_str(), d.api_version.as_str(), d.place.path())).collect();
        let expected = [
            ("A", "v1", "items[0]".to_owned()),
            ("B", "x/v1", "items[2].items[0]".to_owned()),
            ("List", "v1", String::new()),
        ];
        assert_eq!(shown, expected);
        let expected = [
            "f.yaml:1: document 1: items[1]: must be an object with apiVersion, kind and metadata",
            "f.yaml:1: document 1: items[2].items[1]: apiVersion is required, as text",
            "f.yaml:16: document 4: must be an object with apiVersion, kind and metadata",
        ];
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn what_cannot_be_read_may_hold_what_it_names() {
        let mut loaded = Loaded::default();
        assert!(!loaded.may_hold("a"));
        loaded.read(&file("f.yaml"), Ok("metadata: {name: a-b, other: [\n---\nkind: c\n".to_owned()));
        let held = ["a-b", "a", "b", "c", "d"].map(|name| loaded.may_hold(name));
        assert_eq!(held, [true, false, false, true, false]);
        loaded.read(&file("nowhere"), Err("cannot be read".to_owned()));
        assert!(loaded.may_hold("d"));
    }
}
