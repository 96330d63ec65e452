//! Source paths: parsed once, when a definition is compiled; then read as often as needed.
//!
//! Responsible for: the grammar of `source`, and where a path leads in a value. Must never: change or re-scan a
//! value; it moves whole and once.
//!
//! `name ( "." name | "[" number "]" | "[\"" key "\"]" )*`, where a name is letters, digits, `_` and `-`.

use serde_json::Value;

use crate::api::common::Object;

/// Longest path, in bytes.
pub const MAX_LENGTH: usize = 512;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A parsed path; never empty, and its first segment is a plain name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    first: String,
    rest: Vec<Segment>,
}

impl Path {
    /// Parses a path. The error is one line and names the column, from 1.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a path has at most {MAX_LENGTH} characters, this one has {}", text.len()));
        }
        let mut parser = Parser { text, position: 0 };
        let first = parser.name()?;
        let mut rest = Vec::new();
        while let Some(next) = parser.next() {
            rest.push(match next {
                '.' => Segment::Key(parser.name()?),
                '[' => parser.bracket()?,
                other => {
                    parser.position -= other.len_utf8();
                    return Err(parser.error("\".\", \"[\" or the end"));
                }
            });
        }
        Ok(Self { first, rest })
    }

    /// The first segment: an activity id, or a member of the input.
    #[must_use]
    pub fn first(&self) -> &str {
        &self.first
    }

    /// What comes after the first segment.
    #[must_use]
    pub fn rest(&self) -> &[Segment] {
        &self.rest
    }

    /// The name that a value gets when no target is given: the last segment, if it is a plain name.
    #[must_use]
    pub fn default_target(&self) -> Option<&str> {
        match self.rest.last() {
            None => Some(&self.first),
            Some(Segment::Key(key)) if is_name(key) => Some(key),
            Some(Segment::Key(_) | Segment::Index(_)) => None,
        }
    }
}

/// Follows segments through a value. Nothing, and null, are absent.
#[must_use]
pub fn read<'a>(root: &'a Object, segments: &[Segment]) -> Option<Found<'a>> {
    let mut rest = segments.iter();
    let Some(first) = rest.next() else {
        return Some(Found::Whole(root));
    };
    let mut value = match first {
        Segment::Key(key) => root.get(key)?,
        Segment::Index(_) => return None,
    };
    for segment in rest {
        value = match segment {
            Segment::Key(key) => value.as_object()?.get(key)?,
            Segment::Index(index) => value.as_array()?.get(*index)?,
        };
    }
    if value.is_null() { None } else { Some(Found::Value(value)) }
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'a> {
    /// To the whole object.
    Whole(&'a Object),
    /// To one value in it.
    Value(&'a Value),
}

impl Found<'_> {
    /// A copy of the value.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Whole(object) => Value::Object(object.clone()),
            Self::Value(value) => value.clone(),
        }
    }
}

/// Segments as they are written behind a first one; a key that is no plain name is quoted, and never breaks the line.
#[must_use]
pub fn display(segments: &[Segment]) -> String {
    let mut text = String::new();
    for segment in segments {
        match segment {
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
            Segment::Key(key) if !is_name(key) => {
                let shown: String = key.chars().flat_map(char::escape_debug).collect();
                text.push_str(&format!("[\"{shown}\"]"));
            }
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => text.push_str(&format!(".{key}")),
        }
    }
    text
}

/// Whether a text can stand in a path without quotes.
#[must_use]
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_character)
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.position..).and_then(|rest| rest.chars().next())
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.position += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|c| wanted(*c)) {
            taken.push(next);
            self.position += next.len_utf8();
        }
        taken
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.take_while(is_name_character);
        if name.is_empty() {
            return Err(self.error("a name (letters, digits, \"_\", \"-\")"));
        }
        Ok(name)
    }

    fn bracket(&mut self) -> Result<Segment, String> {
        let segment = if self.peek() == Some('"') {
            self.position += 1;
            Segment::Key(self.quoted()?)
        } else {
            let start = self.position;
            let digits = self.take_while(|c| c.is_ascii_digit());
            match digits.parse() {
                Ok(index) => Segment::Index(index),
                Err(_) => {
                    self.position = start;
                    return Err(self.error("a number or a key in double quotes"));
                }
            }
        };
        if self.peek() != Some(']') {
            return Err(self.error("\"]\""));
        }
        self.position += 1;
        Ok(segment)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut key = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(key),
                Some('\\') => match self.next() {
                    Some(escaped @ ('"' | '\\')) => key.push(escaped),
                    _ => return Err(self.error("\\\" or \\\\ after a backslash")),
                },
                Some(other) => key.push(other),
                None => return Err(self.error("a closing double quote")),
            }
        }
    }

    fn error(&self, expected: &str) -> String {
        let column = self.text.get(..self.position).map_or(1, |before| before.chars().count() + 1);
        let found = self.peek().map_or_else(|| "the end".to_owned(), |c| format!("{:?}", c.to_string()));
        let shown: String = self.text.chars().take(60).collect();
        format!("{shown:?} column {column}: expected {expected}, found {found}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(text: &str, expected: &str) {
        let shown = match Path::parse(text) {
            Ok(path) => format!("{path:?} -> {:?}", path.default_target()),
            Err(error) => error,
        };
        assert!(shown.contains(expected), "{text}: {shown}");
    }

    #[test]
    fn paths_are_parsed() {
        check("domain", r#"first: "domain", rest: [] } -> Some("domain")"#);
        check("config.resource.id", r#"rest: [Key("resource"), Key("id")] } -> Some("id")"#);
        check("hosts[0]", r#"rest: [Index(0)] } -> None"#);
        check(r#"config["cfm.participant.id"]"#, r#"rest: [Key("cfm.participant.id")] } -> None"#);
        check(r#"a["b"][2].c-d"#, r#"rest: [Key("b"), Index(2), Key("c-d")] } -> Some("c-d")"#);
        check(r#"a["q\"\\"]"#, r#"Key("q\"\\")"#);
    }

    #[test]
    fn mistakes_name_the_column() {
        check("", "\"\" column 1: expected a name");
        check("a.", "column 3: expected a name (letters, digits, \"_\", \"-\"), found the end");
        check(".a", "column 1: expected a name");
        check("a..b", "column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"");
        check("a b", "column 2: expected \".\", \"[\" or the end, found \" \"");
        check("a[x]", "column 3: expected a number or a key in double quotes");
        check("a[1", "column 4: expected \"]\"");
        check("a[\"x", "expected a closing double quote");
        check("a[99999999999999999999]", "expected a number");
        check(&"a".repeat(513), "at most 512 characters");
        check("ä.b", "column 1");
    }

    #[test]
    fn segments_are_shown_as_they_are_written() {
        let shown = |text: &str| display(Path::parse(text).unwrap().rest());
        assert_eq!(shown("x"), "");
        assert_eq!(shown(r#"x.a[0].b-c["d.e"].f"#), r#"a[0].b-c["d.e"].f"#);
        assert_eq!(display(&[Segment::Key("a\n\"".to_owned())]), r#"["a\n\""]"#);
    }

    #[test]
    fn null_and_nothing_are_absent() {
        let root = json!({"a": {"b": null, "c": [1, 2]}});
        let root = root.as_object().unwrap();
        let at = |text: &str| {
            let path = Path::parse(&format!("x.{text}")).unwrap();
            read(root, path.rest()).map(Found::to_value)
        };
        assert_eq!(at("a.b"), None);
        assert_eq!(at("a.c[1]"), Some(json!(2)));
        assert_eq!(at("a.c[2]"), None);
        assert_eq!(at("a.c.d"), None);
        assert_eq!(at("z"), None);
        assert_eq!(read(root, &[]).map(Found::to_value), Some(json!({"a": {"b": null, "c": [1, 2]}})));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = Path::parse(&text);
        }
    }
}
