//! Real processes, the badly behaved ones too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A directory of a test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("orchestrator-process-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn launch(&self, command: &[&str]) -> Launch {
        let path = "/usr/local/bin:/usr/bin:/bin".to_owned();
        Launch {
            container: "main".to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            variables: BTreeMap::from([("PATH".to_owned(), path), ("OWN".to_owned(), "1 2".to_owned())]),
            directory: self.0.clone(),
            message: self.0.join("message"),
            log_is_message: false,
            log: self.0.join("main.log"),
        }
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn script(text: &str) -> [&str; 3] {
    ["sh", "-c", text]
}

async fn run(scratch: &Scratch, command: &[&str]) -> Result<i32, String> {
    let launch = scratch.launch(command);
    let (_sender, stop) = watch::channel(None);
    let process = start(&launch).await?;
    let end = process.end(&launch, 1_000_000, stop);
    Ok(tokio::time::timeout(Duration::from_secs(60), end).await.expect("it ends"))
}

#[tokio::test]
async fn exit_codes_and_signals_are_those_of_a_runtime() {
    let scratch = Scratch::new();
    let cases = [
        (vec!["true"], Ok(0)),
        (script("exit 3").to_vec(), Ok(3)),
        (script("kill -TERM $$").to_vec(), Ok(143)),
        (script("kill -KILL $$").to_vec(), Ok(137)),
        (script("kill -SEGV $$").to_vec(), Ok(139)),
        (script("no-such-program-1").to_vec(), Ok(127)),
        (vec!["no-such-program-2"], Err("exec: \"no-such-program-2\": executable file not found in $PATH")),
        (vec!["/no/such"], Err("exec: \"/no/such\": stat /no/such: no such file or directory")),
        (vec!["/"], Err("exec: \"/\": permission denied")),
        (vec!["/etc/passwd"], Err("exec: \"/etc/passwd\": permission denied")),
        (vec![""], Err("exec: \"\": executable file not found in $PATH")),
    ];
    for (command, expected) in cases {
        assert_eq!(run(&scratch, &command).await, expected.map_err(str::to_owned), "{command:?}");
    }
    let huge = "x".repeat(3_000_000);
    assert_eq!(
        run(&scratch, &["true", &huge]).await,
        Err("exec: \"true\": argument list too long".to_owned())
    );
    assert!(run(&scratch, &["true", "a\0b"]).await.unwrap_err().contains("nul byte"));
}

#[tokio::test]
async fn the_environment_is_what_is_said_and_nothing_more() {
    let scratch = Scratch::new();
    assert_eq!(
        run(
            &scratch,
            &script("env | cut -d= -f1 | sort | tr '\\n' ' '; echo \"$OWN\"; pwd; cat; echo e >&2")
        )
        .await,
        Ok(0)
    );
    let directory = scratch.0.display();
    assert_eq!(scratch.read("main.log"), format!("OWN PATH PWD 1 2\n{directory}\ne\n"));
}

#[tokio::test]
async fn a_program_that_was_just_written_runs() {
    let scratch = Scratch::new();
    for number in 0..20 {
        let path = scratch.0.join(format!("program-{number}"));
        std::fs::write(&path, "#!/bin/sh\nexit 4\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(run(&scratch, &[path.to_str().unwrap()]).await, Ok(4));
    }
}

/// Whether a process group has a member that is alive.
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        // Files and processes tell nobody: they must be looked at.
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while !holds() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it becomes so");
}

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let scratch = Scratch::new();
    // The child holds the output open, ignores SIGTERM, and is nobody's child any more.
    let text = "(trap '' TERM HUP; echo up > up; exec sleep 1000) & echo $! > id; while [ ! -s up ]; do :; done; exit 5";
    let started = Instant::now();
    assert_eq!(run(&scratch, &script(text)).await, Ok(5));
    assert!(started.elapsed() < Duration::from_secs(30));
    let id = scratch.read("id").trim().to_owned();
    until(|| !is_alive(&id)).await;
}

#[tokio::test]
async fn a_process_that_leaves_the_group_does_not_hold_up_the_end() {
    let scratch = Scratch::new();
    let text = "setsid sh -c 'echo $$ > id; exec sleep 1000' & while [ ! -s id ]; do :; done; exit 6";
    assert_eq!(run(&scratch, &script(text)).await, Ok(6));
    let id = scratch.read("id").trim().to_owned();
    let _ = std::process::Command::new("kill").args(["-KILL", &id]).status();
}

#[tokio::test]
async fn a_process_that_closes_its_output_is_waited_for() {
    let scratch = Scratch::new();
    assert_eq!(run(&scratch, &script("echo before; exec >&- 2>&-; echo x > done; exit 7")).await, Ok(7));
    assert_eq!(scratch.read("done"), "x\n");
    assert_eq!(scratch.read("main.log"), "before\n");
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_leave_the_end_of_it() {
    let scratch = Scratch::new();
    assert_eq!(
        run(&scratch, &script("head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo last words >&2")).await,
        Ok(0)
    );
    let size = |name: &str| std::fs::metadata(scratch.0.join(name)).unwrap().len();
    assert!(size("main.log") + size("main.log.1") <= 1_000_000);
    let tail = log::tail(&scratch.0.join("main.log"), 100_000).await.unwrap();
    assert!(tail.ends_with("xxx\nlast words\n") && tail.len() == 100_000);
}

#[tokio::test]
async fn who_is_asked_to_end_may_say_with_what_code() {
    let scratch = Scratch::new();
    let launch =
        scratch.launch(&script("trap 'echo bye; exit 9' TERM; echo up > up; while :; do sleep 0.01; done"));
    let (sender, stop) = watch::channel(None);
    let process = start(&launch).await.unwrap();
    let ask = async {
        until(|| !scratch.read("up").is_empty()).await;
        sender.send_replace(Some(Stop { kill_at: Instant::now() + Duration::from_secs(60) }));
    };
    let (code, ()) = tokio::join!(process.end(&launch, 1000, stop), ask);
    assert_eq!(code, 9);
    // The whole group was asked, and a shell may say that its child has ended.
    assert!(scratch.read("main.log").ends_with("bye\n"), "{}", scratch.read("main.log"));
}

#[tokio::test]
async fn who_ignores_that_is_killed_and_all_of_the_group() {
    let scratch = Scratch::new();
    let launch = scratch.launch(&script("trap '' TERM; sleep 1000 & echo $! > id; wait; wait; sleep 1000"));
    let (sender, stop) = watch::channel(None);
    let process = start(&launch).await.unwrap();
    let ask = async {
        until(|| !scratch.read("id").is_empty()).await;
        sender.send_replace(Some(Stop { kill_at: Instant::now() + Duration::from_secs(60) }));
        // Sooner than was said first.
        sender.send_replace(Some(Stop { kill_at: Instant::now() + Duration::from_millis(100) }));
    };
    let (code, ()) = tokio::join!(process.end(&launch, 1000, stop), ask);
    assert_eq!(code, 137);
    let id = scratch.read("id").trim().to_owned();
    until(|| !is_alive(&id)).await;
}

#[tokio::test]
async fn a_process_ends_when_its_value_goes() {
    let scratch = Scratch::new();
    let launch = scratch.launch(&script("trap '' TERM; echo $$ > id; while :; do sleep 0.01; done"));
    let process = start(&launch).await.unwrap();
    until(|| !scratch.read("id").is_empty()).await;
    drop(process);
    let id = scratch.read("id").trim().to_owned();
    until(|| !is_alive(&id)).await;
}
