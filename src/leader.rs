//! Leadership: of several replicas, the one that holds the Lease works.
//!
//! Responsible for: doing what [`Candidate`] decides, stopping the work when the leadership is lost, and giving the
//! Lease back at the end. Must never: be what correctness rests upon. Two may work for a moment whatever we do; a
//! leader that stops early and a write that is refused only make that moment short.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::client::{answer, words};
use crate::clock::Clock;
use crate::config::Election;
use crate::engine::lease::{Candidate, Loss, Moment, Step};
use crate::health::Health;

/// Longest that giving the Lease back may take: with the controllers' own time less than the 30 s of a pod.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);
/// The Lease among what a replica needs.
const HEALTH: &str = "Lease";
/// How often giving back is tried: a renewal that was under way may come in between.
const RELEASE_TRIES: usize = 3;

/// Runs `work` while we lead, with a client that writes only then. Returns when the work has ended by itself, when the
/// leadership was lost (the work is dropped then, wherever it is), or when a shutdown comes before we lead. `work` sees
/// the shutdown by itself, and is waited for. `outlives` is a mistake made on purpose: the leadership is never renewed,
/// and its end is not looked at.
pub async fn run<W: Future<Output = ()>>(
    client: Client,
    clock: Arc<dyn Clock>,
    election: &Election,
    shutdown: watch::Receiver<bool>,
    health: &Health,
    outlives: bool,
    work: impl FnOnce(Client) -> W,
) {
    let namespace = election.namespace.as_deref().unwrap_or_else(|| client.default_namespace()).to_owned();
    let begin = Instant::now();
    let gate = Gate { begin, open_until: Arc::default() };
    let mut elector = Elector {
        lease: format!("{namespace}/{}", election.name),
        api: Api::namespaced(client.clone(), &namespace),
        clock,
        begin,
        call_timeout: election.terms.call_timeout(),
        candidate: Candidate::new(&election.name, &election.identity, election.terms),
        gate: gate.clone(),
        health: health.clone(),
        told: String::new(),
    };
    health.miss(HEALTH, "not read yet");
    if !elector.acquire(shutdown).await {
        // A write whose answer was lost may have been done.
        elector.release().await;
        return;
    }
    tracing::info!(lease = elector.lease, identity = election.identity, "this replica leads");
    let guarded = if outlives { client } else { gate.guard(client) };
    let mut work = Box::pin(work(guarded));
    let lost = tokio::select! {
        biased;
        loss = elector.keep(), if !outlives => Some(loss),
        () = &mut work => None,
    };
    gate.close();
    drop(work);
    match lost {
        Some(loss) => {
            tracing::error!(lease = elector.lease, %loss, "leadership lost, the controllers are stopped");
        }
        None => elector.release().await,
    }
}

/// One replica's way through the election.
struct Elector {
    /// Namespace and name, for people.
    lease: String,
    api: Api<Lease>,
    clock: Arc<dyn Clock>,
    begin: Instant,
    call_timeout: Duration,
    candidate: Candidate,
    gate: Gate,
    health: Health,
    /// What was last told to people.
    told: String,
}

impl Elector {
    /// Waits until we lead; false when a shutdown comes first.
    async fn acquire(&mut self, mut shutdown: watch::Receiver<bool>) -> bool {
        while !*shutdown.borrow() {
            match self.step() {
                Step::Wait(until) => {
                    let holder = self.candidate.holder();
                    if !holder.is_empty() {
                        let waits =
                            format!("the Lease {} is held by {holder}, this replica waits", self.lease);
                        self.tell(waits);
                    }
                    tokio::select! {
                        () = sleep_until(self.begin + until) => {}
                        _ = shutdown.wait_for(|stop| *stop) => return false,
                    }
                }
                Step::Lost(_) => return false,
                // Not given up at a shutdown: what it did is needed to give the Lease back.
                call => self.call(call, self.begin + self.now() + self.call_timeout).await,
            }
            if self.candidate.leads(self.now()) {
                self.gate.open(self.candidate.leads_until());
                return true;
            }
        }
        false
    }

    /// Renews until the leadership is lost.
    async fn keep(&mut self) -> Loss {
        loop {
            match self.step() {
                Step::Wait(until) => sleep_until(self.begin + until).await,
                Step::Lost(loss) => return loss,
                call => {
                    let longest = self.now() + self.call_timeout;
                    let deadline = self.candidate.leads_until().map_or(longest, |until| until.min(longest));
                    self.call(call, self.begin + deadline).await;
                    self.gate.open(self.candidate.leads_until());
                }
            }
        }
    }

    /// Gives the Lease back if it is ours, so that nobody has to wait until it expires.
    async fn release(&self) {
        let release = async {
            for _ in 0..RELEASE_TRIES {
                let Some(held) = self.api.get_opt(self.candidate.name()).await? else { return Ok(()) };
                let Some(released) = self.candidate.released(Some(held), self.clock.now()) else {
                    return Ok(());
                };
                match self.write(&released).await {
                    Ok(_) => {
                        tracing::info!(lease = self.lease, "the Lease is given back");
                        return Ok(());
                    }
                    Err(error) if is_refused(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(RELEASE_WITHIN, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = self.lease, error = words(&error), "cannot give the Lease back");
            }
            Err(_) => tracing::warn!(lease = self.lease, "cannot give the Lease back in time"),
        }
    }

    fn now(&self) -> Moment {
        self.begin.elapsed()
    }

    fn step(&self) -> Step {
        self.candidate.next(self.now(), self.clock.now())
    }

    /// Makes a call, and tells the candidate how it went.
    async fn call(&mut self, step: Step, deadline: Instant) {
        let sent = self.now();
        match step {
            Step::Read => match timeout_at(deadline, self.api.get_opt(self.candidate.name())).await {
                Ok(Ok(lease)) => {
                    // Who can follow the Lease can take over: a replica that waits is ready.
                    self.health.have(HEALTH);
                    self.candidate.read(lease, self.now());
                }
                Ok(Err(error)) => self.failed(&words(&error)),
                Err(_) => self.failed("no answer in time"),
            },
            Step::Write(lease) => match timeout_at(deadline, self.write(&lease)).await {
                Ok(Ok(written)) => self.candidate.written(written, sent, self.now()),
                Ok(Err(error)) if is_refused(&error) => {
                    tracing::debug!(lease = self.lease, error = words(&error), "the Lease has changed");
                    self.candidate.refused(self.now());
                }
                Ok(Err(error)) => self.failed(&words(&error)),
                Err(_) => self.failed("no answer in time"),
            },
            Step::Wait(_) | Step::Lost(_) => {}
        }
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        match (&lease.metadata.name, &lease.metadata.resource_version) {
            (Some(name), Some(_)) => self.api.replace(name, &PostParams::default(), lease).await,
            _ => self.api.create(&PostParams::default(), lease).await,
        }
    }

    fn failed(&mut self, why: &str) {
        self.candidate.failed(self.now());
        if self.candidate.leads_until().is_some() {
            tracing::warn!(lease = self.lease, why, "cannot renew the Lease, it will be tried again");
        } else {
            self.tell(format!("the Lease {} cannot be had, it will be tried again: {why}", self.lease));
        }
    }

    /// Says once what would otherwise be said every second.
    fn tell(&mut self, what: String) {
        if self.told != what {
            tracing::info!("{what}");
            self.told = what;
        }
    }
}

/// Whether the server has refused a write because the Lease is not as we saw it.
fn is_refused(error: &kube::Error) -> bool {
    answer(error)
        .is_some_and(|status| status.is_conflict() || status.is_already_exists() || status.is_not_found())
}

/// What stands between the work and the server: closed as soon as the leadership may have ended, by the monotonic
/// clock and not by a task that may be late. A process that was stopped for a minute writes nothing when it goes on.
#[derive(Clone, Debug)]
struct Gate {
    begin: Instant,
    /// Microseconds since the beginning.
    open_until: Arc<AtomicU64>,
}

/// A write of somebody who leads no more.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead, it may not write")]
struct NotLeading;

impl Gate {
    fn open(&self, until: Option<Moment>) {
        let micros = until.map_or(0, |until| u64::try_from(until.as_micros()).unwrap_or(u64::MAX));
        self.open_until.store(micros, Ordering::SeqCst);
    }

    fn close(&self) {
        self.open(None);
    }

    fn is_open(&self) -> bool {
        self.begin.elapsed() < Duration::from_micros(self.open_until.load(Ordering::SeqCst))
    }

    /// The same client, for as long as we lead. It reads also afterwards.
    fn guard(&self, client: Client) -> Client {
        let (gate, namespace) = (self.clone(), client.default_namespace().to_owned());
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (gate, client) = (gate.clone(), client.clone());
            let call: BoxFuture<'static, Result<_, kube::Error>> = Box::pin(async move {
                if request.method() != Method::GET && !gate.is_open() {
                    return Err(kube::Error::Service(NotLeading.into()));
                }
                client.send(request).await
            });
            call
        });
        Client::new(service, namespace)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_asleep_reads_but_does_not_write_when_it_wakes() {
        let count = Arc::new(AtomicUsize::new(0));
        let arrived = Arc::clone(&count);
        let server = tower::service_fn(move |_: Request<Body>| {
            arrived.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let gate = Gate { begin: Instant::now(), open_until: Arc::default() };
        let client = gate.guard(Client::new(server, "ours"));
        assert_eq!(client.default_namespace(), "ours");
        let send = async |method: Method| {
            client.send(Request::builder().method(method).body(Body::empty()).unwrap()).await.map(|_| ())
        };
        let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let refuses = async || {
            for method in &writes {
                let error = send(method.clone()).await.unwrap_err();
                assert_eq!(crate::client::class(&error), crate::client::Class::Transient);
                assert!(error.to_string().contains("does not lead"), "{error}");
            }
            send(Method::GET).await.unwrap();
        };
        refuses().await;
        gate.open(Some(Duration::from_secs(10)));
        for method in &writes {
            send(method.clone()).await.unwrap();
        }
        // All timers are late, and nobody has closed it.
        tokio::time::advance(Duration::from_secs(10)).await;
        refuses().await;
        gate.open(Some(Duration::from_secs(20)));
        send(Method::POST).await.unwrap();
        gate.close();
        refuses().await;
        assert_eq!(count.load(Ordering::SeqCst), 4 + 1 + 3);
    }
}
