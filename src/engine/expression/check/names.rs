//! Places of names: the parser numbers what it reads, and keeps no places.
//!
//! Responsible for: finding the token of a name in the tree. Must never: decide what a name means.
//!
//! Numbers grow in the order of the text, so the names of the tree in that order are the tokens that are names, less
//! those that declare the variable of a macro.

use std::collections::BTreeMap;

use kube_cel::cel::common::ast::{Expr, IdedExpr};

use super::super::Position;
use super::super::scan::Token;
use super::parts;

/// Words that are no names.
const WORDS: [&str; 4] = ["true", "false", "null", "in"];

/// Macros whose first argument declares a variable and is not in the tree.
const DECLARING: [&str; 5] = ["all", "exists", "exists_one", "existsOne", "map"];

/// The places of the names in a tree.
pub(super) struct Names {
    by_number: BTreeMap<u64, Position>,
    by_name: BTreeMap<String, Position>,
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
        Self { by_number, by_name }
    }

    /// The place of a name with this number; else the first of that name.
    pub(super) fn position(&self, number: u64, name: &str) -> Position {
        self.by_number.get(&number).or_else(|| self.by_name.get(name)).copied().unwrap_or(Position::START)
    }

    /// The place of the first name in an expression; without names, the start of all.
    pub(super) fn position_of(&self, expression: &IdedExpr) -> Position {
        let mut names = BTreeMap::new();
        collect(expression, &mut names);
        names.first_key_value().map_or(Position::START, |(number, name)| self.position(*number, name))
    }
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
