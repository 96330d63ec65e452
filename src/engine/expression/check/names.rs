//! Places of names: the parser numbers what it reads, and keeps no places.
//!
//! Responsible for: finding the token of a name in the tree. Must never: decide what a name means.
//!
//! Numbers grow in the order of the text, so the names of the tree in that order are the tokens that are names, less
//! those that declare the variable of a macro; the calls of a function are the tokens of its name before a bracket; and
//! the literals are the tokens that are some, with those that macros add left out.

use std::collections::BTreeMap;

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

use super::super::scan::Token;
use super::super::{Position, functions};
use super::{function_of, parts};

/// Words that are no names.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Macros whose first argument declares a variable and is not in the tree.
const DECLARING: [&str; 5] = ["all", "exists", "exists_one", "existsOne", "map"];

/// The places of the names in a tree, those of functions included, and of its literals.
pub(in super::super) struct Names {
    by_number: BTreeMap<u64, Position>,
    by_name: BTreeMap<String, Position>,
    calls: BTreeMap<u64, Position>,
    by_function: BTreeMap<String, Position>,
    literals: BTreeMap<u64, Position>,
}

impl Names {
    pub(super) fn of(root: &IdedExpr, tokens: &[Token]) -> Self {
        let mut in_tree = BTreeMap::new();
        collect(root, &mut in_tree);
        let in_text: Vec<&Token> = variables(tokens);
        let mut by_name = BTreeMap::new();
        for token in &in_text {
            by_name.entry(token.text.clone()).or_insert(token.position);
        }
        let agree = in_tree.values().copied().eq(in_text.iter().map(|token| token.text.as_str()));
        let by_number = match agree {
            true => in_tree.keys().copied().zip(in_text.iter().map(|token| token.position)).collect(),
            false => BTreeMap::new(),
        };
        let (calls, by_function) = calls(root, tokens);
        Self { by_number, by_name, calls, by_function, literals: literals(root, tokens) }
    }

    /// The place of the function in a call with this number; else where that function is called first.
    pub(super) fn position_of_call(&self, number: u64, function: &str) -> Position {
        let found = self.calls.get(&number).or_else(|| self.by_function.get(function));
        found.copied().unwrap_or(Position::START)
    }

    /// The place of a name with this number; else the first of that name.
    pub(super) fn position(&self, number: u64, name: &str) -> Position {
        self.by_number.get(&number).or_else(|| self.by_name.get(name)).copied().unwrap_or(Position::START)
    }

    /// The place of the first name, function or literal in an expression; the start of all if it has none.
    pub(in super::super) fn position_of(&self, expression: &IdedExpr) -> Position {
        self.first(expression).unwrap_or(Position::START)
    }

    fn first(&self, expression: &IdedExpr) -> Option<Position> {
        let own = match &expression.expr {
            Expr::Ident(name) if !name.starts_with('@') => Some(self.position(expression.id, name)),
            Expr::Literal(_) => self.literals.get(&expression.id).copied(),
            Expr::Call(_) => self.calls.get(&expression.id).copied(),
            _ => None,
        };
        parts(expression).into_iter().filter_map(|part| self.first(part)).chain(own).min()
    }
}

/// The places of literals by their numbers; none if the tree and the text do not agree.
fn literals(root: &IdedExpr, tokens: &[Token]) -> BTreeMap<u64, Position> {
    let mut in_tree = BTreeMap::new();
    collect_literals(root, &mut in_tree);
    let in_text: Vec<usize> =
        (0..tokens.len()).filter(|at| tokens.get(*at).is_some_and(Token::is_literal)).collect();
    if in_tree.len() != in_text.len() {
        return BTreeMap::new();
    }
    let place = |((number, literal), at): ((u64, &LiteralValue), usize)| {
        let token = tokens.get(at).filter(|token| is_of(token, literal))?;
        // The sign of a number is a token of its own.
        let sign = at.checked_sub(1).and_then(|at| tokens.get(at));
        let sign = sign.filter(|sign| sign.text == "-" && is_negative(literal));
        Some((number, sign.unwrap_or(token).position))
    };
    let places: Option<BTreeMap<u64, Position>> = in_tree.into_iter().zip(in_text).map(place).collect();
    places.unwrap_or_default()
}

fn is_of(token: &Token, literal: &LiteralValue) -> bool {
    match literal {
        LiteralValue::Boolean(flag) => token.text == flag.inner().to_string(),
        LiteralValue::Null => token.text == "null",
        LiteralValue::String(_) | LiteralValue::Bytes(_) => token.text.contains(['"', '\'']),
        LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::UInt(_) => {
            token.text.starts_with(|c: char| c.is_ascii_digit())
        }
    }
}

fn is_negative(literal: &LiteralValue) -> bool {
    match literal {
        LiteralValue::Int(number) => *number.inner() < 0,
        LiteralValue::Double(number) => number.inner().is_sign_negative(),
        _ => false,
    }
}

/// The literals that are written, by their numbers. How a loop begins, goes on and ends is not, nor what it counts by.
fn collect_literals<'a>(expression: &'a IdedExpr, literals: &mut BTreeMap<u64, &'a LiteralValue>) {
    match &expression.expr {
        Expr::Literal(literal) => drop(literals.insert(expression.id, literal)),
        Expr::Comprehension(inner) => {
            collect_literals(&inner.iter_range, literals);
            collect_literals(&inner.loop_step, literals);
        }
        Expr::Call(call) if counts(call) => {}
        _ => parts(expression).into_iter().for_each(|part| collect_literals(part, literals)),
    }
}

/// Whether this is `exists_one` adding one.
fn counts(call: &CallExpr) -> bool {
    let [so_far, one] = call.args.as_slice() else { return false };
    let is_so_far = matches!(&so_far.expr, Expr::Ident(name) if name.starts_with('@'));
    call.func_name == operators::ADD && is_so_far && matches!(one.expr, Expr::Literal(_))
}

/// The places of calls by their numbers, and the first of every function.
fn calls(root: &IdedExpr, tokens: &[Token]) -> (BTreeMap<u64, Position>, BTreeMap<String, Position>) {
    let mut in_tree = BTreeMap::new();
    collect_calls(root, &mut in_tree);
    let mut in_text: BTreeMap<String, Vec<Position>> = BTreeMap::new();
    for at in 0..tokens.len() {
        if let Some((function, position)) = called(tokens, at) {
            in_text.entry(function).or_default().push(position);
        }
    }
    let mut numbers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (number, function) in &in_tree {
        numbers.entry(function).or_default().push(*number);
    }
    let mut places = BTreeMap::new();
    for (function, numbers) in numbers {
        if let Some(positions) = in_text.get(function).filter(|found| found.len() == numbers.len()) {
            places.extend(numbers.into_iter().zip(positions.iter().copied()));
        }
    }
    let first = |(function, positions): (String, Vec<Position>)| Some((function, *positions.first()?));
    (places, in_text.into_iter().filter_map(first).collect())
}

fn collect_calls(expression: &IdedExpr, calls: &mut BTreeMap<u64, String>) {
    if let Expr::Call(call) = &expression.expr
        && let Some(function) = function_of(call)
    {
        calls.insert(expression.id, function);
    }
    parts(expression).into_iter().for_each(|part| collect_calls(part, calls));
}

/// The function whose name stands here before a bracket, with its library, and where it begins.
fn called(tokens: &[Token], at: usize) -> Option<(String, Position)> {
    let text = |back: usize| {
        at.checked_sub(back).and_then(|at| tokens.get(at)).map_or("", |token| token.text.as_str())
    };
    let token = tokens.get(at).filter(|token| token.is_name())?;
    if tokens.get(at + 1)?.text != "(" {
        return None;
    }
    if text(1) == "." && text(3) != "." && functions::is_library(text(2)) {
        let library = at.checked_sub(2).and_then(|at| tokens.get(at))?;
        return Some((format!("{}.{}", library.text, token.text), library.position));
    }
    Some((token.text.clone(), token.position))
}

fn collect<'a>(expression: &'a IdedExpr, names: &mut BTreeMap<u64, &'a str>) {
    if let Expr::Ident(name) = &expression.expr
        && !name.starts_with('@')
    {
        names.insert(expression.id, name);
    }
    parts(expression).into_iter().for_each(|part| collect(part, names));
}

/// The tokens that name variables: neither selected, nor called, nor declared.
fn variables(tokens: &[Token]) -> Vec<&Token> {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text.as_str());
    let is_variable = |at: &usize| {
        let at = *at;
        let is_name = tokens.get(at).is_some_and(Token::is_name) && !WORDS.contains(&text(Some(at)));
        let is_selected = text(at.checked_sub(1)) == ".";
        let is_called = text(at.checked_add(1)) == "(";
        let is_declared = text(at.checked_sub(1)) == "("
            && DECLARING.contains(&text(at.checked_sub(2)))
            && text(at.checked_sub(3)) == "."
            && text(at.checked_add(1)) == ",";
        is_name && !is_selected && !is_called && !is_declared
    };
    (0..tokens.len()).filter(is_variable).filter_map(|at| tokens.get(at)).collect()
}
