//! The wire: what is between the operator's client and the server, as a tower service.
//!
//! Responsible for: counting the operator's requests, and making the planned faults happen to them. Must never: touch
//! what users and nodes send.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response, StatusCode};
use kube::client::Body;
use orchestrator::embedded::random::Random;
use orchestrator::embedded::server::body::Body as Answer;
use orchestrator::embedded::server::{AsOf, Server};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service};

use super::answers::{page, refused, reset, truncated};
use super::ask::Ask;
use super::direct::Direct;
use super::faults::{Ail, Fault, Kind, Planned, Replicas, Schedule};
use super::process::{End, Process};
use super::reading::text;
use super::scenario::Scenario;
use super::taps::HOLD;
use super::witness::{LATE, OPERATOR};

/// Name of the Lease, in the namespace `default`.
pub const LEASE: &str = "orchestrator";
/// The longest that a stalled connection lives.
const STALL: Duration = Duration::from_secs(60);

/// The network, shared by all operators of a world.
pub struct Net {
    server: Server,
    users: Direct,
    scenario: Arc<Scenario>,
    /// Version at which the world began: nothing older is ever shown.
    beginning: u64,
    ends: mpsc::UnboundedSender<(usize, End)>,
    /// Whether only the holder of the Lease may write.
    is_elected: bool,
    start: Instant,
    state: Mutex<State>,
}

struct State {
    next: usize,
    /// Faults that have happened.
    happened: usize,
    /// Those of the requests that neither a watch nor the election makes.
    asked: usize,
    /// What should not have been asked.
    wrong: Vec<String>,
    faults: Vec<Planned>,
    random: Option<Random>,
    down_until: Option<Instant>,
    /// Lists of a kind are so many versions old, until then.
    stale: Vec<(Kind, u64, Instant)>,
    trace: Option<Vec<String>>,
}

impl Net {
    pub fn new(
        server: &Server,
        scenario: &Arc<Scenario>,
        schedule: &Schedule,
        random: Option<Random>,
        ends: mpsc::UnboundedSender<(usize, End)>,
        is_traced: bool,
    ) -> Arc<Self> {
        let state = State {
            next: 0,
            happened: 0,
            asked: 0,
            wrong: Vec::new(),
            faults: schedule.faults.clone(),
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
            ends,
            is_elected: schedule.replicas == Replicas::Elected,
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

    /// Something happens that no fault has made.
    pub fn something_happens(&self) {
        self.state.lock().unwrap().happened += 1;
    }

    /// What was asked that should not have been.
    pub fn wrong(&self) -> Vec<String> {
        self.state.lock().unwrap().wrong.clone()
    }

    /// Requests so far that neither a watch nor the election made.
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
        state.asked += usize::from(ask.kind.is_none() && !ask.is_election);
        let found: Vec<Fault> =
            state.faults.iter().filter(|planned| planned.at == number).map(|planned| planned.fault).collect();
        state.happened += found.len();
        if let Some(trace) = &mut state.trace {
            let faults = if found.is_empty() { String::new() } else { format!("   <- {found:?}") };
            let (method, uri, replica) = (request.method(), request.uri(), process.replica);
            // kube names an Event by the time of the machine.
            let path = uri.path().split_inclusive("/events/").next().unwrap_or_default();
            let time = self.start.elapsed();
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
        let _ = self.ends.send((process.replica, End::Death));
    }

    /// Whether a process may write, by the Lease.
    fn may_write(&self, process: &Process) -> bool {
        if !self.is_elected {
            return true;
        }
        let leases = self.server.objects_at("coordination.k8s.io", "leases", None, self.server.version());
        let holder = |lease: &serde_json::Value| text(lease, "/spec/holderIdentity").map(str::to_owned);
        let found =
            leases.unwrap_or_default().into_iter().find(|lease| lease.value["metadata"]["name"] == LEASE);
        found.and_then(|lease| holder(&lease.value)).is_some_and(|holder| holder == process.identity())
    }

    /// Who leads no more may not begin to write.
    fn check_leadership(&self, number: usize, process: &Process, ask: &Ask) {
        if ask.is_write && !ask.is_election && !self.may_write(process) {
            let who = process.identity();
            let what =
                format!("leadership: {who} writes although it does not hold the Lease (request {number})");
            self.state.lock().unwrap().wrong.push(what);
        }
    }

    /// How a request is known when it arrives: as late, if nobody waits for it, or if its sender leads no more.
    fn agent(&self, process: &Process, ask: &Ask) -> HeaderValue {
        let is_late = process.is_dead() || (ask.is_write && !ask.is_election && !self.may_write(process));
        HeaderValue::from_static(if is_late { LATE } else { OPERATOR })
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
        let (number, faults) = net.begin(&request, &ask, process);
        net.check_leadership(number, process, &ask);
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
                Fault::Retire => drop(net.ends.send((process.replica, End::Shutdown))),
                Fault::Isolate(seconds) => process.isolate(Duration::from_secs(seconds)),
                Fault::Sleep(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
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
        process.pass_isolation().await;
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
            Some(Fault::Late(seconds)) => self.late(request, &ask, seconds).await?,
            _ => {
                request.headers_mut().insert(USER_AGENT, net.agent(process, &ask));
                net.server.clone().call(request).await?
            }
        };
        process.pass_isolation().await;
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
    async fn late(
        &self,
        mut request: Request<Body>,
        ask: &Ask,
        seconds: u64,
    ) -> Result<Response<Answer>, BoxError> {
        let (done, answer) = oneshot::channel();
        let (net, process) = (Arc::clone(&self.net), Arc::clone(&self.process));
        let is_awaited = Duration::from_secs(seconds) < orchestrator::client::CALL_TIMEOUT;
        let ask = *ask;
        tokio::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            let agent = if is_awaited { net.agent(&process, &ask) } else { HeaderValue::from_static(LATE) };
            request.headers_mut().insert(USER_AGENT, agent);
            let _ = done.send(net.server.clone().call(request).await);
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
