//! What a rule reads: converting a whole status for a rule that asks for one member would be dear.
//!
//! Responsible for: which members of `self` and `oldSelf` a rule needs, and in how far. Must never: leave out what a
//! rule could see.

use std::collections::BTreeMap;

use kube_cel::cel::common::ast::operators::{EQUALS, NOT_EQUALS};
use kube_cel::cel::common::ast::{Expr, IdedExpr};

/// In how far a member is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Whether it is there.
    Presence,
    /// Whether it is equal to the same member of the old value, or of the new one.
    Comparison,
    /// Its value.
    Value,
}

/// What is read of one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of it.
    Everything,
    /// Members by their escaped names.
    Members(BTreeMap<String, Extent>),
}

impl Reads {
    /// In how far a member is read; none if it is not.
    #[must_use]
    pub fn of(&self, member: &str) -> Option<Extent> {
        match self {
            Self::Everything => Some(Extent::Value),
            Self::Members(members) => members.get(member).copied(),
        }
    }

    fn note(&mut self, member: &str, extent: Extent) {
        if let Self::Members(members) = self {
            let known = members.entry(member.to_owned()).or_insert(extent);
            *known = extent.max(*known);
        }
    }
}

/// What an expression reads of `self` and of `oldSelf`.
#[must_use]
pub fn of(expression: &IdedExpr) -> [Reads; 2] {
    let of = |variable: &str, other: &str| {
        let mut reads = Reads::Members(BTreeMap::new());
        note(expression, variable, other, &mut reads);
        reads
    };
    let (mut new, mut old) = (of("self", "oldSelf"), of("oldSelf", "self"));
    // A comparison needs both sides alike.
    raise(&mut new, &old);
    raise(&mut old, &new);
    [new, old]
}

fn raise(reads: &mut Reads, other: &Reads) {
    let Reads::Members(members) = reads else { return };
    for (member, extent) in members.iter_mut().filter(|(_, extent)| **extent == Extent::Comparison) {
        *extent = other.of(member).unwrap_or(Extent::Value).max(*extent);
    }
}

fn note(expression: &IdedExpr, variable: &str, other: &str, reads: &mut Reads) {
    match &expression.expr {
        Expr::Ident(name) if name == variable => *reads = Reads::Everything,
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(name) if name == variable => {
                reads.note(&select.field, if select.test { Extent::Presence } else { Extent::Value });
            }
            _ => note(&select.operand, variable, other, reads),
        },
        Expr::Call(call) => {
            if let (EQUALS | NOT_EQUALS, [left, right]) = (call.func_name.as_str(), call.args.as_slice())
                && let (Some((one, field)), Some((two, same))) = (member(left), member(right))
                && field == same
                && [[one, two], [two, one]].contains(&[variable, other])
            {
                reads.note(field, Extent::Comparison);
                return;
            }
            let target = call.target.iter().map(AsRef::as_ref);
            target.chain(&call.args).for_each(|inner| note(inner, variable, other, reads));
        }
        Expr::List(list) => list.elements.iter().for_each(|inner| note(inner, variable, other, reads)),
        Expr::Comprehension(inner) => {
            let parts =
                [&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result];
            parts.into_iter().for_each(|part| note(part, variable, other, reads));
        }
        Expr::Map(_) | Expr::Struct(_) => *reads = Reads::Everything,
    }
}

/// `variable.field`
fn member(expression: &IdedExpr) -> Option<(&str, &str)> {
    let Expr::Select(select) = &expression.expr else { return None };
    match &select.operand.expr {
        Expr::Ident(name) if !select.test => Some((name, &select.field)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_cel::cel::Program;

    fn check(rule: &str, new: &[(&str, Extent)], old: &[(&str, Extent)]) {
        let members = |list: &[(&str, Extent)]| {
            Reads::Members(list.iter().map(|(name, extent)| ((*name).to_owned(), *extent)).collect())
        };
        let found = of(Program::compile(rule).unwrap().expression());
        assert_eq!(found, [members(new), members(old)], "{rule}");
    }

    #[test]
    fn only_what_is_read_is_noted() {
        use Extent::{Comparison, Presence, Value};
        check("!has(oldSelf.a) || has(self.a)", &[("a", Presence)], &[("a", Presence)]);
        check("has(self.a) && self.a == oldSelf.a", &[("a", Comparison)], &[("a", Comparison)]);
        check("self.a == oldSelf.a || self.a.b == 1", &[("a", Value)], &[("a", Value)]);
        check("self.a == oldSelf.b", &[("a", Value)], &[("b", Value)]);
        check("self.l.all(x, x > self.m)", &[("l", Value), ("m", Value)], &[]);
        let all = of(Program::compile("self == oldSelf || self.a == oldSelf.a").unwrap().expression());
        assert_eq!(all, [Reads::Everything, Reads::Everything]);
    }
}
