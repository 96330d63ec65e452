//! Ctrl-C, Ctrl-\, SIGTERM, a closed terminal, and time that is up: what runs is ended, and nothing stays behind.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{ORCHESTRATOR, pipe_file, script, within};

/// A process that hears SIGTERM and has a child. Both hold the pipe open.
const HEARS: &str = "trap 'echo bye >&9; exit 9' TERM; sleep 1000 & echo up >&9; wait";
/// One that does not listen, and has a child that does not.
const DEAF: &str = "trap '' TERM; sleep 1000 & echo up >&9; while :; do sleep 1000; done";

/// One that waits until it may end.
const WAITS: &str = "echo up >&9; read line < $GO";

/// The program with every signal as it is by default: whoever runs the tests may ignore some (`nohup`, or a shell that runs
/// them in the background), which children inherit and the program honours.
const LISTENING: [&str; 3] = ["env", "--default-signal=HUP,INT,QUIT,TERM", ORCHESTRATOR];

fn listening() -> Command {
    let [program, arguments @ ..] = LISTENING;
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// A run whose one activity holds a named pipe open: the pipe ends when the last of its processes does.
struct Run {
    child: Child,
    errors: BufReader<std::process::ChildStderr>,
    /// What the processes write, from behind their first line.
    pipe: BufReader<File>,
    /// Where the run may put its files.
    temporary: PathBuf,
    directory: tempfile::TempDir,
}

/// A run of a file that puts its files where it is told to, with no input, and with outputs to be read.
fn spawn(command: &mut Command, file: &Path, arguments: &[&str], temporary: &Path) -> Child {
    command.args(["run", file.to_str().unwrap()]).args(arguments).env("TMPDIR", temporary);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

impl Run {
    /// Starts it, and returns once its process runs.
    fn start(command: &mut Command, text: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, pipe) = (directory.path().join("run.yaml"), directory.path().join("pipe"));
        let temporary = directory.path().join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let go = directory.path().join("go");
        pipe_file(&pipe);
        pipe_file(&go);
        let text = format!("exec 9> {}; GO={}; {text}", pipe.display(), go.display());
        std::fs::write(&file, script(&text)).unwrap();
        let mut child = spawn(command, &file, arguments, &temporary);
        let errors = BufReader::new(child.stderr.take().unwrap());
        let pipe = within(move || {
            // Opens when the process has opened the other end.
            let mut pipe = BufReader::new(File::open(pipe).unwrap());
            let mut first = String::new();
            pipe.read_line(&mut first).unwrap();
            assert_eq!(first, "up\n");
            pipe
        });
        Self { child, errors, pipe, temporary, directory }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Reads what the run says until a line begins so.
    fn until_said(&mut self, beginning: &str) {
        let mut line = String::new();
        while !line.starts_with(beginning) {
            line.clear();
            assert!(self.errors.read_line(&mut line).unwrap() > 0, "it never said {beginning:?}");
        }
    }

    /// Waits for the end of the run and of all processes. The result is the exit status, what the processes wrote, and
    /// what stood on standard output and is left on standard error.
    fn end(self) -> (ExitStatus, String, String, String) {
        let Self { mut child, mut errors, mut pipe, temporary, directory: _directory } = self;
        within(move || {
            let (mut written, mut shown, mut said) = (String::new(), String::new(), String::new());
            child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
            errors.read_to_string(&mut said).unwrap();
            let status = child.wait().unwrap();
            pipe.read_to_string(&mut written).unwrap();
            let left: Vec<_> =
                std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(left.is_empty(), "{left:?}");
            (status, written, shown, said)
        })
    }
}

#[test]
fn a_signal_ends_what_runs_and_leaves_nothing_behind() {
    for (signal, code) in [(Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let run = Run::start(&mut listening(), HEARS, &[]);
        run.signal(signal);
        let (status, written, shown, said) = run.end();
        assert_eq!(status.code(), Some(code), "{said}");
        assert_eq!(written, "bye\n", "it was asked to end before it was made to");
        assert!(said.lines().any(|line| line == "interrupted; what still runs is ended"), "{said}");
        assert!(shown.starts_with("\nrun  one  Running  0/1"), "{shown}");
    }
}

#[test]
fn a_signal_is_heard_although_the_tests_were_started_without_it() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT TERM; exec \"$@\"", "sh"]).args(LISTENING);
    let run = Run::start(&mut command, HEARS, &[]);
    run.signal(Signal::INT);
    let (status, written, _, said) = run.end();
    assert_eq!((status.code(), written.as_str()), (Some(130), "bye\n"), "{said}");
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_end() {
    let mut run = Run::start(&mut listening(), DEAF, &[]);
    run.signal(Signal::INT);
    run.until_said("interrupted; ");
    run.signal(Signal::INT);
    let (status, written, _, said) = run.end();
    assert_eq!((status.code(), written.as_str()), (Some(130), ""), "{said}");
    assert_eq!(said, "interrupted while it ends; what still runs is killed\n");
}

#[test]
fn what_does_not_end_is_killed_after_its_grace_period() {
    let run = Run::start(&mut listening(), DEAF, &[]);
    run.signal(Signal::TERM);
    let (status, written, _, said) = run.end();
    assert_eq!((status.code(), written.as_str()), (Some(143), ""), "{said}");
    assert!(!said.contains("killed"), "{said}");
}

#[test]
fn when_time_is_up_what_runs_is_ended() {
    let run = Run::start(&mut listening(), HEARS, &["--timeout", "3s"]);
    let (status, written, _, said) = run.end();
    assert_eq!((status.code(), written.as_str()), (Some(3), "bye\n"), "{said}");
    assert!(said.lines().any(|line| line == "time is up; what still runs is ended"), "{said}");
}

#[test]
fn a_signal_that_was_to_be_ignored_is_ignored() {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", ORCHESTRATOR]);
    let run = Run::start(&mut command, WAITS, &[]);
    run.signal(Signal::HUP);
    let go = run.directory.path().join("go");
    within(move || std::fs::write(go, "go\n").unwrap());
    let (status, _, shown, said) = run.end();
    assert_eq!(status.code(), Some(0), "as nohup has it: {said}");
    assert!(shown.starts_with("\nrun  one  Succeeded  1/1"), "{shown}");
}

#[test]
fn a_signal_before_anything_is_made_is_heard() {
    let directory = tempfile::tempdir().unwrap();
    let (file, temporary) = (directory.path().join("run.yaml"), directory.path().join("temporary"));
    pipe_file(&file);
    std::fs::create_dir(&temporary).unwrap();
    let child = spawn(&mut listening(), &file, &[], &temporary);
    let id = Pid::from_child(&child);
    // Opens when the run has: it reads its files now, and there is no end of them.
    let writer = within(move || File::create(file).unwrap());
    kill_process(id, Signal::INT).unwrap();
    let output = within(move || child.wait_with_output().unwrap());
    drop(writer);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(130), "interrupted; nothing was run\n"));
    assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
}

#[test]
fn what_an_activity_waits_for_is_told_while_it_waits_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.yaml");
    let text = script("true")
        .replace("\"command\":", "\"envFrom\":[{\"configMapRef\":{\"name\":\"nope\"}}],\"command\":");
    std::fs::write(&file, text).unwrap();
    let mut child = listening()
        .args(["run", file.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = Pid::from_child(&child);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let expected = "CreateContainerConfigError: configmap \"nope\" not found";
    let told = within(move || lines.find(|line| line.contains(expected)));
    assert!(told.is_some_and(|line| line.contains("only") && line.contains("Running")));
    kill_process(id, Signal::INT).unwrap();
    let output = within(move || child.wait_with_output().unwrap());
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains(&format!("  only                     Running\n      {expected}\n")), "{shown}");
}
