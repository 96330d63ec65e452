//! Health: whether the loops turn, and whether the operator can do its work.
//!
//! Responsible for: what `/livez` and `/readyz` say. Must never: ask the API server. A process that is started again
//! because the server is away helps nobody.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often a loop shows that it turns.
const BEAT: Duration = Duration::from_secs(5);
/// How long a loop may be silent. Longer than what any reconcile computes, by far.
const SILENCE: Duration = Duration::from_secs(60);

/// What is known of the health of this process. All copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Health(Option<Arc<Mutex<State>>>);

#[derive(Debug, Default)]
struct State {
    /// When each loop last turned.
    pulses: BTreeMap<String, Instant>,
    /// What is missing before the operator can do its work, and why.
    missing: BTreeMap<String, String>,
}

impl Health {
    /// Health that somebody looks at. The default is nobody's: it knows nothing and costs nothing.
    #[must_use]
    pub fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// Runs a loop, and notes as long as it lasts that it turns. The beat is of the same task, so that work that never
    /// gives way stops it.
    pub async fn watch<T>(&self, name: &str, work: impl Future<Output = T>) -> T {
        let Some(state) = &self.0 else { return work.await };
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        let _end = Pulse { state, name };
        loop {
            tokio::select! {
                biased;
                _ = beat.tick() => drop(lock(state).pulses.insert(name.to_owned(), Instant::now())),
                result = &mut work => return result,
            }
        }
    }

    /// Something is missing before the operator can do its work.
    pub fn miss(&self, what: &str, why: &str) {
        if let Some(state) = &self.0 {
            lock(state).missing.insert(what.to_owned(), why.to_owned());
        }
    }

    /// It is missing no more.
    pub fn have(&self, what: &str) {
        if let Some(state) = &self.0 {
            lock(state).missing.remove(what);
        }
    }

    /// Whether every loop turns.
    ///
    /// # Errors
    /// The loops that do not, and for how long.
    pub fn live(&self) -> Result<(), Vec<String>> {
        let Some(state) = &self.0 else { return Ok(()) };
        let state = lock(state);
        let silent = state.pulses.iter().filter(|(_, last)| last.elapsed() > SILENCE);
        none(
            silent.map(|(name, last)| format!("{name}: silent for {} s", last.elapsed().as_secs())).collect(),
        )
    }

    /// Whether nothing is missing.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let Some(state) = &self.0 else { return Ok(()) };
        none(lock(state).missing.iter().map(|(what, why)| format!("{what}: {why}")).collect())
    }
}

fn none(problems: Vec<String>) -> Result<(), Vec<String>> {
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop that has ended, or was given up, is silent for a good reason.
struct Pulse<'a> {
    state: &'a Mutex<State>,
    name: &'a str,
}

impl Drop for Pulse<'_> {
    fn drop(&mut self) {
        lock(self.state).pulses.remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_never_gives_way_is_found() {
        let health = Health::watched();
        let held = Mutex::new(false);
        let work = health.watch(
            "loop",
            std::future::poll_fn(|_| {
                // What blocks the thread lets no other time pass for this task.
                if *held.lock().unwrap() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            }),
        );
        tokio::pin!(work);
        assert!(tokio::time::timeout(Duration::from_secs(300), &mut work).await.is_err());
        assert_eq!(health.live(), Ok(()), "it turned all the time");
        // Nobody polls it any more.
        tokio::time::advance(SILENCE + Duration::from_secs(6)).await;
        let told = health.live().unwrap_err();
        assert!(told[0].starts_with("loop: silent for 6"), "{told:?}");
        *held.lock().unwrap() = true;
        work.await;
        assert_eq!(health.live(), Ok(()), "it has ended");
    }

    #[test]
    fn what_is_missing_is_told_until_it_is_there() {
        let health = Health::watched();
        health.miss("caches of Jobs", "not listed yet");
        health.miss("cluster", "too old");
        assert_eq!(
            health.ready(),
            Err(vec!["caches of Jobs: not listed yet".to_owned(), "cluster: too old".to_owned()])
        );
        health.have("caches of Jobs");
        health.have("cluster");
        assert_eq!(health.ready(), Ok(()));
        let nobody = Health::default();
        nobody.miss("cluster", "too old");
        assert_eq!(nobody.ready(), Ok(()));
    }
}
