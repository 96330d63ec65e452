//! A sandbox: the embedded API server, the Job controller's role, an operator and a scripted kubelet, in a time that
//! stands still while nobody works. Hours pass in a moment.
//!
//! Responsible for: that a test about data needs no cluster. Must never: answer for a server; what one decides is asked
//! of the real one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::core::{GroupVersionKind, NamespaceResourceScope};
use kube::discovery::ApiResource;
use kube::runtime::wait::await_condition;
use kube::{Client, Resource};
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use orchestrator::client::Namespaced;
use orchestrator::clock::Clock;
use orchestrator::config::Settings;
use orchestrator::embedded::job;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::Service;

use super::fuse::Fuse;
use super::in_process::PausedClock;
use super::kubelet::{Act, Kubelet, Work, use_clock};
use super::told::{Told, says};

/// The namespace of everything in it.
const NAMESPACE: &str = "default";
/// Longest that anything may take, in the time of the sandbox.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// The clock of a sandbox, which may be set.
#[derive(Debug, Default)]
struct Wall {
    paused: PausedClock,
    ahead: Mutex<SignedDuration>,
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        self.paused.now() + *self.ahead.lock().unwrap()
    }
}

/// A running sandbox.
pub struct Sandbox {
    /// Of an administrator.
    pub client: Client,
    /// `verb plural name` of every write.
    pub writes: Arc<Mutex<Vec<String>>>,
    of_operator: Client,
    clock_of_operator: Arc<dyn Clock>,
    server: Server,
    wall: Arc<Wall>,
    settings: Settings,
    operator: Option<JoinSet<()>>,
    stop: watch::Sender<bool>,
    _kubelet: Kubelet,
    _roles: JoinSet<()>,
}

/// What may be another way in a sandbox.
pub struct Setup {
    /// The CustomResourceDefinitions.
    pub definitions: Vec<Definition>,
    /// The operator's.
    pub settings: Settings,
    /// Requests of the operator take up to so long, each another time.
    pub longest_request: Duration,
    /// A clock of the operator's own, in the place of that of the server.
    pub clock_of_operator: Option<Arc<dyn Clock>>,
}

impl Default for Setup {
    fn default() -> Self {
        let compile = |crd| Definition::compile(&serde_json::to_value(crd).unwrap()).unwrap();
        Self {
            definitions: orchestrator::api::crds().into_iter().map(compile).collect(),
            settings: Settings::default(),
            longest_request: Duration::ZERO,
            clock_of_operator: None,
        }
    }
}

impl Sandbox {
    /// Starts one whose kubelet follows a script. The runtime's time must be paused.
    pub fn start(script: impl Fn(&Work) -> Act + Send + Sync + 'static) -> Self {
        Self::start_as(Setup::default(), script)
    }

    /// Starts one that is set up in another way.
    pub fn start_as(setup: Setup, script: impl Fn(&Work) -> Act + Send + Sync + 'static) -> Self {
        let Setup { definitions, settings, longest_request, clock_of_operator } = setup;
        let wall = Arc::new(Wall::default());
        let clock: Arc<dyn Clock> = Arc::clone(&wall) as Arc<dyn Clock>;
        use_clock(Arc::clone(&clock));
        let writes: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&writes);
        let mut builder = Server::builder(Arc::clone(&clock)).observer(Box::new(move |write| {
            let line = format!("{} {} {}", write.context.verb, write.kind.plural, write.key.name);
            seen.lock().unwrap().push(line);
        }));
        for definition in definitions {
            builder = builder.definition(definition);
        }
        let server = builder.build();
        let client = server.client();
        let slow = Slow { inner: server.clone(), longest: longest_request, requests: Arc::default() };
        let of_operator =
            if longest_request.is_zero() { client.clone() } else { Client::new(slow, NAMESPACE) };
        let (stop, stopped) = watch::channel(false);
        let mut roles = JoinSet::new();
        roles.spawn(job::run(client.clone(), Arc::clone(&clock), job::Settings::default(), stopped));
        let kubelet = Kubelet::start_on(client.clone(), NAMESPACE, script);
        let mut sandbox = Self {
            client,
            of_operator,
            server,
            wall,
            writes,
            clock_of_operator: clock_of_operator.unwrap_or(clock),
            settings,
            operator: None,
            stop,
            _kubelet: kubelet,
            _roles: roles,
        };
        sandbox.start_operator();
        sandbox
    }

    /// Starts an operator, in the place of the one that there is.
    pub fn start_operator(&mut self) {
        self.operator = Some(self.operator(self.of_operator.clone()));
    }

    /// Starts an operator that is cut off from the world when a fuse blows, in the place of the one that there is.
    pub fn start_operator_with_fuse(&mut self, fuse: &Fuse) {
        let client = ClientBuilder::new(self.server.clone(), NAMESPACE).with_layer(fuse).build();
        self.operator = Some(self.operator(client));
    }

    /// Ends the operator in the middle of whatever it does.
    pub fn stop_operator(&mut self) {
        self.operator = None;
    }

    /// Starts one more operator, which ends with the result.
    #[must_use]
    pub fn another_operator(&self) -> JoinSet<()> {
        self.operator(self.of_operator.clone())
    }

    fn operator(&self, client: Client) -> JoinSet<()> {
        let mut operator = JoinSet::new();
        operator.spawn(orchestrator::app::run(
            client,
            Arc::clone(&self.clock_of_operator),
            self.settings.clone(),
            self.stop.subscribe(),
        ));
        operator
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.wall.now()
    }

    /// Sets the clock forward, or back.
    pub fn set_clock(&self, by: SignedDuration) {
        *self.wall.ahead.lock().unwrap() += by;
    }

    /// Lets time pass, and those who act at its end act.
    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(500)).await;
    }

    /// All objects of one kind.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Makes an object of any kind; the error is the server's message.
    pub async fn create(&self, object: Value) -> Result<(), String> {
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &resource);
        let object = serde_json::from_value(object).unwrap();
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes objects that the server takes.
    pub async fn apply(&self, objects: impl IntoIterator<Item = Value>) {
        for object in objects {
            self.create(object.clone()).await.unwrap_or_else(|error| panic!("{error}: {object}"));
        }
    }

    /// Changes the spec of an object.
    pub async fn edit<K>(&self, name: &str, spec: Value)
    where
        K: Namespaced,
    {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api::<K>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until an object is as it should be.
    pub async fn until<K>(&self, name: &str, holds: impl Fn(&K) -> bool) -> K
    where
        K: Namespaced,
    {
        let found = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_some_and(&holds));
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => panic!("{name}: {:?}", self.api::<K>().get_opt(name).await),
        }
    }

    /// What an object says in a condition, once it says so of its newest version.
    pub async fn told<K>(&self, name: &str, type_: &str) -> String
    where
        K: Namespaced + Told,
    {
        let found = self
            .until::<K>(name, |object| {
                object.observed_generation().is_some()
                    && object.observed_generation() == object.meta().generation
                    && !says(object, type_).is_empty()
            })
            .await;
        says(&found, type_)
    }

    /// Waits until definitions are Ready.
    pub async fn ready(&self, names: &[&str]) {
        for name in names {
            self.until::<OrchestrationDefinition>(name, |definition| {
                definition.observed_generation() == definition.metadata.generation
                    && says(definition, "Ready").starts_with("True ")
            })
            .await;
        }
    }

    /// Waits until an Orchestration has finished.
    pub async fn finished(&self, name: &str) -> Orchestration {
        self.until(name, |run: &Orchestration| {
            run.status.as_ref().is_some_and(|status| status.completion_time.is_some())
        })
        .await
    }

    /// The names of all objects of a kind.
    pub async fn names<K>(&self) -> Vec<String>
    where
        K: Namespaced,
    {
        let found = self.api::<K>().list(&ListParams::default()).await.unwrap();
        found.items.into_iter().filter_map(|object| object.meta().name.clone()).collect()
    }

    /// How many writes had this verb and resource.
    pub fn count(&self, verb_and_plural: &str) -> usize {
        let writes = self.writes.lock().unwrap();
        writes.iter().filter(|line| line.starts_with(&format!("{verb_and_plural} "))).count()
    }
}

/// A way to a server on which every request takes its time: fractions of the longest, in an order that is always the
/// same.
#[derive(Clone)]
struct Slow<S> {
    inner: S,
    longest: Duration,
    requests: Arc<AtomicU32>,
}

impl<S, R> Service<R> for Slow<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let time = self.longest * (number.wrapping_mul(2_654_435_761) >> 24) / 255;
        let mut inner = self.inner.clone();
        async move {
            tokio::time::sleep(time).await;
            inner.call(request).await
        }
        .boxed()
    }
}
