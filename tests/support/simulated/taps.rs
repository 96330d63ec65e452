//! Taps: the streams of watches, which can be held, cut, and thinned out.
//!
//! Responsible for: what a watch may do to its watcher. Must never: invent an event.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use orchestrator::embedded::server::body::Body as Answer;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::faults::Ail;

/// How long events are held.
pub const HOLD: Duration = Duration::from_secs(5);

/// How the watches of one kind of one operator are.
#[derive(Clone, Copy, Debug, Default)]
struct Mode {
    cut: u64,
    gone: u64,
    silent: u64,
    held_until: Option<Instant>,
    is_coalesced: bool,
    is_doubled: bool,
}

/// Control of the watches of one kind of one operator.
#[derive(Debug, Default)]
pub struct Tap {
    mode: Mutex<Mode>,
    changed: watch::Sender<()>,
}

impl Tap {
    /// Makes something befall the watches that are open.
    pub fn befall(&self, ail: Ail) {
        let mut mode = self.mode.lock().unwrap();
        match ail {
            Ail::Cut => mode.cut += 1,
            Ail::Gone => mode.gone += 1,
            Ail::Silent => mode.silent += 1,
            Ail::Held => mode.held_until = Some(Instant::now() + HOLD),
            Ail::Coalesced => {
                mode.held_until = Some(Instant::now() + HOLD);
                mode.is_coalesced = true;
            }
            Ail::Doubled => mode.is_doubled = true,
        }
        drop(mode);
        self.changed.send_replace(());
    }

    /// Nothing comes for so long, and all of it afterwards.
    pub fn hold(&self, time: Duration) {
        self.mode.lock().unwrap().held_until = Some(Instant::now() + time);
        self.changed.send_replace(());
    }

    /// The stream of a watch that begins now. `pause` says how much later each piece comes.
    pub fn stream(
        self: &Arc<Self>,
        answer: Answer,
        pause: impl FnMut() -> Duration + Send + 'static,
    ) -> BoxStream<'static, Bytes> {
        let Answer::Stream(inner) = answer else { return stream::empty().boxed() };
        let opened = *self.mode.lock().unwrap();
        let flow = Flow {
            tap: Arc::clone(self),
            changed: self.changed.subscribe(),
            inner,
            opened,
            pieces: Vec::new(),
            ready_at: Instant::now(),
            has_ended: false,
            is_over: false,
            pause: Box::new(pause),
        };
        stream::unfold(flow, |mut flow| async move { Some((flow.next().await?, flow)) }).boxed()
    }
}

struct Flow {
    tap: Arc<Tap>,
    changed: watch::Receiver<()>,
    inner: BoxStream<'static, Bytes>,
    /// How things were when it began.
    opened: Mode,
    pieces: Vec<Bytes>,
    /// When the pieces may be seen.
    ready_at: Instant,
    has_ended: bool,
    is_over: bool,
    pause: Box<dyn FnMut() -> Duration + Send>,
}

impl Flow {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mode = *self.tap.mode.lock().unwrap();
            if self.is_over || mode.cut > self.opened.cut {
                return None;
            }
            if mode.gone > self.opened.gone {
                self.is_over = true;
                return Some(expired());
            }
            if mode.silent > self.opened.silent {
                std::future::pending::<()>().await;
            }
            let held_until = mode.held_until.unwrap_or(self.ready_at).max(self.ready_at);
            let is_held = held_until > Instant::now();
            if !is_held && !self.pieces.is_empty() {
                let pieces = std::mem::take(&mut self.pieces);
                return Some(released(&pieces, mode));
            }
            if self.has_ended && self.pieces.is_empty() {
                return None;
            }
            tokio::select! {
                biased;
                _ = self.changed.changed() => {}
                piece = self.inner.next(), if !self.has_ended => match piece {
                    Some(piece) => {
                        if self.pieces.is_empty() {
                            self.ready_at = Instant::now() + (self.pause)();
                        }
                        self.pieces.push(piece);
                    }
                    None => self.has_ended = true,
                },
                () = sleep_until(held_until), if is_held => {}
            }
        }
    }
}

fn released(pieces: &[Bytes], mode: Mode) -> Bytes {
    let mut all = BytesMut::new();
    if !mode.is_coalesced && !mode.is_doubled {
        if let [only] = pieces {
            return only.clone();
        }
        pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        return all.freeze();
    }
    let lines = || pieces.iter().flat_map(|piece| piece.split_inclusive(|byte| *byte == b'\n'));
    let mut last = HashMap::new();
    for (index, line) in lines().enumerate() {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        last.insert(event["object"]["metadata"]["uid"].to_string(), index);
    }
    for (index, line) in lines().enumerate() {
        if !mode.is_coalesced || last.values().any(|last| *last == index) {
            all.extend_from_slice(line);
            if mode.is_doubled {
                all.extend_from_slice(line);
            }
        }
    }
    all.freeze()
}

fn expired() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version",
    });
    Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": status})))
}
