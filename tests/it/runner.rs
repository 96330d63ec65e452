//! The kubelet's role of the embedded mode on the real control plane: real pods, real Jobs, the real operator, and
//! local processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStateTerminated, Node, Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Client, Config, client::ClientBuilder};
use orchestrator::api::orchestration::OrchestrationStatus;
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::clock::SystemClock;
use orchestrator::embedded::job;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::runner::{self, Claim, Settings, log};
use orchestrator::embedded::server::Server;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::cluster::{PATIENCE, TestNamespace, cluster};
use crate::support::operator::Operator;
use crate::support::recording::Recording;

const SCHEDULER: &str = "orchestrator-runner";

/// A runner for one namespace.
struct Runner {
    settings: Settings,
    requests: Recording,
    shutdown: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Runner {
    async fn start(namespace: &TestNamespace, change: impl FnOnce(&mut Settings)) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("orchestrator-runner-{}-{number}", std::process::id()));
        let mut settings = Settings::new(&directory);
        settings.namespace = Some(namespace.name.clone());
        settings.claim = Claim::Scheduler(SCHEDULER.to_owned());
        settings.keep_logs = true;
        settings.variables = vec![("PATH".to_owned(), std::env::var("PATH").unwrap())];
        change(&mut settings);
        let requests = Recording::default();
        let config: Config = orchestrator::client::prepare(cluster().admin().await);
        let client: Client = ClientBuilder::try_from(config).unwrap().with_layer(&requests).build();
        let (shutdown, receiver) = watch::channel(false);
        let given = settings.clone();
        let task = tokio::spawn(async move {
            runner::run(client, Arc::new(SystemClock), given, receiver).await.unwrap();
        });
        // Pods are refused before their ServiceAccount is there.
        namespace.until::<ServiceAccount>("default", |_| true).await;
        Self { settings, requests, shutdown, task: Some(task) }
    }

    /// Ends it, and returns when it has ended.
    async fn stop(&mut self) {
        self.shutdown.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task.take().unwrap()).await.expect("it ends").unwrap();
    }

    fn left_behind(&self) -> Vec<PathBuf> {
        let pods = std::fs::read_dir(self.settings.directory.join("pods"));
        pods.map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        let _ = std::fs::remove_dir_all(&self.settings.directory);
    }
}

/// A pod of one container `main` with more in the container and in the spec.
fn pod(name: &str, container: Value, spec: Value) -> Value {
    let mut main = json!({"name": "main", "image": "busybox:1"});
    for (key, value) in container.as_object().unwrap() {
        main[key] = value.clone();
    }
    let mut whole = json!({
        "schedulerName": SCHEDULER, "restartPolicy": "Never", "automountServiceAccountToken": false,
        "containers": [main],
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole})
}

fn script(text: &str) -> Value {
    json!({"command": ["sh", "-c", text], "terminationMessagePath": "/out/message"})
}

/// The message file of a container whose script gets it as `$0`.
fn telling(text: &str) -> Value {
    json!({"command": ["sh", "-c", text, "/out/message"], "terminationMessagePath": "/out/message"})
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

fn terminated(pod: &Pod, container: &str) -> ContainerStateTerminated {
    let status = pod.status.as_ref().unwrap();
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let found = all.into_iter().find(|status| status.name == container).unwrap();
    found.state.clone().unwrap().terminated.unwrap_or_else(|| panic!("{container} has not ended: {pod:?}"))
}

async fn run(namespace: &TestNamespace, pod: Value) -> Pod {
    let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
    namespace.create_as::<Pod>(pod).await.unwrap();
    namespace.until(&name, has_ended).await
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        // Files and processes tell nobody: they must be looked at.
        let mut looks = tokio::time::interval(Duration::from_millis(5));
        while !holds() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it becomes so");
}

fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_a_process_is_told_as_a_kubelet_tells_it_and_touches_no_other() {
    let namespace = TestNamespace::new().await;
    let mut runner = Runner::start(&namespace, |settings| settings.log_limit = 1_000_000).await;
    let million = "x".repeat(4096);
    let cases = [
        ("well", telling("echo '{\"a\":1}' > $0"), "Succeeded", 0, "Completed", "{\"a\":1}\n"),
        ("code", telling("echo no > $0; exit 3"), "Failed", 3, "Error", "no\n"),
        ("signal", script("kill -KILL $$$$"), "Failed", 137, "Error", ""),
        ("shell", script("no-such-program"), "Failed", 127, "Error", ""),
        (
            "nothing",
            json!({"command": ["no-such-program"]}),
            "Failed",
            128,
            "StartError",
            "exec: \"no-such-program\": executable file not found in $PATH",
        ),
        (
            "image",
            json!({"args": ["x"]}),
            "Failed",
            128,
            "ImageNotRun",
            "container main has no command, and its image busybox:1 is not run here: activities run as local processes; \
             give the container a command",
        ),
        (
            "long",
            telling("head -c 1000000 /dev/zero | tr '\\0' x > $0"),
            "Succeeded",
            0,
            "Completed",
            &million,
        ),
        ("not-a-file", telling("rm $0; mkfifo $0"), "Succeeded", 0, "Completed", ""),
        ("loud", script("head -c 100000000 /dev/zero | tr '\\0' x; exit 4"), "Failed", 4, "Error", ""),
        ("silent", telling("exec >&- 2>&-; echo done > $0"), "Succeeded", 0, "Completed", "done\n"),
        (
            "forks",
            telling("(trap '' TERM HUP; exec sleep 1000) & echo $! > $0; exit 5"),
            "Failed",
            5,
            "Error",
            "-",
        ),
    ];
    let ends =
        cases.iter().map(|(name, container, ..)| run(&namespace, pod(name, container.clone(), json!({}))));
    let ends = futures::future::join_all(ends).await;
    for (end, (name, _, expected_phase, code, reason, message)) in ends.iter().zip(&cases) {
        let main = terminated(end, "main");
        let found = (phase(end), main.exit_code, main.reason.as_deref().unwrap());
        assert_eq!(found, (*expected_phase, *code, *reason), "{name}: {main:?}");
        let said = main.message.unwrap_or_default();
        if *message == "-" {
            until(|| !is_alive(said.trim())).await;
        } else {
            assert_eq!(said, *message, "{name}");
        }
        assert_eq!(main.started_at.unwrap().0.as_second() == 0, *code == 128, "{name}");
    }
    let size = |suffix: &str| {
        let path = runner.settings.log(&ends[8], "main").unwrap();
        std::fs::metadata(format!("{}{suffix}", path.display())).unwrap().len()
    };
    assert!(size("") + size(".1") <= 1_000_000);
    runner.stop().await;
    assert!(runner.left_behind().is_empty(), "{:?}", runner.left_behind());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_volumes_and_several_containers_are_provided() {
    let namespace = TestNamespace::new().await;
    let runner = Runner::start(&namespace, |_| {}).await;
    namespace
        .create_as::<Secret>(json!({"metadata": {"name": "s"}, "stringData": {"password": "p w"}}))
        .await
        .unwrap();
    let spec = json!({
        "volumes": [
            {"name": "shared", "emptyDir": {}},
            {"name": "late", "configMap": {"name": "late"}},
            {"name": "self", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        ],
        "initContainers": [
            {"name": "one", "image": "x", "command": ["sh", "-c", "echo one >> /shared/order"], "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
            {"name": "two", "image": "x", "command": ["sh", "-c", "echo two >> $0/order", "/shared"], "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]},
        ],
    });
    let container = json!({
        "command": ["sh", "-c"],
        "args": ["set -e; while [ ! -e /shared/other ]; do sleep 0.01; done; { cat /shared/order \"$FILE\" /self/labels; echo; echo \"$PASSWORD,$NAME,$LABEL,$(NAME),\"'$$(NAME)'; } > $0; echo said", "/out/m"],
        "terminationMessagePath": "/out/m",
        "env": [
            {"name": "FILE", "value": "/late/key"},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
        ],
        "volumeMounts": [
            {"name": "shared", "mountPath": "/shared"}, {"name": "late", "mountPath": "/late"}, {"name": "self", "mountPath": "/self"},
        ],
    });
    let mut whole = pod("p", container, spec);
    whole["metadata"]["labels"] = json!({"app": "x"});
    let other = json!({
        "name": "other", "image": "x", "command": ["touch", "/shared/other"],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    });
    whole["spec"]["containers"].as_array_mut().unwrap().push(other);
    namespace.create_as::<Pod>(whole).await.unwrap();
    let waits = |pod: &Pod| {
        let status = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let waiting = status.and_then(|all| all[0].state.clone()).and_then(|state| state.waiting);
        waiting.is_some_and(|waiting| {
            waiting.reason.as_deref() == Some("CreateContainerConfigError")
                && waiting.message.unwrap()
                    == "MountVolume.SetUp failed for volume \"late\" : configmap \"late\" not found"
        })
    };
    namespace.until("p", waits).await;
    namespace
        .create_as::<ConfigMap>(json!({"metadata": {"name": "late"}, "data": {"key": "value\n"}}))
        .await
        .unwrap();
    let end = namespace.until("p", has_ended).await;
    assert_eq!(phase(&end), "Succeeded", "{end:?}");
    assert_eq!(terminated(&end, "main").message.unwrap(), "one\ntwo\nvalue\napp=\"x\"\np w,p,x,p,$(NAME)\n");
    assert_eq!(["one", "two", "other"].map(|name| terminated(&end, name).exit_code), [0, 0, 0]);
    let path = runner.settings.log(&end, "main").unwrap();
    assert_eq!(log::tail(&path, 100).await.unwrap(), "said\n");

    let spec = json!({"initContainers": [{"name": "first", "image": "x", "command": ["false"]}]});
    let end = run(&namespace, pod("init-fails", json!({"command": ["true"]}), spec)).await;
    assert_eq!((phase(&end), terminated(&end, "first").exit_code), ("Failed", 1));
    assert!(end.status.unwrap().container_statuses.unwrap()[0].state.as_ref().unwrap().waiting.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_pod_costs_one_write_and_no_more_run_than_may() {
    let namespace = TestNamespace::new().await;
    let runner = Runner::start(&namespace, |settings| settings.parallel = 2).await;
    let name = |number: usize| format!("p-{number}");
    let directory = runner.settings.directory.join("counted");
    std::fs::create_dir_all(&directory).unwrap();
    let count = directory.display();
    // Each makes a file, counts all files, and removes its own.
    let text = format!("touch {count}/$0; ls {count} | wc -l > /out/message; rm {count}/$0");
    let pods = (0..30).map(|number| {
        let container =
            json!({"command": ["sh", "-c", text, name(number)], "terminationMessagePath": "/out/message"});
        run(&namespace, pod(&name(number), container, json!({})))
    });
    let ends = futures::future::join_all(pods).await;
    let most =
        ends.iter().map(|end| terminated(end, "main").message.unwrap().trim().parse::<u32>().unwrap()).max();
    assert!(most <= Some(2), "{most:?} at a time");
    let writes = runner.requests.count_that(|one| one.method != "GET");
    println!("{writes} writes for 30 pods");
    assert!(writes <= 60, "{writes} writes");
    assert!(runner.left_behind().is_empty());
}

/// A node that the runner plays, so that the API server waits for the end of its pods.
struct NodeOf(Api<Node>, String);

impl NodeOf {
    async fn create(namespace: &TestNamespace) -> Self {
        let nodes: Api<Node> = Api::all(namespace.client.clone());
        let name = format!("runner-{}", namespace.name);
        let node =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"unschedulable": true}}))
                .unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        Self(nodes, name)
    }

    async fn delete(self) {
        self.0.delete(&self.1, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_deadline_and_suspension_end_processes_with_grace() {
    let namespace = TestNamespace::new().await;
    let node = NodeOf::create(&namespace).await;
    let node_name = node.1.clone();
    let runner = Runner::start(&namespace, |settings| settings.claim = Claim::Node(node_name.clone())).await;
    let on_node = |grace: u64| json!({"schedulerName": null, "nodeName": node.1, "terminationGracePeriodSeconds": grace});
    let pods: Api<Pod> = namespace.api();
    let is_running = |pod: &Pod| phase(pod) == "Running";
    let waits = "trap 'echo bye > $0; exit 9' TERM; echo up > $0; while :; do sleep 0.01; done";
    let ignores = "trap '' TERM; echo $$$$ > $0; while :; do sleep 0.01; done";
    // A Job's finalizer keeps the pod until it has been seen.
    let kept = |name: &str, text: &str, grace: u64| {
        let mut pod = pod(name, telling(text), on_node(grace));
        pod["metadata"]["finalizers"] = json!(["example.com/kept"]);
        pod
    };
    let ends = [("waits", waits, 60, 9, "bye\n"), ("ignores", ignores, 1, 137, "-")];
    for (name, text, grace, code, message) in ends {
        namespace.create_as::<Pod>(kept(name, text, grace)).await.unwrap();
        namespace.until(name, is_running).await;
        let file = |pod: &Pod| {
            let directory = runner.settings.directory.join("pods").join(pod.metadata.uid.as_ref().unwrap());
            directory.join("message.main.message")
        };
        let pod = pods.get(name).await.unwrap();
        until(|| !read(&file(&pod)).is_empty()).await;
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        let end = namespace.until(name, has_ended).await;
        let main = terminated(&end, "main");
        assert_eq!((phase(&end), main.exit_code), ("Failed", code), "{name}");
        if message != "-" {
            assert_eq!(main.message.as_deref(), Some(message), "{name}");
        }
        let unkept = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        pods.patch(name, &PatchParams::default(), &unkept).await.unwrap();
        let wait = await_condition(pods.clone(), name, |pod: Option<&Pod>| pod.is_none());
        tokio::time::timeout(PATIENCE, wait).await.expect("the runner lets it go").unwrap();
    }

    let mut spec = on_node(1);
    spec["activeDeadlineSeconds"] = 1.into();
    let end = run(&namespace, pod("late", script(ignores), spec)).await;
    let status = end.status.clone().unwrap();
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(
        status.message.as_deref(),
        Some("Pod was active on the node longer than the specified deadline")
    );
    assert_eq!((phase(&end), terminated(&end, "main").exit_code), ("Failed", 137));

    // A real Job that is suspended: its pod ends with grace, and then nothing of it is active or terminating.
    let template = pod("x", telling(waits), on_node(60))["spec"].clone();
    let job = json!({"metadata": {"name": "job"}, "spec": {"template": {"spec": template}, "podReplacementPolicy": "Failed"}});
    namespace.create_as::<Job>(job).await.unwrap();
    namespace
        .until("job", |job: &Job| job.status.as_ref().is_some_and(|status| status.ready == Some(1)))
        .await;
    let patch = Patch::Merge(json!({"spec": {"suspend": true}}));
    namespace.api::<Job>().patch("job", &PatchParams::default(), &patch).await.unwrap();
    namespace
        .until("job", |job: &Job| {
            let status = job.status.clone().unwrap_or_default();
            let is_suspended = status
                .conditions
                .iter()
                .flatten()
                .any(|one| one.type_ == "Suspended" && one.status == "True");
            is_suspended && status.active.is_none() && status.terminating == Some(0)
        })
        .await;
    until(|| runner.left_behind().is_empty()).await;
    node.delete().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_runner_ends_all_processes_and_says_so() {
    let namespace = TestNamespace::new().await;
    let shared = std::env::temp_dir().join(format!("orchestrator-ids-{}", namespace.name));
    std::fs::create_dir_all(&shared).unwrap();
    let text = format!("trap '' TERM; echo $$$$ > {}/$0; while :; do sleep 0.01; done", shared.display());
    let held = |name: &str| pod(name, json!({"command": ["sh", "-c", text, name]}), json!({}));
    let id = |name: &str| read(&shared.join(name)).trim().to_owned();

    let mut runner = Runner::start(&namespace, |settings| {
        settings.shutdown_grace = Duration::from_millis(100);
        settings.parallel = 1;
    })
    .await;
    namespace.create_as::<Pod>(held("runs")).await.unwrap();
    until(|| !id("runs").is_empty()).await;
    // There is no place for this one.
    namespace.create_as::<Pod>(held("waits")).await.unwrap();
    runner.stop().await;
    assert!(!is_alive(&id("runs")));
    let end = namespace.until("runs", has_ended).await;
    let status = end.status.clone().unwrap();
    assert_eq!((status.reason.as_deref(), terminated(&end, "main").exit_code), (Some("Terminated"), 137));
    assert!(
        status.conditions.unwrap().iter().any(|one| one.type_ == "DisruptionTarget" && one.status == "True")
    );
    assert!(runner.left_behind().is_empty());

    assert_eq!(
        phase(&namespace.api::<Pod>().get("waits").await.unwrap()),
        "Pending",
        "the next runner may take it"
    );

    // A crash: the future goes, and the processes with it. The next runner cannot know how they ended.
    namespace.api::<Pod>().delete("waits", &DeleteParams::default()).await.unwrap();
    let crashed = Runner::start(&namespace, |_| {}).await;
    namespace.create_as::<Pod>(held("crashed")).await.unwrap();
    namespace.until("crashed", |pod: &Pod| phase(pod) == "Running").await;
    until(|| !id("crashed").is_empty()).await;
    drop(crashed);
    until(|| !is_alive(&id("crashed"))).await;
    let _next = Runner::start(&namespace, |_| {}).await;
    let end = namespace.until("crashed", has_ended).await;
    assert_eq!(terminated(&end, "main").reason.as_deref(), Some("ContainerStatusUnknown"));
    std::fs::remove_dir_all(shared).unwrap();
}

/// The documents of the tenant sample, their pods for a scheduler.
fn sample(scheduler: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples/tenant");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let documents = files
        .iter()
        .map(|file| serde_saphyr::from_str::<Value>(&std::fs::read_to_string(file).unwrap()).unwrap());
    let mut documents: Vec<Value> = documents.collect();
    for document in &mut documents {
        if document["kind"] == "ActivityDefinition" {
            document["spec"]["job"]["template"]["spec"]["schedulerName"] = scheduler.into();
        }
    }
    documents
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_sample_runs_as_local_processes() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let mut runner = Runner::start(&namespace, |_| {}).await;
    for document in sample(SCHEDULER) {
        namespace.create(document).await;
    }
    let finished = namespace.finished("tenant-a").await.status.unwrap();
    assert_eq!(finished.state.as_deref(), Some("Succeeded"), "{finished:?}");
    let output = Value::Object(finished.output.unwrap());
    assert_eq!(output["url"], "https://a.example.com/", "{output}");
    assert_eq!(output["did"], "did:web:a.example.com", "{output}");
    operator.stop().await;
    runner.stop().await;
    assert!(runner.left_behind().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activity_that_cannot_run_here_says_why() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _runner = Runner::start(&namespace, |_| {}).await;
    let spec = json!({"schedulerName": SCHEDULER, "containers": [{"name": "main", "image": "dns:1"}]});
    namespace
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "image"},
            "spec": {"job": {"template": {"spec": spec}}},
        }))
        .await;
    namespace
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "image"},
            "spec": {"activities": [{"id": "only", "type": "image"}]},
        }))
        .await;
    namespace
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "run"},
            "spec": {"type": "image"},
        }))
        .await;
    let finished = namespace.finished("run").await.status.unwrap();
    assert_eq!(finished.state.as_deref(), Some("Failed"));
    let message = finished.activities["only"].message.clone().unwrap();
    println!("{message}");
    assert!(message.contains("ImageNotRun") && message.contains("image dns:1 is not run here"), "{message}");
    operator.stop().await;
}

/// The whole of the embedded mode: server, operator and both roles in this process.
struct Embedded {
    client: Client,
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    runner: Option<JoinHandle<()>>,
    directory: PathBuf,
}

impl Embedded {
    fn start(name: &str) -> Self {
        let clock = Arc::new(SystemClock);
        let mut builder = Server::builder(clock.clone());
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            builder = builder
                .definition(Definition::compile(&serde_saphyr::from_str::<Value>(&text).unwrap()).unwrap());
        }
        let client = builder.build().client();
        let (shutdown, receiver) = watch::channel(false);
        let directory =
            std::env::temp_dir().join(format!("orchestrator-embedded-{name}-{}", std::process::id()));
        let mut settings = Settings::new(&directory);
        settings.variables = vec![("PATH".to_owned(), std::env::var("PATH").unwrap())];
        let jobs = job::Settings { node_name: Some("localhost".to_owned()), ..job::Settings::default() };
        let operator = orchestrator::config::Settings::default();
        let tasks = vec![
            tokio::spawn(orchestrator::app::run(client.clone(), clock.clone(), operator, receiver.clone())),
            tokio::spawn(job::run(client.clone(), clock.clone(), jobs, receiver.clone())),
        ];
        let given = client.clone();
        let runner =
            tokio::spawn(async move { runner::run(given, clock, settings, receiver).await.unwrap() });
        Self { client, shutdown, tasks, runner: Some(runner), directory }
    }

    async fn create(&self, object: Value) {
        async fn create<K>(client: &Client, object: Value)
        where
            K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
                + Clone
                + std::fmt::Debug
                + serde::Serialize
                + serde::de::DeserializeOwned,
        {
            let object: K = serde_json::from_value(object).unwrap();
            Api::<K>::default_namespaced(client.clone())
                .create(&PostParams::default(), &object)
                .await
                .unwrap();
        }
        match object["kind"].as_str() {
            Some("ActivityDefinition") => create::<ActivityDefinition>(&self.client, object).await,
            Some("OrchestrationDefinition") => create::<OrchestrationDefinition>(&self.client, object).await,
            _ => create::<Orchestration>(&self.client, object).await,
        }
    }

    async fn finished(&self, name: &str) -> OrchestrationStatus {
        let api: Api<Orchestration> = Api::default_namespaced(self.client.clone());
        let is_finished = |found: Option<&Orchestration>| {
            found.and_then(|one| one.status.as_ref()).is_some_and(|status| status.completion_time.is_some())
        };
        match tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, is_finished)).await {
            Ok(found) => found.unwrap().unwrap().status.unwrap(),
            Err(_) => panic!("{name} has not finished: {:?}", api.get(name).await.unwrap().status),
        }
    }

    async fn stop(mut self) {
        self.shutdown.send_replace(true);
        tokio::time::timeout(PATIENCE, self.runner.take().unwrap()).await.expect("it ends").unwrap();
        for task in self.tasks.drain(..) {
            tokio::time::timeout(PATIENCE, task).await.expect("it ends").unwrap();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.tasks.iter().chain(&self.runner).for_each(JoinHandle::abort);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_sample_runs_on_the_embedded_server() {
    let embedded = Embedded::start("tenant");
    let started = std::time::Instant::now();
    for document in sample("default-scheduler") {
        embedded.create(document).await;
    }
    let finished = embedded.finished("tenant-a").await;
    println!("the tenant sample took {:?}", started.elapsed());
    assert_eq!(finished.state.as_deref(), Some("Succeeded"), "{finished:?}");
    assert_eq!(finished.output.unwrap()["url"], "https://a.example.com/");
    let jobs: Api<Job> = Api::default_namespaced(embedded.client.clone());
    for job in jobs.list(&kube::api::ListParams::default()).await.unwrap() {
        let status = job.status.unwrap();
        let types: Vec<String> =
            status.conditions.unwrap().into_iter().map(|condition| condition.type_).collect();
        assert_eq!(types, ["SuccessCriteriaMet", "Complete"]);
        assert_eq!((status.succeeded, status.terminating), (Some(1), Some(0)));
    }
    embedded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_activities_run_on_the_embedded_server() {
    let embedded = Embedded::start("many");
    let spec = json!({"containers": [{"name": "main", "image": "none", "command": ["true"]}]});
    embedded
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "noop"},
            "spec": {"job": {"template": {"spec": spec}}},
        }))
        .await;
    let number = 200;
    let activities: Vec<Value> =
        (0..number).map(|index| json!({"id": format!("a-{index}"), "type": "noop"})).collect();
    embedded
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "many"},
            "spec": {"activities": activities},
        }))
        .await;
    let started = std::time::Instant::now();
    embedded
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "many"},
            "spec": {"type": "many"},
        }))
        .await;
    let finished = embedded.finished("many").await;
    let rate = f64::from(number) / started.elapsed().as_secs_f64();
    println!("{number} activities of one Orchestration, unoptimised: {rate:.0} a second");
    assert_eq!(finished.progress.as_deref(), Some("200/200"));
    embedded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_job_ends_its_process_on_the_embedded_server() {
    let embedded = Embedded::start("suspended");
    let mut template =
        pod("x", script("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done"), json!({}))["spec"]
            .clone();
    template["schedulerName"] = Value::Null;
    template["terminationGracePeriodSeconds"] = 60.into();
    let job = json!({"metadata": {"name": "job"}, "spec": {
        "template": {"spec": template}, "podReplacementPolicy": "Failed", "backoffLimit": 0,
        "completions": 1, "parallelism": 1,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}}]},
    }});
    let jobs: Api<Job> = Api::default_namespaced(embedded.client.clone());
    jobs.create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap();
    let until = async |holds: fn(&JobStatus) -> bool| {
        let holds = |job: Option<&Job>| job.and_then(|job| job.status.as_ref()).is_some_and(holds);
        let wait = tokio::time::timeout(PATIENCE, await_condition(jobs.clone(), "job", holds)).await;
        wait.expect("it becomes so").unwrap().unwrap()
    };
    until(|status| status.ready == Some(1)).await;
    let suspend = async |value: bool| {
        let patch = Patch::Merge(json!({"spec": {"suspend": value}}));
        jobs.patch("job", &PatchParams::default(), &patch).await.unwrap();
    };
    suspend(true).await;
    let stopped = until(|status| {
        status.active.is_none() && status.terminating == Some(0) && status.conditions.is_some()
    });
    let conditions = stopped.await.status.unwrap().conditions.unwrap();
    assert_eq!(conditions.len(), 1, "{conditions:?}");
    assert_eq!(conditions[0].reason.as_deref(), Some("JobSuspended"));
    suspend(false).await;
    until(|status| status.ready == Some(1)).await;

    // A pod that somebody deletes ends with its own code, and the Job with it.
    let pods: Api<Pod> = Api::default_namespaced(embedded.client.clone());
    let name =
        pods.list(&kube::api::ListParams::default()).await.unwrap().items[0].metadata.name.clone().unwrap();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    let failed = until(|status| status.conditions.iter().flatten().any(|one| one.type_ == "Failed")).await;
    let condition = failed.status.unwrap().conditions.unwrap().pop().unwrap();
    let expected = format!(
        "Container main for pod default/{name} failed with exit code 9 matching FailJob rule at index 0"
    );
    assert_eq!(condition.message.as_deref(), Some(expected.as_str()));
    embedded.stop().await;
}
