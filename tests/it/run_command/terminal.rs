//! What a terminal shows, and what a log file gets instead.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{ORCHESTRATOR, errors, in_file, pipe_file, run, script, within};

/// What clears a line of a terminal.
const CLEAR: &str = "\u{1b}[2K";

/// Both ends of a new terminal: ours, and that of a program.
fn terminal() -> (File, OwnedFd) {
    let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&own).unwrap();
    unlockpt(&own).unwrap();
    let name = ptsname(&own, Vec::new()).unwrap();
    let theirs = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (File::from(own), theirs)
}

/// Reads a terminal until its text is as wanted, or until its program has ended.
fn read_until(terminal: &mut File, text: &mut String, is_wanted: impl Fn(&str) -> bool) {
    let mut buffer = [0; 4096];
    while !is_wanted(text) {
        match terminal.read(&mut buffer) {
            // The end of a terminal is an error on Linux.
            Ok(0) | Err(_) => return,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
}

#[test]
fn a_terminal_shows_what_runs_and_keeps_what_has_ended() {
    let (directory, _) = in_file("");
    let (file, go) = (directory.path().join("run.yaml"), directory.path().join("go"));
    pipe_file(&go);
    std::fs::write(&file, script(&format!("read line < {}", go.display()))).unwrap();
    let (mut own, theirs) = terminal();
    let mut child = Command::new(ORCHESTRATOR)
        .args(["run", file.to_str().unwrap()])
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let text = within(move || {
        let mut text = String::new();
        read_until(&mut own, &mut text, |text| text.contains("only") && text.contains("Running"));
        // It turns, although nothing happens.
        let still = text.len();
        read_until(&mut own, &mut text, |text| text[still..].matches(CLEAR).count() > 2);
        std::fs::write(go, "go\n").unwrap();
        read_until(&mut own, &mut text, |_| false);
        text
    });
    assert_eq!(within(move || child.wait().unwrap()).code(), Some(0), "{text:?}");
    let (_, end) = text.split_once("Succeeded").expect("the activity has succeeded");
    assert!(end.contains("the only activity has succeeded"), "{text:?}");
    // What was drawn is cleared; the result stands below it.
    let (_, result) = text.split_once("run  one  Succeeded  1/1").unwrap_or_else(|| panic!("{text:?}"));
    assert!(!result.contains('\u{1b}') && result.contains("0  only"), "{text:?}");
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let (_directory, file) = in_file(&script("true"));
    let output = run(&[&file, "--timeout", "60s"]);
    let told = errors(&output);
    assert!(!told.contains('\u{1b}'), "{told:?}");
    let last: Vec<&str> = told.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["run", "Succeeded", "the", "only", "activity", "has", "succeeded"]);
}
