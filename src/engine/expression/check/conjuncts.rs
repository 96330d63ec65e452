//! Conjuncts: what must hold for an expression to hold, joined by `&&`.
//!
//! Responsible for: telling for certain that one expression holds only where another does. Must never: reason about
//! values; expressions are the same when they are written the same, spaces and brackets aside.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{Expr, IdedExpr};

use super::parts;

/// Whether everything that `other` asks is asked by `one` as well.
pub(in super::super) fn implies(one: &IdedExpr, other: &IdedExpr) -> bool {
    let (mut asked, mut wanted) = (Vec::new(), Vec::new());
    collect(one, &mut asked);
    collect(other, &mut wanted);
    wanted.iter().all(|wanted| asked.iter().any(|asked| is_same(asked, wanted)))
}

fn collect<'a>(expression: &'a IdedExpr, conjuncts: &mut Vec<&'a IdedExpr>) {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => {
            call.args.iter().for_each(|part| collect(part, conjuncts));
        }
        _ => conjuncts.push(expression),
    }
}

/// Whether two expressions are the same but for the numbers that the parser gave them.
fn is_same(one: &IdedExpr, other: &IdedExpr) -> bool {
    let is_head_same = match (&one.expr, &other.expr) {
        (Expr::Ident(one), Expr::Ident(other)) => one == other,
        (Expr::Literal(one), Expr::Literal(other)) => one == other,
        (Expr::Select(one), Expr::Select(other)) => (&one.field, one.test) == (&other.field, other.test),
        (Expr::Call(one), Expr::Call(other)) => {
            (&one.func_name, one.target.is_some()) == (&other.func_name, other.target.is_some())
        }
        (Expr::List(one), Expr::List(other)) => one.optional_indices == other.optional_indices,
        (Expr::Map(_), Expr::Map(_)) => true,
        (Expr::Comprehension(one), Expr::Comprehension(other)) => one.iter_var == other.iter_var,
        _ => false,
    };
    let (one, other) = (parts(one), parts(other));
    is_head_same && one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_same(one, other))
}
