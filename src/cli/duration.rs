//! Durations as people write them.
//!
//! Responsible for: one form in all flags. Must never: guess a unit.

use std::time::Duration;

/// What a duration has to be.
const FORM: &str = "must be a number with ms, s, m, h or d, such as 30s, or several, such as 1h30m";
/// Longest duration: what is longer is a slip, and would not fit into times.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Reads numbers with ms, s, m, h or d, one or several.
///
/// # Errors
/// A sentence for people: what it has to be.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    loop {
        let (number, behind) = rest.split_at(end_of(rest, |byte| byte.is_ascii_digit()));
        let (unit, next) = behind.split_at(end_of(behind, |byte| byte.is_ascii_alphabetic()));
        let number: u64 = number.parse().map_err(|_| FORM.to_owned())?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(FORM.to_owned()),
        };
        sum = sum.saturating_add(Duration::from_millis(number.saturating_mul(unit)));
        if sum > LONGEST {
            return Err("must be at most 3650d".to_owned());
        }
        if next.is_empty() {
            return Ok(sum);
        }
        rest = next;
    }
}

/// Where what begins a text ends.
fn end_of(text: &str, belongs: impl Fn(&u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in
            [("90s", 90), ("2h", 7200), ("7d", 604_800), ("1h30m", 5400), ("1d12h", 129_600)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "5", "s", "-1s", "1w", "1 s", "1h30", "h1", "1.5h", "ä", "1sä"] {
            assert_eq!(parse(wrong), Err(FORM.to_owned()), "{wrong}");
        }
        for long in ["3651d", "18446744073709551615ms", "99999999999999999d"] {
            assert_eq!(parse(long), Err("must be at most 3650d".to_owned()), "{long}");
        }
    }
}
