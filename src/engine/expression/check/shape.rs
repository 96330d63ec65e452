//! Shape: how large an expression is.
//!
//! Responsible for: the limits of nodes, depth and loops, before anything recurses into the tree. Must never: recurse.

use std::collections::BTreeSet;

use kube_cel::cel::common::ast::{Expr, IdedExpr};

use super::super::{Mistake, Position};
use super::{MAX_DEPTH, MAX_NESTING, MAX_NODES, parts};

/// How large an expression is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Shape {
    pub(in super::super) nodes: usize,
    /// Comprehensions inside each other.
    pub(in super::super) nesting: usize,
    /// Elements of the largest list or object that is written out.
    pub(in super::super) largest: usize,
}

/// Measures an expression, before anything else recurses into it.
pub(super) fn shape(root: &IdedExpr) -> Result<Shape, Vec<Mistake>> {
    let mut shape = Shape { nodes: 0, nesting: 0, largest: 0 };
    let mut mistakes = BTreeSet::new();
    let mut left = vec![(root, 1_usize, 0_usize)];
    while let Some((expression, depth, nesting)) = left.pop() {
        shape.nodes += 1;
        if depth > MAX_DEPTH {
            mistakes.insert(format!("an expression is nested at most {MAX_DEPTH} deep"));
            continue;
        }
        match &expression.expr {
            Expr::Comprehension(inner) => {
                let inside = nesting + 1;
                shape.nesting = shape.nesting.max(inside);
                left.push((&inner.iter_range, depth + 1, nesting));
                for part in [&inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result] {
                    left.push((part, depth + 1, inside));
                }
                continue;
            }
            Expr::List(list) => shape.largest = shape.largest.max(list.elements.len()),
            Expr::Map(map) => shape.largest = shape.largest.max(map.entries.len()),
            Expr::Struct(_) => {
                mistakes
                    .insert("messages are not supported; an object is written {\"key\": value}".to_owned());
            }
            Expr::Unspecified => {
                mistakes.insert("cannot be parsed".to_owned());
            }
            Expr::Call(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Select(_) => {}
        }
        left.extend(parts(expression).into_iter().map(|part| (part, depth + 1, nesting)));
    }
    if shape.nodes > MAX_NODES {
        let nodes = shape.nodes;
        mistakes.insert(format!(
            "an expression has at most {MAX_NODES} nodes, macros spelled out; this one has {nodes}"
        ));
    }
    if shape.nesting > MAX_NESTING {
        let message = format!("at most {MAX_NESTING} loops (all, exists, map, filter) may lie in each other");
        mistakes.insert(format!("{message}, here are {}", shape.nesting));
    }
    if mistakes.is_empty() {
        return Ok(shape);
    }
    Err(mistakes.into_iter().map(|message| Mistake::new(Position::START, message)).collect())
}
