//! Chains: a variable and the steps below it, as `input.hosts[0].name` is one.
//!
//! Responsible for: what the text alone shows of where a chain leads. Must never: know a variable.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{Expr, IdedExpr, LiteralValue};

use crate::engine::path::Segment;

/// One step below a variable.
pub(super) enum Step<'a> {
    Known(Segment),
    Dynamic(&'a IdedExpr),
}

/// A variable and the steps below it, if an expression is such a chain.
pub(super) fn chain(expression: &IdedExpr) -> Option<(&IdedExpr, &str, Vec<Step<'_>>)> {
    let (root, name, mut steps) = match &expression.expr {
        Expr::Ident(name) => return Some((expression, name, Vec::new())),
        Expr::Select(select) => chain(&select.operand)?,
        Expr::Call(call) if call.func_name == operators::INDEX => chain(call.args.first()?)?,
        _ => return None,
    };
    steps.push(match &expression.expr {
        Expr::Select(select) => Step::Known(Segment::Key(select.field.clone())),
        Expr::Call(call) => {
            let index = call.args.get(1)?;
            match &index.expr {
                Expr::Literal(LiteralValue::String(key)) => Step::Known(Segment::Key(key.inner().to_owned())),
                Expr::Literal(LiteralValue::Int(number)) => match usize::try_from(*number.inner()) {
                    Ok(number) => Step::Known(Segment::Index(number)),
                    Err(_) => Step::Dynamic(index),
                },
                _ => Step::Dynamic(index),
            }
        }
        _ => return None,
    });
    Some((root, name, steps))
}

/// The segments up to the first that only evaluation knows.
pub(super) fn known(steps: &[Step<'_>]) -> Vec<Segment> {
    let known = steps.iter().map_while(|step| match step {
        Step::Known(segment) => Some(segment.clone()),
        Step::Dynamic(_) => None,
    });
    known.collect()
}

/// Whether the only step is to a member of this name.
pub(super) fn is_only(steps: &[Step<'_>], name: &str) -> bool {
    matches!(steps, [Step::Known(Segment::Key(field))] if field == name)
}
