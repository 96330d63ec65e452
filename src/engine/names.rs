//! Names: checked ids, and the names of children as pure functions of what they stand for.
//!
//! Responsible for: one child name per (orchestration uid, activity, attempt), valid for every input. Must never:
//! look at the world.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

use crate::api::labels::INPUT_VARIABLE_PREFIX;

/// Length of the hash in a child's name: 50 bits.
const HASH_LENGTH: usize = 10;
/// How much of each readable part a child's name keeps.
const PART_LENGTH: usize = 24;

/// The name of the Job of one attempt: `<orchestration>-<activity>-<hash>`, at most 60 characters, a DNS label.
///
/// The uid is in the hash, so that an Orchestration made again under the same name never meets the Jobs of the
/// first; the readable parts are for people.
#[must_use]
pub fn child_name(orchestration: &str, uid: &str, activity: &str, attempt: u32) -> String {
    format!("{}-{}-{}", part(orchestration), part(activity), hash(&format!("{uid}/{activity}/{attempt}")))
}

/// The first characters of the lower-case RFC 4648 base32 of the SHA-256 of `text`.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut encoded = BASE32_NOPAD.encode(&Sha256::digest(text.as_bytes())).to_ascii_lowercase();
    encoded.truncate(HASH_LENGTH);
    encoded
}

/// A value for a label: at most 63 characters, ending in a letter or a digit.
#[must_use]
pub fn label_value(text: &str) -> String {
    let cut: String = text.chars().take(63).collect();
    cut.trim_end_matches(['.', '-', '_']).to_owned()
}

/// The environment variable that carries an input: `INPUT_` and the name in upper snake case.
///
/// A `_` goes between a lower-case letter or digit and a capital, and before the last capital of a run of capitals
/// that a small letter follows; every character but A–Z, a–z and 0–9 becomes `_`. Two inputs can share a variable
/// (`ownerEmail`, `owner-email`): the compile refuses that.
#[must_use]
pub fn variable_name(input: &str) -> String {
    let mut name = String::from(INPUT_VARIABLE_PREFIX);
    let mut previous: Option<char> = None;
    let mut characters = input.chars().peekable();
    while let Some(character) = characters.next() {
        if character.is_ascii_uppercase() {
            let word_ended = previous.is_some_and(|p| p.is_ascii_lowercase() || p.is_ascii_digit());
            let word_begins = previous.is_some_and(|p| p.is_ascii_uppercase())
                && characters.peek().is_some_and(char::is_ascii_lowercase);
            if word_ended || word_begins {
                name.push('_');
            }
        }
        name.push(if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' });
        previous = Some(character);
    }
    name
}

/// Dots become dashes, because a Job name with dots is answered with a warning.
fn part(name: &str) -> String {
    let cut: String = name.chars().take(PART_LENGTH).map(|c| if c == '.' { '-' } else { c }).collect();
    cut.trim_end_matches('-').to_owned()
}

/// The W3C trace context of one attempt. Trace and span are functions of the identity, so that a restarted
/// controller continues the same trace.
#[must_use]
pub fn traceparent(uid: &str, activity: &str, attempt: u32) -> String {
    let trace: String = hex(uid, 32);
    let span = hex(&format!("{uid}/{activity}/{attempt}"), 16);
    format!("00-{trace}-{span}-01")
}

fn hex(text: &str, length: usize) -> String {
    let mut encoded = data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    encoded.truncate(length);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_shows_what_it_stands_for() {
        assert_eq!(child_name("tenant-a", "u-1", "config", 1), "tenant-a-config-zvvdgkzfhe");
    }

    #[test]
    fn a_cut_part_ends_in_a_letter_or_digit() {
        let name = child_name("aaaaaaaaaaaaaaaaaaaaaaa.bcd", "u", "x", 1);
        assert!(name.starts_with("aaaaaaaaaaaaaaaaaaaaaaa-x-"), "{name}");
    }

    #[test]
    fn a_label_value_is_cut_and_trimmed() {
        assert_eq!(label_value(&format!("{}.-_x", "a".repeat(60))), "a".repeat(60));
        assert_eq!(label_value("plain"), "plain");
    }

    #[test]
    fn a_variable_is_the_input_in_upper_snake_case() {
        for (input, variable) in [
            ("domain", "INPUT_DOMAIN"),
            ("tenantID", "INPUT_TENANT_ID"),
            ("HTTPServer", "INPUT_HTTP_SERVER"),
            ("owner-email", "INPUT_OWNER_EMAIL"),
            ("ownerEmail", "INPUT_OWNER_EMAIL"),
            ("owner.email", "INPUT_OWNER_EMAIL"),
            ("Bc", "INPUT_BC"),
            ("aB", "INPUT_A_B"),
            ("ABc", "INPUT_A_BC"),
            ("ipV4Address", "INPUT_IP_V4_ADDRESS"),
            ("a__b", "INPUT_A__B"),
            ("ALREADY_SNAKE", "INPUT_ALREADY_SNAKE"),
            ("größe", "INPUT_GR__E"),
            ("🦀", "INPUT__"),
        ] {
            assert_eq!(variable_name(input), variable, "{input}");
        }
    }

    proptest! {
        #[test]
        fn every_variable_is_a_name_that_any_shell_takes(input in any::<String>()) {
            let name = variable_name(&input);
            prop_assert!(name.starts_with("INPUT_"));
            prop_assert!(name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'), "{}", name);
        }

        #[test]
        fn every_name_is_a_dns_label(
            orchestration in "[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?){0,3}",
            activity in "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
            attempt in 1u32..1000,
        ) {
            let name = child_name(&orchestration, "0b1f0f9e-8d1c-4d55-9f38-0d9d3a3c8a51", &activity, attempt);
            prop_assert!(name.len() <= 60);
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!name.starts_with('-') && !name.ends_with('-'));
        }

        #[test]
        fn two_attempts_never_share_a_name(
            a in ("[a-c]{1,2}", "[a-c]{1,2}", 1u32..20), b in ("[a-c]{1,2}", "[a-c]{1,2}", 1u32..20)
        ) {
            prop_assume!(a != b);
            prop_assert_ne!(child_name("o", &a.0, &a.1, a.2), child_name("o", &b.0, &b.1, b.2));
        }
    }
}
