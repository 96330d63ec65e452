//! Tables and properties: what is refused, when schedules are due, and what becomes of their ticks.

use super::*;

mod clocks;
mod deciding;
mod histories;
mod reference;
mod refusals;
mod zones;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(expression: &str, zone: &str) -> Schedule {
    Schedule::compile(expression, Some(zone)).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"))
}

#[test]
fn a_childs_name_is_a_function_of_schedule_and_tick() {
    let tick = at("2026-03-29T09:00:00Z");
    assert_eq!(child_name("netbox-sync", tick), "netbox-sync-29579580");
    assert_eq!(child_name("netbox-sync", at("2026-03-29T09:01:00Z")), "netbox-sync-29579581");
    let longest = "a".repeat(230);
    assert_eq!(child_name(&longest, tick), format!("{longest}-29579580"));
    // Beyond that the names differ in their hashes alone.
    let (one, two) = (format!("{longest}{}", "b".repeat(23)), format!("{longest}{}", "c".repeat(23)));
    let (one, two) = (child_name(&one, tick), child_name(&two, tick));
    assert!(one.starts_with(&format!("{longest}-")) && one.ends_with("-29579580"), "{one}");
    assert_eq!(one.len(), 230 + 1 + 10 + 1 + 8);
    assert_ne!(one, two);
    // A cut at a dot must not make a name that Kubernetes refuses.
    let dotted = format!("{}.-{}", "a".repeat(228), "b".repeat(20));
    assert!(child_name(&dotted, tick).starts_with(&format!("{}-", "a".repeat(228))));
}

#[test]
fn what_is_right_but_may_surprise_is_told() {
    let seconds = |seconds| Some(jiff::SignedDuration::from_secs(seconds));
    let told = |zone: Option<&str>, deadline| {
        let terms = decide::Terms { starting_deadline: deadline, ..decide::Terms::default() };
        warnings(zone, &terms).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(told(None, None), [""; 0]);
    assert_eq!(told(Some("Europe/Paris"), seconds(30)), [""; 0]);
    assert_eq!(told(Some("Etc/GMT"), seconds(300)), [""; 0]);
    assert_eq!(
        told(Some("Etc/GMT+1"), seconds(5)),
        [
            "AmbiguousTimeZone: spec.timeZone: \"Etc/GMT+1\" is 1 hour behind UTC: in these names the sign is POSIX's",
            "ShortDeadline: spec.startingDeadlineSeconds: 5 s are less than the 30 s that the controller may need \
             after a restart or a change of leaders: a tick at such a moment is missed",
        ]
    );
    assert_eq!(
        told(Some("Etc/GMT-14"), None),
        [
            "AmbiguousTimeZone: spec.timeZone: \"Etc/GMT-14\" is 14 hours ahead of UTC: in these names the sign is POSIX's"
        ]
    );
}
