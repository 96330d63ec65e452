//! Selectors: which objects are meant, by labels and by fields.
//!
//! Responsible for: the syntax of both selectors in the words of the API server's errors. Must never: look at
//! anything but what is selected by.

use serde_json::Value;

use super::kinds::Kind;
use super::kinds::strategy::unknown_field;
use super::refusal::Refusal;
use super::validate::names;

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Label {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// One requirement on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    path: Vec<String>,
    value: String,
    equal: bool,
}

/// All requirements of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Label>,
    fields: Vec<Field>,
}

impl Selector {
    /// Reads both selectors.
    pub fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Refusal> {
        Ok(Self {
            labels: parse_labels(labels).map_err(Refusal::bad_request)?,
            fields: parse_fields(kind, fields)?,
        })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected.
    #[must_use]
    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object.get("metadata")?.get("labels")?.get(key)?.as_str();
        self.labels.iter().all(|requirement| match requirement {
            Label::Exists(key) => label(key).is_some(),
            Label::Absent(key) => label(key).is_none(),
            Label::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Label::NotIn(key, values) => {
                label(key).is_none_or(|value| !values.iter().any(|wanted| wanted == value))
            }
            Label::Greater(key, limit) => {
                label(key).and_then(|value| value.parse::<i64>().ok()).is_some_and(|value| value > *limit)
            }
            Label::Less(key, limit) => {
                label(key).and_then(|value| value.parse::<i64>().ok()).is_some_and(|value| value < *limit)
            }
        }) && self.fields.iter().all(|field| (shown(object, &field.path) == field.value) == field.equal)
    }
}

/// A field as a selector compares it: what is absent is an empty text, and an absent count is zero.
fn shown(object: &Value, path: &[String]) -> String {
    let found = path.iter().try_fold(object, |value, name| value.get(name));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None if path.last().is_some_and(|name| name == "succeeded") => "0".to_owned(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn parse_fields(kind: &Kind, text: &str) -> Result<Vec<Field>, Refusal> {
    let mut fields = Vec::new();
    for term in split(text).into_iter().filter(|term| !term.is_empty()) {
        let invalid =
            || Refusal::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'"));
        let at = term.find('=').ok_or_else(invalid)?;
        let (mut label, mut value) =
            (term.get(..at).unwrap_or_default(), term.get(at + 1..).unwrap_or_default());
        let equal = match label.strip_suffix('!') {
            Some(rest) => {
                label = rest;
                false
            }
            None => {
                value = value.strip_prefix('=').unwrap_or(value);
                true
            }
        };
        let path = match label {
            "metadata.name" => vec!["metadata".to_owned(), "name".to_owned()],
            "metadata.namespace" => vec!["metadata".to_owned(), "namespace".to_owned()],
            _ => {
                let known =
                    kind.fields.iter().find(|(known, _)| known == label).map(|(_, path)| path.clone());
                known.ok_or_else(|| Refusal::bad_request(unknown_field(kind, label)))?
            }
        };
        fields.push(Field { path, value: unescape(value), equal });
    }
    Ok(fields)
}

/// The terms between commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (index, character) in text.char_indices() {
        if character == ',' && !is_escaped {
            terms.push(text.get(start..index).unwrap_or_default());
            start = index + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    terms.push(text.get(start..).unwrap_or_default());
    terms
}

fn unescape(text: &str) -> String {
    let (mut plain, mut is_escaped) = (String::new(), false);
    for character in text.chars() {
        if character == '\\' && !is_escaped {
            is_escaped = true;
        } else {
            plain.push(character);
            is_escaped = false;
        }
    }
    plain
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Sign(sign) => sign,
        }
    }
}

fn tokens(text: &str) -> Vec<Token> {
    const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return tokens };
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || "=!(),><".contains(c))
            .unwrap_or(rest.len())
            .max(first.len_utf8());
        tokens.push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
        rest = rest.get(end..).unwrap_or_default();
    }
}

fn parse_labels(text: &str) -> Result<Vec<Label>, String> {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens };
    let mut labels = Vec::new();
    if tokens.is_empty() {
        return Ok(labels);
    }
    loop {
        labels.push(parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
        match parser.next() {
            None => return Ok(labels),
            Some(Token::Sign(",")) => {}
            Some(other) => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
}

struct Parser<'t> {
    tokens: &'t [Token],
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn requirement(&mut self) -> Result<Label, String> {
        let found = |token: Option<&Token>| token.map_or("", Token::text).to_owned();
        if self.tokens.first() == Some(&Token::Sign("!")) {
            self.next();
            return Ok(Label::Absent(self.key()?));
        }
        let key = self.key()?;
        match self.tokens.first().cloned() {
            None | Some(Token::Sign(",")) => Ok(Label::Exists(key)),
            Some(Token::Sign(sign @ ("=" | "==" | "!="))) => {
                self.next();
                let value = self.value()?;
                Ok(if sign == "!=" { Label::NotIn(key, vec![value]) } else { Label::In(key, vec![value]) })
            }
            Some(Token::Sign(sign @ (">" | "<"))) => {
                self.next();
                let value = self.value()?;
                let limit = value
                    .parse()
                    .map_err(|_| "for 'Gt', 'Lt' operators, the value must be an integer".to_owned())?;
                Ok(if sign == ">" { Label::Greater(key, limit) } else { Label::Less(key, limit) })
            }
            Some(Token::Word(word)) if word == "in" || word == "notin" => {
                self.next();
                let values = self.values()?;
                Ok(if word == "in" { Label::In(key, values) } else { Label::NotIn(key, values) })
            }
            other => {
                Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", found(other.as_ref())))
            }
        }
    }

    fn key(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Word(key)) => match names::qualified(&key).first() {
                Some(why) => Err(format!("<nil>: Invalid value: \"{key}\": {why}")),
                None => Ok(key),
            },
            other => Err(format!("found '{}', expected: identifier", other.as_ref().map_or("", Token::text))),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.first().cloned() {
            None | Some(Token::Sign(",")) => Ok(String::new()),
            Some(Token::Word(value)) => {
                self.next();
                checked(value)
            }
            Some(other) => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Some(Token::Sign("(")) => {}
            other => return Err(format!("found '{}' expected: '('", other.as_ref().map_or("", Token::text))),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Some(Token::Word(value)) => values.push(checked(value)?),
                Some(Token::Sign(",")) => {}
                Some(Token::Sign(")")) => return Ok(values),
                other => {
                    return Err(format!(
                        "found '{}', expected: ',', ')' or identifier",
                        other.as_ref().map_or("", Token::text)
                    ));
                }
            }
        }
    }
}

fn checked(value: String) -> Result<String, String> {
    match names::label_value(&value).first() {
        Some(why) => Err(format!("values[0][]: Invalid value: \"{value}\": {why}")),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_selected_by_every_operator() {
        let object = json!({"metadata": {"labels": {"a": "1", "b.c/d": "x"}}});
        for (text, expected) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("z", false),
            ("!z", true),
            ("a=1,b.c/d==x", true),
            ("a!=1", false),
            ("z!=1", true),
            ("a in (1, 2)", true),
            ("a notin (1,2)", false),
            ("z notin (1)", true),
            ("a>0,a<2", true),
            ("a=", false),
        ] {
            let selector = Selector { labels: parse_labels(text).unwrap(), fields: Vec::new() };
            assert_eq!(selector.matches(&object), expected, "{text}");
        }
        assert_eq!(
            parse_labels("a===b").unwrap_err(),
            "unable to parse requirement: found '=', expected: identifier"
        );
        for wrong in ["=a", "a in 1", "a b", "a in (", "-=1", "a=b_", "a>x"] {
            assert!(parse_labels(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn escaped_commas_do_not_split() {
        assert_eq!(split(r"a=b\,c,d=e").len(), 2);
        assert_eq!(unescape(r"b\,c\\"), r"b,c\");
    }
}
