//! The server: a subset of the Kubernetes API as a tower service, in the process and without sockets.
//!
//! Responsible for: answering requests as Kubernetes answers them. Must never: know a controller, or start a task of
//! its own: who calls it drives it.

pub mod answer;
pub mod begin;
pub mod body;
pub mod decode;
pub mod options;
pub mod patch;
pub mod read;
pub mod route;
pub mod watch;
pub mod write;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body as RequestBody;

use super::kinds::Kind;
use super::kinds::definition::Definition;
use super::random::Random;
use super::refusal::Refusal;
use super::state::{Context, Observer, State};
use super::store::{Bounds, Compacted, Object};
use crate::clock::Clock;
use body::Body;
use options::Parameters;
use route::{Route, Target};

/// Largest body of a request.
pub const MAX_BODY: usize = 3 * 1024 * 1024;

/// Makes a read be answered as it would have been at this version. It is put into the extensions of a request, by
/// tests that want stale reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf(pub u64);

/// How a server is made.
pub struct Builder {
    clock: Arc<dyn Clock>,
    random: Random,
    bounds: Bounds,
    observer: Option<Observer>,
    definitions: Vec<Definition>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Builder").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Builder {
    /// Takes uids and generated names from a source of one's own.
    #[must_use]
    pub fn random(self, random: Random) -> Self {
        Self { random, ..self }
    }

    /// Keeps another amount of history.
    #[must_use]
    pub fn history(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// Shows every successful write to an observer.
    #[must_use]
    pub fn observer(self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Adds a kind that is there from the start.
    #[must_use]
    pub fn definition(mut self, definition: Definition) -> Self {
        self.definitions.push(definition);
        self
    }

    /// Makes the server. The namespaces `default` and `kube-system` exist.
    #[must_use]
    pub fn build(self) -> Server {
        let mut state = State::new(self.clock, self.random, self.bounds, self.observer);
        begin::begin(&mut state, self.definitions);
        Server { state: Arc::new(Mutex::new(state)) }
    }
}

/// An API server. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server {
    state: Arc<Mutex<State>>,
}

impl Server {
    /// A server that takes the time from a clock. Uids and generated names differ in every process.
    #[must_use]
    pub fn builder(clock: Arc<dyn Clock>) -> Builder {
        Builder {
            clock,
            random: Random::unpredictable(),
            bounds: Bounds::default(),
            observer: None,
            definitions: Vec::new(),
        }
    }

    /// A client of this server, whose namespace is `default`. It needs a tokio runtime.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    /// The kind that an object says it is, if the server has it.
    #[must_use]
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        let found = self.state().kinds.named(api_version, kind).cloned();
        found.filter(|found| found.api_version() == api_version)
    }

    /// The newest version that was written.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().store.version()
    }

    /// Forgets the history, as etcd's compaction does: watches and lists of older versions are told that they expired.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// The objects of a kind, in a namespace or in all, as they were at a version.
    pub fn objects_at(
        &self,
        group: &str,
        plural: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Object>>, Compacted> {
        let storage = if plural == "events" { "/events".to_owned() } else { format!("{group}/{plural}") };
        self.state().store.list_at(&storage, namespace, version)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<RequestBody>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let bytes = match body::read(body, MAX_BODY).await {
            Ok(bytes) => bytes,
            Err(refusal) => return answer::refuse(&refusal),
        };
        self.dispatch(&parts, &bytes).unwrap_or_else(|refusal| answer::refuse(&refusal))
    }

    fn dispatch(&self, parts: &http::request::Parts, bytes: &Bytes) -> Result<Response<Body>, Refusal> {
        let route = route::find(&self.state().kinds, parts.uri.path());
        let target = match route? {
            Route::Health => return Ok(answer::text("ok")),
            Route::Version => return Ok(answer::version()),
            Route::Object(target) => target,
        };
        let request = Call {
            parameters: Parameters::parse(parts.uri.query().unwrap_or_default()),
            context: context(parts, &target),
            as_of: parts.extensions.get::<AsOf>().copied(),
            target,
            parts,
            bytes,
        };
        let is_object = request.target.name.is_some();
        let is_plain = request.target.subresource.is_none();
        let is_whole = request.target.kind.namespaced && request.target.namespace.is_none();
        match (&parts.method, is_object) {
            (&Method::GET, true) => read::get(self, &request),
            (&Method::GET, false) if request.parameters.flag("watch")? => watch::start(self, &request),
            (&Method::GET, false) => read::list(self, &request),
            (&Method::POST, false) if !is_whole => write::create(self, &request),
            (&Method::PUT, true) => write::update(self, &request),
            (&Method::PATCH, true) => write::patch(self, &request),
            (&Method::DELETE, true) if is_plain => write::delete(self, &request),
            (&Method::DELETE, false) if !is_whole => write::delete_all(self, &request),
            _ => Err(not_allowed(&request)),
        }
    }
}

/// One request.
#[derive(Debug)]
pub struct Call<'r> {
    /// What it is about.
    pub target: Target,
    /// Its parameters.
    pub parameters: Parameters,
    /// Who sends it.
    pub context: Context,
    /// The version that a read is to be answered from.
    pub as_of: Option<AsOf>,
    /// Method, path and headers.
    pub parts: &'r http::request::Parts,
    /// Its body.
    pub bytes: &'r Bytes,
}

impl Call<'_> {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: http::header::HeaderName) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

fn context(parts: &http::request::Parts, target: &Target) -> Context {
    let agent = parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Context {
        verb: match parts.method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if target.name.is_some() => "delete",
            Method::DELETE => "deletecollection",
            _ => "get",
        },
        path: parts.uri.path().to_owned(),
        subresource: target.subresource.clone().unwrap_or_default(),
        user_agent: agent.unwrap_or_default().to_owned(),
        field_manager: Parameters::parse(parts.uri.query().unwrap_or_default())
            .text("fieldManager")
            .to_owned(),
    }
}

fn not_allowed(request: &Call<'_>) -> Refusal {
    let target = &request.target;
    if target.kind.is_custom() && target.subresource.is_some() {
        let verb = request.context.verb;
        let verb = if request.parts.method == Method::POST { "create" } else { verb };
        return Refusal::verb_not_supported(&target.kind, verb);
    }
    Refusal::method_not_allowed()
}

impl tower::Service<Request<RequestBody>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}

#[cfg(test)]
mod tests;
