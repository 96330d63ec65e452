//! `$(VAR)` in values, commands and arguments, as Kubernetes expands it.
//!
//! Responsible for: the same result as the kubelet's for every text. Must never: fail; what is no reference stays.

/// Replaces every `$(NAME)` that `lookup` knows. `$$` is a `$`, so that `$$(NAME)` becomes the text `$(NAME)`.
#[must_use]
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(escaped) = rest.strip_prefix('$') {
            out.push('$');
            rest = escaped;
        } else if let Some((name, behind)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => out.push_str(&value),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = behind;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelets_own_cases() {
        let lookup = |name: &str| {
            let value = match name {
                "VAR_A" => "A",
                "VAR_B" => "B",
                "VAR_C" => "C",
                "VAR_REF" => "$(VAR_A)",
                "VAR_EMPTY" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        // From third_party/forked/golang/expansion/expand_test.go of Kubernetes.
        let cases = [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("___$(VAR_C)", "___C"),
            ("$(VAR_A)-$(VAR_B)", "A-B"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
            ("foo$(VAR_EMPTY)bar", "foobar"),
            ("foo$$(VAR_A)bar", "foo$(VAR_A)bar"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("$$(VAR_A", "$(VAR_A"),
            ("foo$$$(VAR_A)", "foo$A"),
            ("$$$$$$$(BIG_MONEY)", "$$$$(BIG_MONEY)"),
            ("$$$$$(GOOD_ODDS)", "$$$(GOOD_ODDS)"),
            ("$(MISSING)", "$(MISSING)"),
            ("$VAR_A)", "$VAR_A)"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(VAR_A", "$(VAR_A"),
            ("foo$", "foo$"),
            ("$()", "$()"),
            ("\n$(VAR_A)ü$(VAR_B)", "\nAüB"),
            ("$ü", "$ü"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }
}
