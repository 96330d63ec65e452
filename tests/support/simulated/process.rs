//! Processes: one life of an operator, as the network sees it.
//!
//! Responsible for: who it is, whether it is still alive, and its watches. Must never: make anything happen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::faults::Kind;
use super::taps::Tap;

/// How an operator comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At once.
    Death,
    /// It is asked to, and may finish what it does.
    Shutdown,
}

/// One life of an operator.
#[derive(Debug)]
pub struct Process {
    /// Which operator.
    pub replica: usize,
    /// Which life.
    life: usize,
    is_dead: AtomicBool,
    isolated_until: Mutex<Option<Instant>>,
    taps: [Arc<Tap>; 6],
}

impl Process {
    pub fn new(replica: usize, life: usize) -> Arc<Self> {
        Arc::new(Self {
            replica,
            life,
            is_dead: AtomicBool::new(false),
            isolated_until: Mutex::default(),
            taps: Default::default(),
        })
    }

    /// The name that no other life has.
    pub fn identity(&self) -> String {
        format!("operator-{}-{}", self.replica, self.life)
    }

    /// Nothing that it does reaches the server from now on.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub fn tap(&self, kind: Kind) -> &Arc<Tap> {
        &self.taps[kind as usize]
    }

    /// Nothing goes in or out for so long.
    pub fn isolate(&self, time: Duration) {
        *self.isolated_until.lock().unwrap() = Some(Instant::now() + time);
        Kind::ALL.iter().for_each(|kind| self.tap(*kind).hold(time));
    }

    /// Waits while nothing goes in or out.
    pub async fn pass_isolation(&self) {
        while let Some(until) = self.isolated_until() {
            sleep_until(until).await;
        }
    }

    fn isolated_until(&self) -> Option<Instant> {
        self.isolated_until.lock().unwrap().filter(|until| *until > Instant::now())
    }
}
