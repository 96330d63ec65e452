//! Scanning: the tokens of an expression, before it is parsed and for telling places afterwards.
//!
//! Responsible for: limits that keep the parser's recursion small, the places of names, and the parser's errors in
//! words. Must never: decide what an expression means.

use kube_cel::cel::common::ast::IdedExpr;
use kube_cel::cel::parser::Parser;

use super::quiet::quietly;
use super::{Mistake, Position};

/// Longest expression, in bytes.
pub const MAX_LENGTH: usize = 4_096;

/// Most tokens: names, literals, operators and brackets.
pub const MAX_TOKENS: usize = 500;

/// Deepest nesting of brackets: the parser recurses, a dozen calls for each, and threads have small stacks. Twice as many
/// fit into one of half a megabyte.
pub const MAX_BRACKETS: usize = 12;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) position: Position,
}

impl Token {
    pub(super) fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !self.text.contains(['"', '\''])
    }

    /// Whether it is a literal: a text, bytes, a number, or one of the words that are values.
    pub(super) fn is_literal(&self) -> bool {
        matches!(self.text.as_str(), "true" | "false" | "null")
            || self.text.contains(['"', '\''])
            || self.text.starts_with(|c: char| c.is_ascii_digit())
    }

    /// Whether a value may end here, so that what follows is no sign of another.
    fn ends_operand(&self) -> bool {
        let is_operator =
            |c: char| c.is_ascii_punctuation() && !matches!(c, ')' | ']' | '}' | '"' | '\'' | '_');
        self.text != "in" && !self.text.ends_with(is_operator)
    }
}

/// An expression in tokens.
pub(super) struct Scanned {
    pub(super) tokens: Vec<Token>,
    /// What is parsed: the expression with blanks in place of negations that cancel each other out, of which the parser
    /// would take two for one. Places stay as they are.
    pub(super) source: String,
}

/// Splits an expression into tokens. What is no token of CEL becomes one of its own; the parser will say so.
pub(super) fn scan(source: &str) -> Result<Scanned, Mistake> {
    if source.len() > MAX_LENGTH {
        let message =
            format!("an expression has at most {MAX_LENGTH} characters, this one has {}", source.len());
        return Err(Mistake::new(Position::START, message));
    }
    let mut scanner = Scanner { rest: source, position: Position::START };
    let mut tokens: Vec<Token> = Vec::new();
    // The negation that the last token is, by its place in the source.
    let mut negation: Option<usize> = None;
    let mut cancelled: Vec<usize> = Vec::new();
    let mut open = 0_usize;
    while let Some(token) = scanner.token() {
        match token.text.as_str() {
            "(" | "[" | "{" => open += 1,
            ")" | "]" | "}" => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(Mistake::new(
                token.position,
                format!("brackets are nested at most {MAX_BRACKETS} deep"),
            ));
        }
        if tokens.len() == MAX_TOKENS {
            let message =
                format!("an expression has at most {MAX_TOKENS} names, literals, operators and brackets");
            return Err(Mistake::new(token.position, message));
        }
        let last = tokens.last().map_or("", |last| last.text.as_str());
        if token.text == "?" && matches!(last, "." | "[" | "{" | ",") {
            let message = "optional selections (.?, [?, {?) are not supported; ask has(…) first";
            return Err(Mistake::new(token.position, message));
        }
        if token.text == "`" {
            return Err(Mistake::new(token.position, backquoted(scanner.rest)));
        }
        // Single bytes, so this is where the token begins.
        let at = source.len().saturating_sub(scanner.rest.len() + 1);
        let is_negation = match token.text.as_str() {
            "!" => true,
            "-" => !tokens.last().is_some_and(Token::ends_operand),
            _ => false,
        };
        if let Some(before) = negation.filter(|_| is_negation && last == token.text) {
            cancelled.extend([before, at]);
            tokens.pop();
            negation = None;
            continue;
        }
        negation = is_negation.then_some(at);
        tokens.push(token);
    }
    let blanked = source.char_indices().map(|(at, c)| if cancelled.contains(&at) { ' ' } else { c });
    Ok(Scanned { source: blanked.collect(), tokens })
}

/// Parses an expression that was scanned.
pub(super) fn parse(source: &str) -> Result<IdedExpr, Vec<Mistake>> {
    let parsed = quietly(|| Parser::new().parse(source));
    let Ok(parsed) = parsed else {
        return Err(vec![Mistake::new(Position::START, "cannot be parsed")]);
    };
    parsed.map_err(|errors| {
        let mut mistakes: Vec<Mistake> = errors
            .errors
            .iter()
            .map(|error| {
                let (line, column) = error.pos;
                let position = Position { line: at_least_one(line), column: at_least_one(column) };
                Mistake::new(position, worded(&error.msg))
            })
            .collect();
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        mistakes.dedup();
        // What follows the first syntax error is mostly its consequence.
        if let Some(first) = mistakes.iter().position(|mistake| mistake.message.starts_with("syntax error")) {
            mistakes.truncate(first + 1);
        }
        mistakes
    })
}

/// What is said of a name in backquotes, of which this is what follows the first: the parser would take them for a part of
/// the name, and nothing has such a name.
fn backquoted(rest: &str) -> String {
    let name = rest.split_once('`').map_or("name", |(name, _)| name);
    let name = serde_json::Value::from(super::evaluate::cut(name));
    format!("backquotes are not supported; a member with any name is read as [{name}] instead")
}

fn at_least_one(number: isize) -> usize {
    usize::try_from(number).unwrap_or(1).max(1)
}

fn worded(message: &str) -> String {
    let message = message.split('\n').next().unwrap_or_default();
    // What follows is the parser's own notation.
    for (what, name) in [("string", "a string"), ("bytes", "bytes")] {
        if message.starts_with(&format!("invalid {what} literal: ")) {
            return format!("invalid escape in {name}");
        }
    }
    let message = message.strip_prefix("Syntax error: ").map_or_else(
        || message.to_owned(),
        |syntax| format!("syntax error: {}", syntax.split(" expecting ").next().unwrap_or_default()),
    );
    message.replace("'<EOF>'", "the end").replace("<EOF>", "the end")
}

struct Scanner<'a> {
    rest: &'a str,
    position: Position,
}

impl Scanner<'_> {
    fn token(&mut self) -> Option<Token> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        let position = self.position;
        let length = match first {
            _ if literal_length(self.rest).is_some() => literal_length(self.rest).unwrap_or_default(),
            c if c.is_ascii_alphabetic() || c == '_' => {
                length_while(self.rest, |c| c.is_ascii_alphanumeric() || c == '_')
            }
            c if c.is_ascii_digit() => number_length(self.rest),
            _ => ["==", "!=", "<=", ">=", "&&", "||"]
                .iter()
                .find(|operator| self.rest.starts_with(**operator))
                .map_or(first.len_utf8(), |operator| operator.len()),
        };
        let text = self.rest.get(..length).unwrap_or(self.rest).to_owned();
        self.advance(text.len());
        Some(Token { text, position })
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = length_while(self.rest, char::is_whitespace);
            let comment = self.rest.get(blanks..).filter(|rest| rest.starts_with("//"));
            let length = blanks + comment.map_or(0, |rest| length_while(rest, |c| c != '\n'));
            if length == 0 {
                return;
            }
            self.advance(length);
        }
    }

    fn advance(&mut self, length: usize) {
        let (passed, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        for c in passed.chars() {
            self.position = match c {
                '\n' => Position { line: self.position.line + 1, column: 1 },
                _ => Position { column: self.position.column + 1, ..self.position },
            };
        }
        self.rest = rest;
    }
}

fn length_while(text: &str, wanted: impl Fn(char) -> bool) -> usize {
    text.find(|c| !wanted(c)).unwrap_or(text.len())
}

/// A number: digits, a fraction, an exponent, a suffix. A dot that a name follows is a selection.
fn number_length(text: &str) -> usize {
    let digits = length_while(text, |c| c.is_ascii_alphanumeric());
    let fraction = text.get(digits..).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    let mut length = digits;
    if fraction.starts_with(|c: char| c.is_ascii_digit()) {
        length += 1 + length_while(fraction, |c| c.is_ascii_alphanumeric());
    }
    let ends_in_exponent = text.get(..length).is_some_and(|number| number.ends_with(['e', 'E']));
    let sign = text.get(length..).filter(|rest| ends_in_exponent && rest.starts_with(['+', '-']));
    match sign.and_then(|rest| rest.get(1..)) {
        Some(exponent) => length + 1 + length_while(exponent, |c| c.is_ascii_digit()),
        None => length,
    }
}

/// A text or bytes with its prefix and quotes, up to the end if nothing closes it; none if there is no such literal.
fn literal_length(text: &str) -> Option<usize> {
    let prefix = text.find(['"', '\'']).filter(|at| *at <= 2)?;
    let letters = text.get(..prefix)?;
    if !letters.chars().all(|c| matches!(c, 'r' | 'R' | 'b' | 'B')) {
        return None;
    }
    let is_raw = letters.contains(['r', 'R']);
    let quoted = text.get(prefix..)?;
    let quote = quoted.get(..1)?;
    let triple = quote.repeat(3);
    let quote = if quoted.starts_with(&triple) { triple.as_str() } else { quote };
    let mut at = quote.len();
    while let Some(rest) = quoted.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(quote) {
            return Some(prefix + at + quote.len());
        }
        if quote.len() == 1 && rest.starts_with('\n') {
            return Some(prefix + at);
        }
        let escape = if rest.starts_with('\\') && !is_raw { 1 } else { 0 };
        at += escape + rest.get(escape..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    }
    Some(text.len())
}
