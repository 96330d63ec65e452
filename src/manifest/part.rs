//! Parts: what a file holds, each with the lines of its fields.
//!
//! Responsible for: the line of a field, in a document of its own as in a list. Must never: know what a part means.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{Lines, Place, flat};

/// One document, or one that a list holds.
#[derive(Clone, Debug)]
pub struct Part {
    /// Where it stands.
    pub place: Place,
    /// What it is: anything.
    pub value: Value,
    source: Arc<Source>,
}

/// A whole document as it was written.
#[derive(Debug)]
struct Source {
    text: String,
    /// Line at which it begins.
    line: usize,
    /// Read when they are first asked for, and then for all that a list holds.
    lines: OnceLock<Lines>,
}

impl Part {
    /// A document, or what the list holds that it is.
    pub(super) fn all(place: Place, value: Value, text: &str) -> impl Iterator<Item = Self> {
        let source = Arc::new(Source { text: text.to_owned(), line: place.line, lines: OnceLock::new() });
        flat(place, value).into_iter().map(move |(place, value)| Self {
            place,
            value,
            source: Arc::clone(&source),
        })
    }

    /// The lines of its fields, counted in the file.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        let whole = self.source.lines.get_or_init(|| Lines::read(&self.source.text, self.source.line));
        self.place.items.iter().fold(whole, |lines, index| lines.element("items", *index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_list_holds_has_its_lines_of_one_reading() {
        let text =
            "kind: List\nitems:\n- kind: A\n- kind: List\n  items:\n  - {}\n  - kind: B\n    spec: {}\n";
        let value = json!({"kind": "List", "items": [
            {"kind": "A"}, {"kind": "List", "items": [{}, {"kind": "B", "spec": {}}]},
        ]});
        let parts: Vec<Part> = Part::all(Place { line: 11, ..Place::default() }, value, text).collect();
        let lines: Vec<[usize; 2]> =
            parts.iter().map(|part| ["kind", "spec.x"].map(|path| part.lines().of(path))).collect();
        assert_eq!(lines, [[13, 13], [16, 16], [17, 18]]);
        assert!(parts.windows(2).all(|two| Arc::ptr_eq(&two[0].source, &two[1].source)));
    }
}
