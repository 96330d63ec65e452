//! The older text form of Prometheus, made from that of OpenMetrics.
//!
//! Responsible for: the three differences that matter to a parser. Must never: change a value.

/// Rewrites OpenMetrics as the text form of Prometheus, version 0.0.4: there a counter is described under the name of
/// its samples, units are not told, and nothing marks the end.
#[must_use]
pub fn plain(open: &str) -> String {
    let mut plain = String::with_capacity(open.len());
    let counters: Vec<&str> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                plain.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_under_the_names_of_their_samples() {
        let open = "# HELP a_duration_seconds How long.\n# TYPE a_duration_seconds histogram\n\
            # UNIT a_duration_seconds seconds\na_duration_seconds_count 1\n# HELP a_runs All runs.\n\
            # TYPE a_runs counter\na_runs_total{kind=\"b c\"} 2\n# EOF\n";
        let expected = "# HELP a_duration_seconds How long.\n# TYPE a_duration_seconds histogram\n\
            a_duration_seconds_count 1\n# HELP a_runs_total All runs.\n# TYPE a_runs_total counter\n\
            a_runs_total{kind=\"b c\"} 2\n";
        assert_eq!(plain(open), expected);
    }
}
