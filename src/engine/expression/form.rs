//! Form: how a function is called, before its arguments or behind a value, and with how many.
//!
//! Responsible for: what is wrong with a call, in words. Must never: know what a function does. The interpreter drops
//! arguments that are too many, and takes a function behind a value for one before it; an expression would then say
//! something else than it seems to.

/// As many arguments as one likes.
pub(super) const MANY: usize = usize::MAX;

/// Least and most arguments.
type Count = (usize, usize);

/// How a function may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Arguments behind a value: `x.f(…)`; nothing if it is not called so.
    behind: Option<Count>,
    /// Arguments of `f(…)`; nothing if it is not called so.
    plain: Option<Count>,
}

/// Called behind a value: `x.f(…)`.
pub(super) const fn behind(least: usize, most: usize) -> Form {
    Form { behind: Some((least, most)), plain: None }
}

/// Called by itself: `f(…)`.
pub(super) const fn plain(least: usize, most: usize) -> Form {
    Form { behind: None, plain: Some((least, most)) }
}

/// Called behind a value with so many arguments, or by itself with so many.
pub(super) const fn either(behind: usize, plain: usize) -> Form {
    Form { behind: Some((behind, behind)), plain: Some((plain, plain)) }
}

impl Form {
    /// What is wrong with a call, or nothing.
    pub(super) fn mistake(self, name: &str, is_behind: bool, arguments: usize) -> Option<String> {
        let (asked, other) = if is_behind { (self.behind, self.plain) } else { (self.plain, self.behind) };
        let Some((least, most)) = asked else {
            let (least, most) = other.unwrap_or_default();
            let inside = if most == 0 { "" } else { "…" };
            let written = if is_behind { format!("{name}({inside})") } else { format!("x.{name}({inside})") };
            let place = if is_behind { "by itself" } else { "behind a value" };
            let counted = counted(least, most);
            return Some(format!("\"{name}\" is called {place}, with {counted}: {written}"));
        };
        let is_good = (least..=most).contains(&arguments);
        (!is_good)
            .then(|| format!("\"{name}\" takes {} here, and is given {arguments}", counted(least, most)))
    }
}

fn counted(least: usize, most: usize) -> String {
    match (least, most) {
        (0, 0) => "no argument".to_owned(),
        (1, 1) => "1 argument".to_owned(),
        (1, MANY) => "1 argument or more".to_owned(),
        (0, 1) => "at most 1 argument".to_owned(),
        (least, most) if least == most => format!("{least} arguments"),
        (least, most) => format!("{least} to {most} arguments"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, is_behind: bool, arguments: usize, expected: Option<&str>) {
        assert_eq!(form.mistake("f", is_behind, arguments).as_deref(), expected, "{form:?} {arguments}");
    }

    #[test]
    fn a_call_is_held_against_its_form() {
        check(behind(1, 1), true, 1, None);
        check(behind(1, 1), true, 2, Some("\"f\" takes 1 argument here, and is given 2"));
        check(behind(1, 2), true, 0, Some("\"f\" takes 1 to 2 arguments here, and is given 0"));
        check(behind(0, 1), true, 2, Some("\"f\" takes at most 1 argument here, and is given 2"));
        check(behind(1, 1), false, 2, Some("\"f\" is called behind a value, with 1 argument: x.f(…)"));
        check(behind(0, 0), false, 1, Some("\"f\" is called behind a value, with no argument: x.f()"));
        check(plain(1, 1), true, 0, Some("\"f\" is called by itself, with 1 argument: f(…)"));
        check(plain(2, 2), false, 3, Some("\"f\" takes 2 arguments here, and is given 3"));
        check(plain(1, MANY), false, 0, Some("\"f\" takes 1 argument or more here, and is given 0"));
        check(plain(1, MANY), false, 9, None);
        check(either(0, 1), true, 0, None);
        check(either(0, 1), false, 1, None);
        check(either(0, 1), true, 1, Some("\"f\" takes no argument here, and is given 1"));
        check(either(0, 1), false, 0, Some("\"f\" takes 1 argument here, and is given 0"));
    }
}
