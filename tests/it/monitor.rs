//! What a running operator shows of itself: health, metrics, and what becomes of whoever asks too much.

use std::net::SocketAddr;
use std::time::Duration;

use orchestrator::api::Orchestration;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::cluster::{PATIENCE, TestNamespace};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, fan_out, orchestration};
use crate::support::operator::service_account_token;
use crate::support::process::OperatorProcess;
use crate::support::scene::until;

mod rights;

/// An operator that shows itself on loopback, and where.
struct Shown {
    process: OperatorProcess,
    health: SocketAddr,
    metrics: SocketAddr,
}

impl Shown {
    async fn start(namespace: &TestNamespace) -> Self {
        Self::start_as(namespace, &service_account_token().await).await
    }

    /// Starts one that shows this token.
    async fn start_as(namespace: &TestNamespace, token: &str) -> Self {
        let flags = ["--health-address=127.0.0.1:0", "--metrics-address=127.0.0.1:0", "--log-format=json"];
        let process = OperatorProcess::start_as(namespace, "", &flags, token);
        let address = |serves: &str| {
            let log = process.log();
            let line = log.lines().find(|line| {
                line.contains("listening") && line.contains(&format!("\"serves\":\"{serves}\""))
            })?;
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["fields"]["address"].as_str().unwrap().parse::<SocketAddr>().ok()
        };
        let both =
            until("both addresses", || std::future::ready(address("health").zip(address("metrics")))).await;
        Self { health: both.0, metrics: both.1, process }
    }
}

/// Asks, and returns the head and the body of the answer.
async fn get(address: SocketAddr, path: &str, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

async fn is_ready(address: SocketAddr) {
    until("readiness", || async {
        get(address, "/readyz", "*/*").await.0.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

/// A figure of a scrape; zero if it is not there.
fn figure(scrape: &str, name: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_tells_that_it_is_ready_and_what_it_has_done() {
    let namespace = TestNamespace::new().await;
    let operator = Shown::start(&namespace).await;
    is_ready(operator.health).await;
    assert!(get(operator.health, "/livez", "*/*").await.0.starts_with("HTTP/1.1 200"));
    assert!(get(operator.health, "/metrics", "*/*").await.0.starts_with("HTTP/1.1 404"), "a port of its own");
    let _kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("three", 3)).await;
    namespace.definition_ready("three", "True", "Ready").await;
    namespace.create(orchestration("run", "three", json!({}))).await;
    namespace.finished("run").await;
    let expected = [
        ("orchestrator_leader", 1.0),
        ("orchestrator_orchestrations{state=\"Succeeded\"}", 1.0),
        ("orchestrator_orchestrations{state=\"Running\"}", 0.0),
        ("orchestrator_orchestration_duration_seconds_count{result=\"Succeeded\"}", 1.0),
        ("orchestrator_activity_duration_seconds_count{provider=\"job\",result=\"Succeeded\"}", 3.0),
        ("orchestrator_activity_start_delay_seconds_count", 3.0),
        ("orchestrator_reconcile_total{kind=\"Orchestration\",result=\"panic\"}", 0.0),
    ];
    // The server shows us the end before the operator has its answer, and its cache has it later still.
    let mut last = String::new();
    let shown = tokio::time::timeout(PATIENCE, async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            let (head, scrape) = get(operator.metrics, "/metrics", "*/*").await;
            let wrong = |(name, value): &&(&str, f64)| (figure(&scrape, name) - value).abs() >= f64::EPSILON;
            match expected.iter().find(wrong) {
                Some((name, value)) => last = format!("{name} is not {value}:\n{scrape}"),
                None => return (head, scrape),
            }
        }
    });
    let Ok((head, scrape)) = shown.await else { panic!("{last}") };
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    // One POST for each Job, the revision and the Events; the election is off.
    assert!(
        figure(&scrape, "orchestrator_api_requests_total{verb=\"POST\",code=\"201\"}") >= 5.0,
        "{scrape}"
    );
    assert!(
        figure(&scrape, "orchestrator_reconcile_total{kind=\"Orchestration\",result=\"success\"}") >= 2.0
    );
    assert!(!scrape.contains(&namespace.name), "no label has a value of users");
    let (head, open) = get(operator.metrics, "/metrics", "application/openmetrics-text; version=1.0.0").await;
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(open.ends_with("# EOF\n"));
    assert_eq!(operator.process.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_the_ports_leaves_health_and_work_alone() {
    let namespace = TestNamespace::new().await;
    let operator = Shown::start(&namespace).await;
    is_ready(operator.health).await;
    let before = operator.process.memory("VmRSS");
    let mut idle = Vec::new();
    for number in 0..300 {
        for address in [operator.metrics, operator.health] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                // The head of a request that never ends. Who came too early may have been sent away.
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await;
            }
            idle.push(stream);
        }
    }
    for _ in 0..20 {
        assert!(get(operator.health, "/livez", "*/*").await.0.starts_with("HTTP/1.1 200"));
    }
    namespace.create(activity_definition("step")).await;
    namespace.activity_ready("step", "True").await;
    let after = operator.process.memory("VmRSS");
    println!("memory before the flood {before} KiB, in it {after} KiB");
    assert!(after < before + 32 * 1024, "{before} KiB, then {after} KiB");
    // Whoever holds a connection and sends nothing gives way to the others.
    let (head, _) = get(operator.metrics, "/metrics", "*/*").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop(idle);
    // A head without an end is refused, however it comes.
    let mut stream = TcpStream::connect(operator.metrics).await.unwrap();
    let endless = [b"GET /metrics HTTP/1.1\r\n".as_slice(), &b"a: b\r\n".repeat(10_000)].concat();
    let _ = stream.write_all(&endless).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(operator.process.terminate().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_two_namespaces_works_in_both_and_nowhere_else() {
    let (one, two, other) =
        (TestNamespace::new().await, TestNamespace::new().await, TestNamespace::new().await);
    let flag = format!("--namespace={}", two.name);
    let operator = OperatorProcess::start_with(&one, "", &[&flag]).await;
    for namespace in [&other, &one, &two] {
        namespace.create(activity_definition("step")).await;
    }
    one.activity_ready("step", "True").await;
    two.activity_ready("step", "True").await;
    other.create(orchestration("run", "none", json!({}))).await;
    let untouched = other.api::<Orchestration>().get("run").await.unwrap();
    assert_eq!(untouched.status, None);
    assert_eq!(operator.terminate().await.code(), Some(0));
    let definitions = other.api::<orchestrator::api::ActivityDefinition>();
    assert_eq!(definitions.get("step").await.unwrap().status, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_an_operator_from_starting_is_one_line_with_a_hint() {
    let binary = env!("CARGO_BIN_EXE_orchestrator");
    let run = |arguments: &[&str], kubeconfig: &str| {
        let output = std::process::Command::new(binary)
            .arg("controller")
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(!said.contains("stack backtrace") && !said.contains("panicked"), "{said}");
        said
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = run(&[&format!("--metrics-address={address}")], "/nowhere");
    assert!(told.contains(&format!("cannot listen on {address}: Address already in use")), "{told}");
    let told = run(&[], "/nowhere");
    assert!(told.contains("cannot connect to a cluster: ") && told.contains("set KUBECONFIG to"), "{told}");
    assert_eq!((told.trim().lines().count(), told.matches("/nowhere").count()), (1, 1), "{told}");
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("kubeconfig");
    std::fs::write(&broken, "not: [yaml").unwrap();
    let told = run(&[], &broken.to_string_lossy());
    assert!(told.contains("cannot connect to a cluster: ") && told.contains("set KUBECONFIG to"), "{told}");
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    let told = run(&["--log-level=bogus"], "/nowhere");
    assert!(told.contains("\"bogus\" must be error, warn, info"), "{told}");
    let told = run(&["--namespace=Not_One"], "/nowhere");
    assert!(
        told.contains("must be a namespace: lower-case letters, digits and dashes, at most 63"),
        "{told}"
    );
    let told = run(&["--concurency=3"], "/nowhere");
    assert!(told.contains("--concurrency"), "{told}");
}
