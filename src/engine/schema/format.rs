//! Formats: the ones that the API server validates in a CustomResourceDefinition. All others say nothing.
//!
//! Responsible for: whether a text or a number has a format. Must never: look anything up.

// Address types only: nothing is opened.
use core::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use data_encoding::BASE64;
use regex::Regex;
use serde_json::Number;

/// Every format that is validated, without the dashes that names may have.
const FORMATS: [&str; 26] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "password",
];

/// The name under which a format is shown; nothing for what is not validated.
pub(super) fn known(name: &str) -> Option<&'static str> {
    let plain = name.replace('-', "");
    let known = FORMATS.into_iter().find(|format| *format == plain)?;
    Some(match known {
        "datetime" => "date-time",
        "k8slongname" => "k8s-long-name",
        "k8sshortname" => "k8s-short-name",
        plain => plain,
    })
}

/// The formats of numbers that are validated; of a type that is not said, and of any other type, there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// 32 bits signed.
    Int32,
    /// 64 bits signed: what every integer is.
    Int64,
    /// What a floating-point number of 32 bits can hold.
    Float,
}

impl Range {
    const ALL: [Self; 3] = [Self::Int32, Self::Int64, Self::Float];

    /// The format of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
        }
    }

    /// What is in it, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Int32 => "an integer of 32 bits signed",
            Self::Int64 => "an integer of 64 bits signed",
            Self::Float => "a floating-point number of 32 bits",
        }
    }

    /// Whether a number is in it. One with a fraction is no integer, which is told of its type.
    pub(super) fn holds(self, number: &Number) -> bool {
        let integer = number.as_i64();
        match (self, number.as_f64()) {
            (Self::Int32, _) if integer.is_some_and(|integer| i32::try_from(integer).is_err()) => false,
            (Self::Int32 | Self::Int64, _) if integer.is_some() => true,
            // The API server writes a whole number without its fraction, so that it is read back as an integer.
            (Self::Int32, Some(float)) => {
                float.fract() != 0.0 || (-2_147_483_648.0..2_147_483_648.0).contains(&float)
            }
            // The least integer is read as one: as a float it is what a smaller one was rounded to.
            (Self::Int64, Some(float)) => float.fract() != 0.0 || (-TWO_TO_63 < float && float < TWO_TO_63),
            (Self::Float, Some(float)) => {
                #[expect(clippy::cast_possible_truncation, reason = "the question is what it becomes")]
                let single = float as f32;
                single.is_finite()
            }
            (_, None) => false,
        }
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// Whether a text has a format that is known.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match format {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "byte" => BASE64.decode(text.as_bytes()).is_ok(),
        "cidr" => is_cidr(text),
        "creditcard" => is_credit_card(text),
        "date" => is_date(text),
        "date-time" => is_date_time(text),
        "duration" => is_duration(text),
        "email" => is_email(text),
        "hexcolor" => {
            let digits = text.strip_prefix('#').unwrap_or(text);
            matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        "hostname" => is_host_name(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "k8s-long-name" => text.len() <= 253 && text.split('.').all(is_plain_name),
        "k8s-short-name" => text.len() <= 63 && is_plain_name(text),
        "mac" => is_mac(text),
        "rgbcolor" => matches(&RGB_COLOR, text),
        "ssn" => matches(&SOCIAL_SECURITY, text),
        "uri" => is_uri(text),
        "uuid" => matches(&UUID, text),
        "uuid3" => matches(&UUID, text) && version(text) == Some('3'),
        "uuid4" => matches(&UUID, text) && version(text) == Some('4') && is_variant(text),
        "uuid5" => matches(&UUID, text) && version(text) == Some('5') && is_variant(text),
        _ => true,
    }
}

/// Nothing if a constant is wrong, which a test excludes.
type Pattern = LazyLock<Option<Regex>>;

static UUID: Pattern = LazyLock::new(|| {
    Regex::new(r"(?i-u)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$").ok()
});
static RGB_COLOR: Pattern = LazyLock::new(|| {
    let part = r"([01]?[0-9]{1,2}|2[0-4][0-9]|25[0-5])";
    Regex::new(&format!(r"^rgb\( *{part} *, *{part} *, *{part} *\)$")).ok()
});
static SOCIAL_SECURITY: Pattern = LazyLock::new(|| Regex::new(r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$").ok());
static CREDIT_CARD: Pattern = LazyLock::new(|| {
    let networks = [
        "4[0-9]{12}(?:[0-9]{3})?",
        "5[1-5][0-9]{14}",
        "6(?:011|5[0-9][0-9])[0-9]{12}",
        "3[47][0-9]{13}",
        "3(?:0[0-5]|[68][0-9])[0-9]{11}",
        "(?:2131|1800|35[0-9]{3})[0-9]{11}",
    ];
    Regex::new(&format!("^(?:{})$", networks.join("|"))).ok()
});
/// A local part as unquoted words, and a domain or an address literal.
static EMAIL: Pattern = LazyLock::new(|| {
    let atom = r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\x22]+";
    let local = format!(r#"(?:{atom}(?:\.{atom})*|"(?:[^"\\\r\n]|\\.)*")"#);
    Regex::new(&format!(r"^{local}@(?:{atom}(?:\.{atom})*|\[[^\[\]\s]+\])$")).ok()
});

fn matches(pattern: &Pattern, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

fn digits_of(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn version(uuid: &str) -> Option<char> {
    uuid.chars().filter(|c| *c != '-').nth(12)
}

fn is_variant(uuid: &str) -> bool {
    let digit = uuid.chars().filter(|c| *c != '-').nth(16);
    digit.is_some_and(|digit| matches!(digit.to_ascii_lowercase(), '8' | '9' | 'a' | 'b'))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    if length.is_empty() || length.len() > 3 || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let Ok(length) = length.parse::<u32>() else { return false };
    match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => length <= 32,
        (_, Ok(_)) => length <= 128,
        _ => false,
    }
}

/// Six, eight or twenty bytes in hexadecimal: pairs with colons or dashes, or fours with dots.
fn is_mac(text: &str) -> bool {
    let groups = |separator: char, width: usize| {
        let groups: Vec<&str> = text.split(separator).collect();
        let is_hex =
            |group: &&str| group.len() == width && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        groups.iter().all(is_hex) && matches!(groups.len() * width / 2, 6 | 8 | 20)
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let doubled = |(index, digit): (usize, u32)| match digit * 2 {
        _ if index % 2 == 0 => digit,
        large if large > 9 => large - 9,
        small => small,
    };
    let sum: u32 = digits_of(&digits).into_iter().rev().enumerate().map(doubled).sum();
    matches(&CREDIT_CARD, &digits) && sum.is_multiple_of(10)
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = without_separators(text);
    let value = |(index, c): (usize, char)| match c {
        'X' if index == 9 => Some(10),
        _ => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = text.chars().enumerate().map(value).collect();
    values.is_some_and(|values| {
        let sum: u32 = (1..).zip(&values).map(|(weight, value)| weight * value).sum();
        values.len() == 10 && sum.is_multiple_of(11)
    })
}

fn is_isbn13(text: &str) -> bool {
    let text = without_separators(text);
    let digits = digits_of(&text);
    let sum: u32 = digits.iter().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| digit * weight).sum();
    digits.len() == 13
        && text.len() == 13
        && (text.starts_with("978") || text.starts_with("979"))
        && sum.is_multiple_of(10)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// RFC 3339, with `T` or `t` between date and time, seconds, and a zone.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    let has_seconds = time.get(..8).is_some_and(|clock| {
        clock.bytes().enumerate().all(|(index, byte)| match index {
            2 | 5 => byte == b':',
            _ => byte.is_ascii_digit(),
        })
    });
    is_date(date) && has_seconds && text.parse::<jiff::Timestamp>().is_ok()
}

/// As Go writes durations (`1h30m`, `-1.5s`, `0`), or numbers with spelled-out units (`2 days`).
fn is_duration(text: &str) -> bool {
    is_go_duration(text) || matches(&LONG_DURATION, text)
}

static LONG_DURATION: Pattern = LazyLock::new(|| {
    let units = "ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?\
                 |m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?";
    Regex::new(&format!(r"(?i)^\s*[0-9]+(?:\.[0-9]+)?\s*(?:{units})\s*$")).ok()
});

static GO_DURATION: Pattern = LazyLock::new(|| {
    Regex::new(r"^[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$").ok()
});

fn is_go_duration(text: &str) -> bool {
    matches(&GO_DURATION, text)
}

fn is_email(text: &str) -> bool {
    // A name before the address in angle brackets is allowed, as in a message header.
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(start), Some(inner)) => inner.get(start + 1..).unwrap_or_default(),
        _ => text.trim(),
    };
    text.len() <= 1_000 && matches(&EMAIL, address)
}

/// Small letters, digits and dashes, with no dash at an end.
fn is_plain_name(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_good) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().count() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(is_inner)
    };
    text.len() <= 255 && text.split('.').all(is_label)
}

/// As Go reads the URI of a request: absolute with a scheme, or a path from the root.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return false;
    }
    if !has_good_escapes(text) {
        return false;
    }
    if text.starts_with('/') || text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !starts_well || !scheme.chars().all(is_scheme) {
        return false;
    }
    let Some(rest) = rest.strip_prefix("//") else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match host.strip_prefix('[') {
        Some(address) => match address.split_once(']') {
            Some((_, port)) => port.strip_prefix(':').or(Some(port).filter(|port| port.is_empty())),
            None => None,
        },
        None => Some(host.rsplit_once(':').map_or("", |(_, port)| port)),
    };
    port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn has_good_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, good: &[&str], bad: &[&str]) {
        let name = known(format).unwrap();
        for text in good {
            assert!(holds(name, text), "{format}: {text} is good");
        }
        for text in bad {
            assert!(!holds(name, text), "{format}: {text} is bad");
        }
    }

    #[test]
    fn names_may_have_dashes_and_others_are_not_known() {
        assert_eq!(known("date-time"), Some("date-time"));
        assert_eq!(known("datetime"), Some("date-time"));
        for other in ["int32", "int64", "float", "double", "regex", "time", "json-pointer", "", "DATE"] {
            assert_eq!(known(other), None, "{other}");
        }
    }

    #[test]
    fn every_format_has_good_and_bad_texts() {
        check(
            "bsonobjectid",
            &["507f1f77bcf86cd799439011"],
            &["507f1f77bcf86cd79943901", "507f1f77bcf86cd79943901g"],
        );
        check("byte", &["", "aGk=", "aGVsbG8h"], &["aGk", "a", "????"]);
        check(
            "cidr",
            &["10.0.0.0/8", "fe80::/64", "0.0.0.0/0"],
            &["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "x/8"],
        );
        check(
            "creditcard",
            &["4111 1111 1111 1111", "5555-5555-5555-4444"],
            &["4111111111111112", "1234", ""],
        );
        check("date", &["2026-02-28"], &["2026-02-30", "2026-2-3", "2026-02-28T00:00:00Z", "today"]);
        check(
            "date-time",
            &["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+02:00", "2026-01-31t12:00:00z"],
            &[
                "2026-01-31 12:00:00Z",
                "2026-01-31T12:00:00",
                "2026-01-31T12:00Z",
                "2026-13-01T00:00:00Z",
                "2026-01-31",
            ],
        );
        check(
            "duration",
            &["1h30m", "-1.5s", "0", "22 ns", "2 days", "1 hour", "100ms"],
            &["", "1", "h", "1 fortnight", "P1D"],
        );
        check(
            "email",
            &["a@example.com", "A <a@example.com>", "a.b+c@x", "\"a b\"@x"],
            &["a", "a@", "@x", "a b@x", "a@@x", "<a@x"],
        );
        check("hexcolor", &["#fff", "FFFFFF"], &["#ffff", "#ggg", ""]);
        check(
            "hostname",
            &["a", "example.com", "xn--a.example", "a-b.c"],
            &["", "-a", "a-", "a..b", "a_b", "a b", "a."],
        );
        check("ipv4", &["10.0.0.1"], &["10.0.0", "::1", "10.0.0.256", "10.0.0.01"]);
        check("ipv6", &["::1", "fe80::1", "::ffff:1.2.3.4"], &["10.0.0.1", ":::", "g::"]);
        check("isbn", &["0321751043", "978-0321751041"], &["0321751044", "978-0321751042", ""]);
        check("isbn10", &["0321751043", "080442957X"], &["978-0321751041", "0321751044", "X321751043"]);
        check("isbn13", &["978-0321751041"], &["0321751043", "9780321751042", "1234567890128"]);
        let long = "a".repeat(64);
        check("k8s-short-name", &["a", "a-1", "0"], &["", "-a", "a-", "A", "a.b", "a_b", &long]);
        check("k8s-long-name", &["a.b-c.d", &long], &["", "a..b", ".a", "a.-b", "A", &"a".repeat(254)]);
        check(
            "mac",
            &["01:23:45:67:89:ab", "01-23-45-67-89-AB", "0123.4567.89ab"],
            &["01:23:45", "0123456789ab", "01:23:45:67:89:xx"],
        );
        check("password", &["", "anything"], &[]);
        check("rgbcolor", &["rgb(255, 0,1)"], &["rgb(256,0,0)", "rgb(1,2)", "255,0,0"]);
        check("ssn", &["123-45-6789", "123456789"], &["12-345-6789", "123-45-678"]);
        check(
            "uri",
            &["http://example.com/a?b#c", "urn:a:b", "/path", "https://u@[::1]:80/", "mailto:a@b"],
            &["", "example.com", "http://a b", "://x", "http://x:port/", "http://[::1", "/%zz", "1a://x"],
        );
        let uuid =
            |version: char, variant: char| format!("6ba7b810-9dad-{version}1d1-{variant}0b4-00c04fd430c8");
        check(
            "uuid",
            &[&uuid('1', '0'), "6BA7B8109DAD11D180B400C04FD430C8"],
            &["6ba7b810", "", "6ba7b810-9dad-11d1-80b4-00c04fd430c"],
        );
        check("uuid3", &[&uuid('3', '0')], &[&uuid('4', '8')]);
        check("uuid4", &[&uuid('4', '8'), &uuid('4', 'B')], &[&uuid('4', '0'), &uuid('5', '8')]);
        check("uuid5", &[&uuid('5', 'a')], &[&uuid('5', 'c'), &uuid('4', 'a')]);
    }

    #[test]
    fn a_number_is_in_its_range() {
        let check = |name: &str, good: &[Number], bad: &[Number]| {
            let range = Range::named(name).unwrap();
            assert!(good.iter().all(|number| range.holds(number)), "{name}: {good:?}");
            assert!(!bad.iter().any(|number| range.holds(number)), "{name}: {bad:?}");
        };
        let float = |number: f64| Number::from_f64(number).unwrap();
        check(
            "int32",
            &[i32::MIN.into(), i32::MAX.into(), float(2_147_483_647.0), float(0.5)],
            &[2_147_483_648_i64.into(), i64::MIN.into(), u64::MAX.into(), float(2_147_483_648.0)],
        );
        check(
            "int64",
            &[i64::MIN.into(), i64::MAX.into(), float(1e18), float(-1e18), float(0.5)],
            &[
                (i64::MAX as u64 + 1).into(),
                u64::MAX.into(),
                float(9_223_372_036_854_775_808.0),
                serde_json::from_str("-9223372036854775809").unwrap(),
                float(1e300),
            ],
        );
        check("float", &[1.into(), float(3.4e38), float(1e-300)], &[float(3.5e38), float(-1e300)]);
        for other in ["double", "date", ""] {
            assert_eq!(Range::named(other), None, "{other}");
        }
    }

    #[test]
    fn every_pattern_is_one() {
        let all = [&UUID, &RGB_COLOR, &SOCIAL_SECURITY, &CREDIT_CARD, &EMAIL, &LONG_DURATION, &GO_DURATION];
        assert!(all.iter().all(|pattern| pattern.is_some()));
    }
}
