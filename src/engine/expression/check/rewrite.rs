//! Rewriting: the form of an expression in which the interpreter does what CEL says.
//!
//! Responsible for: calling our own functions where the interpreter does otherwise. It takes a member of what is no object
//! for `false`, a comparison of an integer with an equal fraction for `false`, copies an object to read one member, lets
//! times and durations out of their ranges, overflows where it negates, ends a loop at the first error, and copies in
//! every round of a loop what that has collected. Must never: change what an expression means.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, ListExpr, LiteralValue,
    MapEntryExpr, MapExpr, SelectExpr,
};

use super::super::collected::{COLLECT, COLLECTED, COLLECTION};
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
            let so_far = || same(Expr::Ident(inner.accu_var.clone()));
            let (accu_init, loop_step, result) = if let Some((round, element)) = decision(inner) {
                let step = call(round, vec![so_far(), rewritten(element)]);
                (rewritten(&inner.accu_init), step, call(SETTLED, vec![so_far()]))
            } else if let Some((condition, element)) = collection(inner) {
                let step = call(COLLECT, vec![so_far(), rewritten(element)]);
                let step = match condition {
                    Some(condition) => {
                        call(operators::CONDITIONAL, vec![rewritten(condition), step, so_far()])
                    }
                    None => step,
                };
                (call(COLLECTION, Vec::new()), step, call(COLLECTED, vec![so_far()]))
            } else {
                (rewritten(&inner.accu_init), rewritten(&inner.loop_step), rewritten(&inner.result))
            };
            same(Expr::Comprehension(Box::new(ComprehensionExpr {
                iter_range: rewritten(&inner.iter_range),
                iter_var: inner.iter_var.clone(),
                iter_var2: inner.iter_var2.clone(),
                accu_var: inner.accu_var.clone(),
                accu_init,
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

/// What a round of `filter` or `map` adds, and the condition for it if there is one; nothing of another loop.
fn collection(inner: &ComprehensionExpr) -> Option<(Option<&IdedExpr>, &IdedExpr)> {
    let is_so_far = |part: &IdedExpr| matches!(&part.expr, Expr::Ident(name) if *name == inner.accu_var);
    let begins_empty = matches!(&inner.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    if !begins_empty || !is_so_far(&inner.result) {
        return None;
    }
    let (condition, step) = match &inner.loop_step.expr {
        Expr::Call(step) if step.func_name == operators::CONDITIONAL => match step.args.as_slice() {
            [condition, step, otherwise] if is_so_far(otherwise) => (Some(condition), step),
            _ => return None,
        },
        _ => (None, &inner.loop_step),
    };
    let Expr::Call(sum) = &step.expr else { return None };
    match (sum.func_name.as_str(), sum.args.as_slice()) {
        (operators::ADD, [so_far, added]) if is_so_far(so_far) => match &added.expr {
            Expr::List(list) => match list.elements.as_slice() {
                [element] if list.optional_indices.is_empty() => Some((condition, element)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether operands may be times or durations. What a loop counts is left to the interpreter.
fn may_be_time(operands: &[IdedExpr]) -> bool {
    !operands.iter().any(|operand| match &operand.expr {
        Expr::Literal(_) | Expr::List(_) | Expr::Map(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        _ => false,
    })
}
