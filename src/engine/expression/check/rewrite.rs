//! Rewriting: the form of an expression in which the interpreter does what CEL says.
//!
//! Responsible for: calling our own functions where the interpreter does otherwise. It takes a member of what is no object
//! for `false`, a comparison of an integer with an equal fraction for `false`, copies an object to read one member, lets
//! times and durations out of their ranges, overflows where it negates, and ends a loop at the first error. Must never:
//! change what an expression means.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, SelectExpr,
};

use super::super::exact::{ADD, ALL, EQUAL, EXISTS, MEMBER, NEGATE, SETTLED, SUBTRACT};

/// The expression as it is evaluated.
pub(super) fn rewritten(expression: &IdedExpr) -> IdedExpr {
    let same = |expr: Expr| IdedExpr { id: expression.id, expr };
    let call = |name: &str, args: Vec<IdedExpr>| {
        same(Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args }))
    };
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => expression.clone(),
        Expr::Select(select) if select.test => same(Expr::Select(SelectExpr {
            operand: Box::new(rewritten(&select.operand)),
            field: select.field.clone(),
            test: true,
        })),
        Expr::Select(select) => {
            let key = Expr::Literal(LiteralValue::String(select.field.clone().into()));
            call(operators::INDEX, vec![rewritten(&select.operand), same(key)])
        }
        Expr::Call(original) => {
            let args: Vec<IdedExpr> = original.args.iter().map(rewritten).collect();
            match original.func_name.as_str() {
                operators::EQUALS => call(EQUAL, args),
                operators::NOT_EQUALS => call(operators::LOGICAL_NOT, vec![call(EQUAL, args)]),
                operators::IN => call(MEMBER, args),
                operators::ADD if may_be_time(&original.args) => call(ADD, args),
                operators::SUBSTRACT if may_be_time(&original.args) => call(SUBTRACT, args),
                operators::NEGATE => call(NEGATE, args),
                name => {
                    let target = original.target.as_deref().map(|target| Box::new(rewritten(target)));
                    same(Expr::Call(CallExpr { func_name: name.to_owned(), target, args }))
                }
            }
        }
        Expr::List(list) => {
            let elements = list.elements.iter().map(rewritten).collect();
            same(Expr::List(ListExpr::new_with_optionals(elements, list.optional_indices.clone())))
        }
        Expr::Map(map) => {
            let entries = map.entries.iter().filter_map(|entry| match &entry.expr {
                EntryExpr::StructField(_) => None,
                EntryExpr::MapEntry(inner) => Some(IdedEntryExpr {
                    id: entry.id,
                    expr: EntryExpr::MapEntry(MapEntryExpr {
                        key: rewritten(&inner.key),
                        value: rewritten(&inner.value),
                        optional: inner.optional,
                    }),
                }),
            });
            same(Expr::Map(MapExpr { entries: entries.collect() }))
        }
        Expr::Comprehension(inner) => {
            let (loop_step, result) = match decision(inner) {
                Some((round, element)) => {
                    let so_far = IdedExpr { id: element.id, expr: Expr::Ident(inner.accu_var.clone()) };
                    (call(round, vec![so_far.clone(), rewritten(element)]), call(SETTLED, vec![so_far]))
                }
                None => (rewritten(&inner.loop_step), rewritten(&inner.result)),
            };
            same(Expr::Comprehension(Box::new(ComprehensionExpr {
                iter_range: rewritten(&inner.iter_range),
                iter_var: inner.iter_var.clone(),
                iter_var2: inner.iter_var2.clone(),
                accu_var: inner.accu_var.clone(),
                accu_init: rewritten(&inner.accu_init),
                loop_cond: rewritten(&inner.loop_cond),
                loop_step,
                result,
            })))
        }
    }
}

/// The function for a round of `exists` or `all`, and what it asks of an element; nothing of another loop.
fn decision(inner: &ComprehensionExpr) -> Option<(&'static str, &IdedExpr)> {
    let Expr::Call(step) = &inner.loop_step.expr else { return None };
    let round = match step.func_name.as_str() {
        operators::LOGICAL_OR => EXISTS,
        operators::LOGICAL_AND => ALL,
        _ => return None,
    };
    match step.args.as_slice() {
        [so_far, element] if matches!(&so_far.expr, Expr::Ident(name) if *name == inner.accu_var) => {
            Some((round, element))
        }
        _ => None,
    }
}

/// Whether operands may be times or durations. What a loop collects is left to the interpreter, which does not copy it.
fn may_be_time(operands: &[IdedExpr]) -> bool {
    !operands.iter().any(|operand| match &operand.expr {
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        _ => false,
    })
}
