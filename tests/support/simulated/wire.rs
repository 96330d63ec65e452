//! The wire: what is between the operator's client and the server, as a tower service.
//!
//! Responsible for: counting the operator's requests, and making the planned faults happen to them. Must never: touch
//! what users and nodes send.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use orchestrator::embedded::random::Random;
use orchestrator::embedded::server::body::Body as Answer;
use orchestrator::embedded::server::{AsOf, Server};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use super::direct::Direct;
use super::faults::{Ail, Fault, Kind, Planned};
use super::scenario::Scenario;
use super::taps::{HOLD, Tap};
use super::witness::{LATE, OPERATOR};

/// The longest that a stalled connection lives.
const STALL: Duration = Duration::from_secs(60);

/// The network, shared by all operators of a world.
pub struct Net {
    server: Server,
    users: Direct,
    scenario: Arc<Scenario>,
    /// Version at which the world began: nothing older is ever shown.
    beginning: u64,
    crashes: mpsc::UnboundedSender<usize>,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    next: usize,
    /// Faults that have happened.
    happened: usize,
    /// Those of them that no watch makes.
    asked: usize,
    faults: Vec<Planned>,
    random: Option<Random>,
    down_until: Option<Instant>,
    /// Lists of a kind are so many versions old, until then.
    stale: Vec<(Kind, u64, Instant)>,
    trace: Option<Vec<String>>,
}

/// One life of an operator.
#[derive(Debug)]
pub struct Process {
    /// Which operator.
    pub replica: usize,
    is_dead: AtomicBool,
    taps: [Arc<Tap>; 6],
}

impl Process {
    pub fn new(replica: usize) -> Arc<Self> {
        Arc::new(Self { replica, is_dead: AtomicBool::new(false), taps: Default::default() })
    }

    /// Nothing that it does reaches the server from now on.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    fn tap(&self, kind: Kind) -> &Arc<Tap> {
        &self.taps[kind as usize]
    }
}

/// What a request asks, as far as faults depend on it.
struct Ask {
    kind: Option<Kind>,
    is_watch: bool,
    /// A list of a whole kind: the beginning of a watch.
    is_list: bool,
}

impl Ask {
    fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let is_whole = !path.contains("/namespaces/") && request.method() == Method::GET;
        let kind = Kind::of(path.rsplit('/').next().unwrap_or_default()).filter(|_| is_whole);
        Self { kind, is_watch, is_list: is_whole && !is_watch }
    }
}

impl Net {
    pub fn new(
        server: &Server,
        scenario: &Arc<Scenario>,
        faults: Vec<Planned>,
        random: Option<Random>,
        crashes: mpsc::UnboundedSender<usize>,
        is_traced: bool,
    ) -> Arc<Self> {
        let state = State {
            next: 0,
            happened: 0,
            asked: 0,
            faults,
            random,
            down_until: None,
            stale: Vec::new(),
            trace: is_traced.then(Vec::new),
        };
        Arc::new(Self {
            server: server.clone(),
            users: Direct::new(server, "user"),
            scenario: Arc::clone(scenario),
            beginning: server.version(),
            crashes,
            start: Instant::now(),
            state: Mutex::new(state),
        })
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().next
    }

    /// Faults that have happened so far.
    pub fn happened(&self) -> usize {
        self.state.lock().unwrap().happened
    }

    /// Requests so far that no watch made.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// Everything that was asked, if it is written down.
    pub fn trace(&self) -> Vec<String> {
        self.state.lock().unwrap().trace.clone().unwrap_or_default()
    }

    /// Nothing goes wrong any more.
    pub fn disarm(&self) {
        let mut state = self.state.lock().unwrap();
        state.faults.clear();
        state.random = None;
    }

    /// A pause of a random length: mostly short, seldom long enough for everything else to go on.
    fn pause(&self) -> Duration {
        let mut state = self.state.lock().unwrap();
        let Some(random) = &mut state.random else { return Duration::ZERO };
        let bits = random.bits();
        let longest = match bits % 16 {
            0 => 8000,
            1..4 => 1500,
            _ => 60,
        };
        Duration::from_millis((bits >> 8) % longest)
    }

    /// Writes down what came of a request.
    fn note(&self, number: usize, what: &dyn std::fmt::Display) {
        if let Some(trace) = &mut self.state.lock().unwrap().trace {
            trace.push(format!("{number:3} {:9.3?}   -> {what}", self.start.elapsed()));
        }
    }

    fn begin<B>(&self, request: &Request<B>, ask: &Ask, process: &Process) -> (usize, Vec<Fault>) {
        let mut state = self.state.lock().unwrap();
        let number = state.next;
        state.next += 1;
        state.asked += usize::from(ask.kind.is_none());
        let found: Vec<Fault> =
            state.faults.iter().filter(|planned| planned.at == number).map(|planned| planned.fault).collect();
        state.happened += found.len();
        if let Some(trace) = &mut state.trace {
            let faults = if found.is_empty() { String::new() } else { format!("   <- {found:?}") };
            let (method, uri, replica) = (request.method(), request.uri(), process.replica);
            let (time, path) = (self.start.elapsed(), uri.path());
            let watch = if ask.is_watch { " (watch)" } else { "" };
            trace.push(format!("{number:3} {time:9.3?} operator {replica} {method} {path}{watch}{faults}"));
        }
        (number, found)
    }

    fn is_down(&self) -> bool {
        self.state.lock().unwrap().down_until.is_some_and(|until| Instant::now() < until)
    }

    /// From which version a list is answered.
    fn as_of(&self, ask: &Ask) -> Option<AsOf> {
        let kind = ask.kind.filter(|_| ask.is_list)?;
        let state = self.state.lock().unwrap();
        let (_, age, _) = state.stale.iter().find(|(of, _, until)| *of == kind && Instant::now() < *until)?;
        Some(AsOf(self.server.version().saturating_sub(*age).max(self.beginning)))
    }

    fn kill(&self, process: &Process) {
        process.die();
        let _ = self.crashes.send(process.replica);
    }
}

/// The service that an operator's client calls.
#[derive(Clone)]
pub struct Wire {
    net: Arc<Net>,
    process: Arc<Process>,
}

impl Wire {
    pub fn new(net: &Arc<Net>, process: &Arc<Process>) -> Self {
        Self { net: Arc::clone(net), process: Arc::clone(process) }
    }

    async fn carry(self, mut request: Request<Body>) -> Result<Response<Answer>, BoxError> {
        let (net, process) = (&self.net, &self.process);
        if process.is_dead() {
            return std::future::pending().await;
        }
        let ask = Ask::of(&request);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(OPERATOR));
        let (number, faults) = net.begin(&request, &ask, process);
        let mut end = None;
        for fault in faults {
            match fault {
                Fault::CrashBefore => net.kill(process),
                Fault::Restart(kind, age) => {
                    net.state.lock().unwrap().stale.push((kind, age, Instant::now() + HOLD));
                    net.kill(process);
                }
                Fault::LoseRequest => return Err(reset()),
                Fault::Refuse(code) => return Ok(refused(code)),
                Fault::StallBefore => {
                    sleep(STALL).await;
                    return Err(reset());
                }
                Fault::Down(seconds) => {
                    net.state.lock().unwrap().down_until =
                        Some(Instant::now() + Duration::from_secs(seconds));
                    Kind::ALL.iter().for_each(|kind| process.tap(*kind).befall(Ail::Cut));
                }
                Fault::Watch(kind, ail) => process.tap(kind).befall(ail),
                Fault::Compact => net.server.compact(),
                Fault::User(act) => act.perform(&net.users, &net.scenario).await,
                Fault::Slow(seconds) => {
                    sleep(Duration::from_secs(seconds) / 2).await;
                    end = Some(fault);
                }
                Fault::CrashAfter
                | Fault::LoseAnswer
                | Fault::TimeOutApplied
                | Fault::Truncate
                | Fault::Garble
                | Fault::StallAfter
                | Fault::Late(_) => end = Some(fault),
            }
        }
        sleep_some(net.pause()).await;
        if process.is_dead() {
            return std::future::pending().await;
        }
        if net.is_down() {
            return Err(reset());
        }
        if let Some(as_of) = net.as_of(&ask) {
            request.extensions_mut().insert(as_of);
            if let Some(kind) = ask.kind {
                process.tap(kind).befall(Ail::Held);
            }
        }
        let answer = match end {
            Some(Fault::Late(seconds)) => self.late(request, seconds).await?,
            _ => net.server.clone().call(request).await?,
        };
        net.note(number, &answer.status());
        self.finish(answer, end, &ask).await
    }

    /// What happens once the server has done it.
    async fn finish(
        &self,
        answer: Response<Answer>,
        end: Option<Fault>,
        ask: &Ask,
    ) -> Result<Response<Answer>, BoxError> {
        match end {
            Some(Fault::CrashAfter) => {
                self.net.kill(&self.process);
                return std::future::pending().await;
            }
            Some(Fault::LoseAnswer) => return Err(reset()),
            Some(Fault::TimeOutApplied) => return Ok(refused(504)),
            Some(Fault::StallAfter) => {
                sleep(STALL).await;
                return Err(reset());
            }
            Some(Fault::Truncate) => return Ok(answer.map(truncated)),
            Some(Fault::Garble) => return Ok(page()),
            Some(Fault::Slow(seconds)) => sleep(Duration::from_secs(seconds) / 2).await,
            _ => {}
        }
        sleep_some(self.net.pause()).await;
        if self.process.is_dead() {
            return std::future::pending().await;
        }
        let Some(kind) = ask.kind.filter(|_| ask.is_watch && answer.status() == StatusCode::OK) else {
            return Ok(answer);
        };
        let net = Arc::clone(&self.net);
        let (parts, body) = answer.into_parts();
        let stream = self.process.tap(kind).stream(body, move || net.pause());
        Ok(Response::from_parts(parts, Answer::Stream(stream)))
    }

    /// The request is under way on its own: it arrives although nobody may wait for it any more.
    async fn late(&self, mut request: Request<Body>, seconds: u64) -> Result<Response<Answer>, BoxError> {
        if Duration::from_secs(seconds) >= orchestrator::client::CALL_TIMEOUT {
            request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(LATE));
        }
        let (done, answer) = oneshot::channel();
        let mut server = self.net.server.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            let _ = done.send(server.call(request).await);
        });
        Ok(answer.await??)
    }
}

/// Without a timer where there is nothing to wait for.
async fn sleep_some(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}

fn reset() -> BoxError {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was reset").into()
}

fn refused(code: u16) -> Response<Answer> {
    let (reason, message) = match code {
        409 => ("Conflict", "Operation cannot be fulfilled: the object has been modified"),
        429 => ("TooManyRequests", "the server has received too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "etcdserver: leader changed"),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": message,
    });
    let mut response = Response::new(Answer::Once(Some(Bytes::from(status.to_string()))));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn truncated(answer: Answer) -> Answer {
    match answer {
        Answer::Once(bytes) => Answer::Once(bytes.map(|bytes| bytes.slice(..bytes.len() / 2))),
        Answer::Stream(_) => Answer::Once(Some(Bytes::from_static(b"{\"type\":\"ADD"))),
    }
}

fn page() -> Response<Answer> {
    Response::new(Answer::Once(Some(Bytes::from_static(b"<html><body>Bad gateway</body></html>"))))
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().carry(request).boxed()
    }
}
