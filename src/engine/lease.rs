//! The lease: which one of several replicas works.
//!
//! Responsible for: client-go's rule for leader election, one step at a time: read, write, wait, or give up. Must
//! never: compare the clocks of two machines. A lease has expired when we have not seen it change, on our own
//! monotonic clock, for as long as it says that it lasts; its wall-clock times are for people.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// A time on this process's monotonic clock, since a beginning of its own. It means nothing in another process.
pub type Moment = Duration;

/// Longest lease: a day. Nobody wants to wait longer for a dead leader.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long things take. The default is client-go's: 15 s, 10 s, 2 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { duration: seconds(15), renew_deadline: seconds(10), retry_period: seconds(2) }
    }
}

impl Terms {
    /// Checked terms. `duration` is how long the others wait before they take over a lease that does not change, in
    /// whole seconds up to a day; `renew_deadline` how long after its last renewal a leader may lead; `retry_period`
    /// the time between two renewals. Each must leave room for the next: a leader has to be given time to notice that
    /// it leads no more before anybody else begins. The error says what is wrong.
    pub fn new(
        duration: Duration,
        renew_deadline: Duration,
        retry_period: Duration,
    ) -> Result<Self, &'static str> {
        if duration.is_zero() || duration.subsec_nanos() != 0 || duration > LONGEST {
            return Err("the lease duration must be whole seconds between 1 s and 24 h");
        }
        if renew_deadline >= duration {
            return Err("the renew deadline must be shorter than the lease duration");
        }
        // As client-go has it: 1.2 times.
        if retry_period.is_zero() || retry_period.saturating_mul(6) >= renew_deadline.saturating_mul(5) {
            return Err("the retry period must be above zero, and 1.2 times of it below the renew deadline");
        }
        Ok(Self { duration, renew_deadline, retry_period })
    }

    /// How long one call may take: half of what a leader has to renew in, so that a call without an answer leaves
    /// time for another one.
    #[must_use]
    pub fn call_timeout(&self) -> Duration {
        self.renew_deadline / 2
    }

    /// How often a follower looks: twice in a retry period, so that it takes over within the duration and a retry
    /// period, also when calls take their time.
    fn look_period(&self) -> Duration {
        self.retry_period / 2
    }
}

/// The Lease as we last saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// What it said.
    pub spec: LeaseSpec,
    /// When we first saw it say that.
    pub since: Moment,
    /// Whether it was gone when we last looked. Somebody has deleted it then, and its holder may not know yet.
    pub is_gone: bool,
}

impl Seen {
    /// What we have seen, after another look.
    fn look(before: Option<Self>, lease: Option<&Lease>, now: Moment) -> Option<Self> {
        let Some(lease) = lease else { return before.map(|before| Self { is_gone: true, ..before }) };
        let spec = lease.spec.clone().unwrap_or_default();
        let since = before.filter(|before| before.spec == spec).map_or(now, |before| before.since);
        Some(Self { spec, since, is_gone: false })
    }

    fn holder(&self) -> &str {
        self.spec.holder_identity.as_deref().unwrap_or_default()
    }

    /// When it expires if it does not change. What it says counts, as its holder may have other terms than we.
    fn expires(&self, terms: &Terms) -> Moment {
        let said = self.spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = said.filter(|seconds| *seconds > 0).map_or(terms.duration, Duration::from_secs);
        self.since.saturating_add(duration)
    }
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nobody leads: try to.
    Acquire,
    /// It is ours: say so again.
    Renew,
    /// Somebody else leads: look again then.
    Wait(Moment),
}

/// What to do about the Lease that we have just looked at. `seen` is nothing if there never was one.
#[must_use]
pub fn decide(seen: Option<&Seen>, me: &str, terms: &Terms, now: Moment) -> Decision {
    let Some(seen) = seen else { return Decision::Acquire };
    if seen.holder() == me {
        return Decision::Renew;
    }
    let expires = seen.expires(terms);
    if seen.holder().is_empty() || now >= expires {
        return Decision::Acquire;
    }
    Decision::Wait(expires.min(now.saturating_add(terms.look_period())))
}

/// What the Lease is to say while we hold it, as client-go writes it.
fn held(seen: Option<&Seen>, me: &str, terms: &Terms, wall: Timestamp) -> LeaseSpec {
    let before = seen.map(|seen| &seen.spec);
    let is_ours = seen.is_some_and(|seen| seen.holder() == me);
    let transitions = before.map(|before| before.lease_transitions.unwrap_or_default());
    let renewed = renewal(before.and_then(|before| before.renew_time.as_ref()), wall);
    let acquired = before.filter(|_| is_ours).and_then(|before| before.acquire_time.clone());
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(terms.duration.as_secs()).ok(),
        acquire_time: acquired.or_else(|| Some(renewed.clone())),
        renew_time: Some(renewed),
        lease_transitions: Some(
            transitions.map_or(0, |before| before.max(0).saturating_add(i32::from(!is_ours))),
        ),
        ..LeaseSpec::default()
    }
}

/// A time of renewal that differs from the one before: a write that changes nothing is none, and a leader whose wall
/// clock stands still must not look dead.
fn renewal(before: Option<&MicroTime>, wall: Timestamp) -> MicroTime {
    let micros = wall.as_microsecond();
    let repeats = before.is_some_and(|before| before.0.as_microsecond() == micros);
    MicroTime(Timestamp::from_microsecond(micros.saturating_add(i64::from(repeats))).unwrap_or(wall))
}

/// Why a leader leads no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// The Lease names somebody else, or nobody.
    #[error("the Lease is held by {}", if .0.is_empty() { "nobody" } else { .0.as_str() })]
    Taken(String),
    /// It could not be renewed in time.
    #[error("the Lease could not be renewed in time")]
    Overdue,
}

/// What a candidate does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Read the Lease, and tell [`Candidate::read`].
    Read,
    /// Write this: with a resourceVersion replace it, without one create it. Then tell [`Candidate::written`].
    Write(Box<Lease>),
    /// Do nothing until then.
    Wait(Moment),
    /// End: the leadership is lost. It stays so.
    Lost(Loss),
}

/// One replica in the election.
#[derive(Clone, Debug)]
pub struct Candidate {
    name: String,
    me: String,
    terms: Terms,
    seen: Option<Seen>,
    /// The Lease that a write is based upon. `None`: it must be read first; `Some(None)`: there is none.
    basis: Option<Option<Lease>>,
    /// When the last write that is known to have succeeded was sent: the others cannot have seen it earlier.
    confirmed: Option<Moment>,
    lost: Option<Loss>,
    not_before: Moment,
    /// Refusals in a row.
    refusals: u32,
}

impl Candidate {
    /// A candidate for the Lease of this name. `me` must differ in every process, also in the same pod: what the
    /// process before wrote is not ours.
    #[must_use]
    pub fn new(name: &str, me: &str, terms: Terms) -> Self {
        Self {
            name: name.to_owned(),
            me: me.to_owned(),
            terms,
            seen: None,
            basis: None,
            confirmed: None,
            lost: None,
            not_before: Moment::ZERO,
            refusals: 0,
        }
    }

    /// What to do now. `wall` is written down for people.
    #[must_use]
    pub fn next(&self, now: Moment, wall: Timestamp) -> Step {
        let until = self.leads_until();
        if let Some(lost) = &self.lost {
            return Step::Lost(lost.clone());
        }
        if until.is_some_and(|until| now >= until) {
            return Step::Lost(Loss::Overdue);
        }
        if now < self.not_before {
            return Step::Wait(until.map_or(self.not_before, |until| until.min(self.not_before)));
        }
        let Some(basis) = &self.basis else { return Step::Read };
        let mut lease = basis.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            ..Lease::default()
        });
        lease.spec = Some(held(self.seen.as_ref(), &self.me, &self.terms, wall));
        Step::Write(Box::new(lease))
    }

    /// Until when we lead, if nothing more succeeds; nothing if we do not lead.
    #[must_use]
    pub fn leads_until(&self) -> Option<Moment> {
        let confirmed = self.confirmed.filter(|_| self.lost.is_none())?;
        Some(confirmed.saturating_add(self.terms.renew_deadline))
    }

    /// Whether we lead.
    #[must_use]
    pub fn leads(&self, now: Moment) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// Name of the Lease.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who holds the Lease, as far as we know; empty if nobody does.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.seen.as_ref().filter(|seen| !seen.is_gone).map_or("", Seen::holder)
    }

    /// The Lease was read; nothing: there is none.
    pub fn read(&mut self, lease: Option<Lease>, now: Moment) {
        self.seen = Seen::look(self.seen.take(), lease.as_ref(), now);
        match decide(self.seen.as_ref(), &self.me, &self.terms, now) {
            // Somebody may have held it in between, and hold it no more.
            Decision::Acquire | Decision::Wait(_) if self.confirmed.is_some() => {
                self.lost = Some(Loss::Taken(self.holder().to_owned()));
            }
            Decision::Acquire | Decision::Renew => self.basis = Some(lease),
            Decision::Wait(until) => {
                self.basis = None;
                self.not_before = until;
                self.refusals = 0;
            }
        }
    }

    /// The Lease was written, in a call that began at `sent`. `lease` is the server's answer.
    pub fn written(&mut self, lease: Lease, sent: Moment, now: Moment) {
        // It came too late to go on.
        if self.leads_until().is_some_and(|until| now >= until) {
            self.lost = Some(Loss::Overdue);
        }
        self.seen = Seen::look(self.seen.take(), Some(&lease), now);
        self.basis = Some(Some(lease));
        // An acquisition whose answer comes that late is none yet; the renewal that follows is.
        let is_in_time = now < sent.saturating_add(self.terms.renew_deadline);
        self.confirmed = Some(sent).filter(|_| is_in_time || self.confirmed.is_some());
        self.not_before = sent.saturating_add(self.terms.retry_period);
        self.refusals = 0;
    }

    /// The server has refused the write: the Lease is no longer as we saw it. It is read again, at once if this does
    /// not happen over and over.
    pub fn refused(&mut self, now: Moment) {
        self.basis = None;
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > 1 {
            self.not_before = now.saturating_add(self.terms.retry_period);
        }
    }

    /// There was no answer, or none that helps. The write may have been done, or may be done yet.
    pub fn failed(&mut self, now: Moment) {
        self.basis = None;
        self.refusals = 0;
        self.not_before = now.saturating_add(self.terms.retry_period);
    }

    /// The Lease as it is given back, so that nobody has to wait; nothing if it is not ours.
    #[must_use]
    pub fn released(&self, lease: Option<Lease>, wall: Timestamp) -> Option<Lease> {
        let mut lease = lease?;
        let spec = lease.spec.take()?;
        if spec.holder_identity.as_deref() != Some(self.me.as_str()) {
            return None;
        }
        let now = renewal(spec.renew_time.as_ref(), wall);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: spec.lease_transitions,
            ..LeaseSpec::default()
        });
        Some(lease)
    }
}

#[cfg(test)]
mod tests;
