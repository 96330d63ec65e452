//! Lines: where every field of a document stands.
//!
//! Responsible for: finding the line of a field path, or of the deepest field on the way to it. Must never: interpret a
//! value, or fail; where nothing is known, the document's own line is told.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// The lines of a value and of everything in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Line of a member's name, or else at which the value begins; from 1.
    line: usize,
    inner: Inner,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Inner {
    #[default]
    Scalar,
    Members(BTreeMap<String, Lines>),
    Elements(Vec<Lines>),
}

impl Lines {
    /// Reads the lines of a document that is YAML and begins at a line of its file.
    #[must_use]
    pub fn read(text: &str, first: usize) -> Self {
        match serde_saphyr::from_str::<Spanned<Inner>>(text) {
            Ok(read) => {
                let mut lines = Self { line: line(&read.referenced), inner: read.value };
                lines.shift(first.saturating_sub(1));
                lines
            }
            // Whoever reads values may take more than who reads places.
            Err(_) => Self { line: first, inner: Inner::Scalar },
        }
    }

    /// The line of a field, such as `spec.activities[1].dependsOn[0]` or `metadata.labels["a.b/c"]`; of a field that is
    /// not there, that of what should hold it.
    #[must_use]
    pub fn of(&self, path: &str) -> usize {
        let (mut here, mut rest) = (self, path);
        while let Some((next, behind)) = here.step(rest) {
            (here, rest) = (next, behind);
        }
        here.line
    }

    /// The lines of an element of a list at the top, such as `items`; of all if there is none.
    #[must_use]
    pub fn element(&self, list: &str, index: usize) -> &Self {
        let Inner::Members(members) = &self.inner else { return self };
        match members.get(list).map(|list| &list.inner) {
            Some(Inner::Elements(elements)) => elements.get(index).unwrap_or(self),
            _ => self,
        }
    }

    /// One step along a path, and what is left of it.
    fn step<'l, 'p>(&'l self, path: &'p str) -> Option<(&'l Self, &'p str)> {
        match &self.inner {
            Inner::Scalar => None,
            Inner::Elements(elements) => {
                let (index, behind) = path.strip_prefix('[')?.split_once(']')?;
                Some((elements.get(index.parse::<usize>().ok()?)?, behind))
            }
            Inner::Members(members) => {
                if let Some((key, behind)) = quoted(path) {
                    return Some((members.get(&key)?, behind));
                }
                let path = path.strip_prefix('.').unwrap_or(path);
                // Names may hold dots: the longest one that fits is meant.
                let fitting = members.iter().filter_map(|(name, member)| {
                    let behind = path.strip_prefix(name.as_str())?;
                    let ends = behind.is_empty() || behind.starts_with(['.', '[']);
                    (ends && !name.is_empty()).then_some((name.len(), member, behind))
                });
                let (_, member, behind) = fitting.max_by_key(|(length, ..)| *length)?;
                Some((member, behind))
            }
        }
    }

    fn shift(&mut self, by: usize) {
        self.line += by;
        match &mut self.inner {
            Inner::Scalar => {}
            Inner::Members(members) => members.values_mut().for_each(|member| member.shift(by)),
            Inner::Elements(elements) => elements.iter_mut().for_each(|element| element.shift(by)),
        }
    }
}

/// A quoted key at the beginning of a path, `["a.b"]`, and what comes behind it.
fn quoted(path: &str) -> Option<(String, &str)> {
    let text = path.strip_prefix('[').filter(|text| text.starts_with('"'))?;
    let mut keys = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let key = keys.next()?.ok()?;
    let behind = text.get(keys.byte_offset()..)?.strip_prefix(']')?;
    Some((key, behind))
}

fn line(location: &Location) -> usize {
    usize::try_from(location.line()).unwrap_or(1).max(1)
}

impl<'de> Deserialize<'de> for Inner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Inner;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_none<E>(self) -> Result<Inner, E> {
        Ok(Inner::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inner, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Inner, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element::<Spanned<Inner>>()? {
            elements.push(Lines { line: line(&element.referenced), inner: element.value });
        }
        Ok(Inner::Elements(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inner, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = map.next_key::<Spanned<String>>()? {
            let member = map.next_value::<Inner>()?;
            members.insert(name.value, Lines { line: line(&name.referenced), inner: member });
        }
        Ok(Inner::Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
# A comment.
kind: A
metadata:
  labels: {plain: x,
    a.b/c: y}
spec:
  activities:
  - id: one
    dependsOn:
      - zero
      - other
  -
    id: two
    inputs: [a, {source: b,
      target: c}]
    when: >
      long
      text
  shared: &shared
    key: 1
  again: *shared
  80: number
";

    #[test]
    fn every_field_has_a_line() {
        let lines = Lines::read(TEXT, 1);
        for (path, line) in [
            ("", 3),
            ("kind", 3),
            ("metadata", 4),
            ("metadata.labels", 5),
            ("metadata.labels.plain", 5),
            ("metadata.labels[\"a.b/c\"]", 6),
            ("metadata.labels.a.b/c", 6),
            ("spec.activities", 8),
            ("spec.activities[0]", 9),
            ("spec.activities[0].id", 9),
            ("spec.activities[0].dependsOn", 10),
            ("spec.activities[0].dependsOn[1]", 12),
            ("spec.activities[1].id", 14),
            ("spec.activities[1].inputs[0]", 15),
            ("spec.activities[1].inputs[1].target", 16),
            ("spec.activities[1].when", 17),
            ("spec.again", 22),
            ("spec.80", 23),
        ] {
            assert_eq!(lines.of(path), line, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_has_the_line_of_what_should_hold_it() {
        let lines = Lines::read(TEXT, 11);
        assert_eq!(lines.of("spec.schema.properties"), 17);
        assert_eq!(lines.of("spec.activities[7].id"), 18);
        assert_eq!(lines.of("metadata.labels[\"x"), 15);
        assert_eq!(lines.of("spec.activities[0].idx"), 19);
        assert_eq!(Lines::read("[", 5).of("spec"), 5);
    }

    #[test]
    fn json_and_lists_of_objects_have_lines_too() {
        let text = "{\"kind\": \"List\",\n \"items\": [\n  {\"kind\": \"A\"},\n  {\n   \"kind\": \"B\"}]}";
        let lines = Lines::read(text, 1);
        assert_eq!(lines.of("items[1].kind"), 5);
        assert_eq!(lines.element("items", 1).of("kind"), 5);
        assert_eq!(lines.element("items", 1).of(""), 4);
    }
}
