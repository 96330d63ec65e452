//! Watches: changes as they happen, from a version on.
//!
//! Responsible for: initial events, bookmarks, and telling who fell behind that he must list again. Must never: keep
//! changes for a watcher: each reads the one history at its own pace, so that a slow one costs nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use http::Response;
use http::header::ACCEPT;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::answer::{self, Shape};
use super::body::Body;
use super::read::check_options;
use super::{Call, Server};
use crate::embedded::kinds::Kind;
use crate::embedded::refusal::Refusal;
use crate::embedded::selector::Selector;
use crate::embedded::store::{Change, Compacted, Object};

/// How long a watch lasts when nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// How often a watcher that wants bookmarks gets one, if anything has happened.
const BOOKMARKS_EVERY: Duration = Duration::from_secs(60);
/// Most bytes that are written at once.
const CHUNK: usize = 256 * 1024;

/// Starts a watch.
pub fn start(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let (kind, parameters) = (Arc::clone(&call.target.kind), &call.parameters);
    check_options(parameters, true)?;
    let selector =
        Selector::parse(&kind, parameters.text("labelSelector"), parameters.text("fieldSelector"))?;
    let timeout = parameters.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    let asked = parameters.version("resourceVersion").map_err(|refusal| {
        // Kubernetes finds this out late, and takes it for its own mistake.
        Refusal::internal(refusal.message.trim_start_matches("invalid resource version: "))
    })?;
    let asked = asked.filter(|asked| *asked > 0);
    let wants_end = parameters.flag("sendInitialEvents")?;
    let allows_bookmarks = parameters.flag("allowWatchBookmarks")?;
    let mut state = server.state();
    let changed = state.store.subscribe(&kind.storage);
    let current = call.as_of.map_or(state.store.version(), |as_of| as_of.0);
    let initial = if asked.is_none() || wants_end {
        let found = state.store.list_at(&kind.storage, call.target.namespace.as_deref(), current);
        let found =
            found.map_err(|_| Refusal::expired("The resourceVersion for the provided watch is too old."))?;
        found.into_iter().filter(|object| selector.matches(&object.value)).collect()
    } else {
        Vec::new()
    };
    drop(state);
    let watcher = Watcher {
        server: server.clone(),
        cursor: if asked.is_none() || wants_end { current } else { asked.unwrap_or(current) },
        told: 0,
        changed,
        initial: initial.into_iter(),
        end_of_initial: wants_end && allows_bookmarks,
        allows_bookmarks,
        deadline: Box::pin(sleep(timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs))),
        next_bookmark: Box::pin(sleep(BOOKMARKS_EVERY)),
        namespace: call.target.namespace.clone(),
        is_over: false,
        selector,
        shape,
        kind,
    };
    let stream =
        futures::stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await?, watcher)) });
    Ok(answer::stream(stream.boxed()))
}

struct Watcher {
    server: Server,
    kind: Arc<Kind>,
    namespace: Option<String>,
    selector: Selector,
    shape: Shape,
    /// Everything up to this version has been written.
    cursor: u64,
    /// The version of the last bookmark.
    told: u64,
    changed: Arc<Notify>,
    initial: std::vec::IntoIter<Arc<Object>>,
    /// Whether the end of the initial events is still to be told.
    end_of_initial: bool,
    allows_bookmarks: bool,
    deadline: Pin<Box<Sleep>>,
    next_bookmark: Pin<Box<Sleep>>,
    is_over: bool,
}

impl Watcher {
    /// The next bytes; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut chunk = BytesMut::new();
        for object in self.initial.by_ref() {
            write(&mut chunk, "ADDED", &answer::object_text(&self.kind, &object, self.shape));
            if chunk.len() > CHUNK {
                return Some(chunk.freeze());
            }
        }
        if std::mem::take(&mut self.end_of_initial) {
            self.bookmark(&mut chunk, true);
        }
        if !chunk.is_empty() {
            return Some(chunk.freeze());
        }
        let changed = Arc::clone(&self.changed);
        loop {
            // Waiting begins before looking, so that nothing is missed in between.
            let notified = changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            self.advance(&mut chunk);
            if !chunk.is_empty() {
                return Some(chunk.freeze());
            }
            let is_time_for_bookmark = tokio::select! {
                biased;
                () = notified => false,
                () = &mut self.deadline => {
                    self.is_over = true;
                    true
                }
                () = &mut self.next_bookmark, if self.allows_bookmarks => {
                    let next = self.next_bookmark.deadline() + BOOKMARKS_EVERY;
                    self.next_bookmark.as_mut().reset(next);
                    true
                }
            };
            if is_time_for_bookmark && self.allows_bookmarks && self.cursor > self.told {
                self.bookmark(&mut chunk, false);
                return Some(chunk.freeze());
            }
            if self.is_over {
                return None;
            }
        }
    }

    /// Writes what has happened since the last time.
    fn advance(&mut self, chunk: &mut BytesMut) {
        let server = self.server.clone();
        let mut changes: Vec<Arc<Change>> = Vec::new();
        let state = server.state();
        let newest = state.store.version();
        let compacted = match state.store.changes(&self.kind.storage, self.cursor) {
            Ok(found) => {
                let is_in = |change: &&Arc<Change>| {
                    self.namespace.as_ref().is_none_or(|namespace| *namespace == change.place.0)
                };
                changes.extend(found.filter(is_in).cloned());
                None
            }
            Err(Compacted { .. }) => Some(newest),
        };
        drop(state);
        if let Some(newest) = compacted {
            let refusal = Refusal::expired(format!("too old resource version: {} ({newest})", self.cursor));
            write(chunk, "ERROR", refusal.status().to_string().as_bytes());
            self.is_over = true;
            return;
        }
        for change in &changes {
            self.cursor = change.version;
            self.event(change, chunk);
            if chunk.len() > CHUNK {
                return;
            }
        }
        self.cursor = self.cursor.max(newest);
    }

    fn event(&self, change: &Change, chunk: &mut BytesMut) {
        let before = change.old.as_ref().is_some_and(|old| self.selector.matches(&old.value));
        let after = !change.removed && self.selector.matches(&change.object.value);
        let type_ = match (before, after) {
            (false, false) => return,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        match &change.old {
            // To who selects, it is gone: he is shown what he knew.
            Some(old) if type_ == "DELETED" && !change.removed => {
                let mut last = old.value.clone();
                if let Some(version) = last.pointer_mut("/metadata/resourceVersion") {
                    *version = json!(change.version.to_string());
                }
                let shown = match self.shape {
                    Shape::Metadata => answer::partial(&last),
                    Shape::Whole => self.kind.view(&last).unwrap_or(last),
                };
                write(chunk, type_, shown.to_string().as_bytes());
            }
            _ => write(chunk, type_, &answer::object_text(&self.kind, &change.object, self.shape)),
        }
    }

    fn bookmark(&mut self, chunk: &mut BytesMut, is_end_of_initial: bool) {
        self.told = self.cursor;
        let mut metadata = json!({"resourceVersion": self.cursor.to_string(), "creationTimestamp": null});
        if is_end_of_initial && let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("annotations".to_owned(), json!({"k8s.io/initial-events-end": "true"}));
        }
        let (kind, version) = match self.shape {
            Shape::Whole => (self.kind.kind.clone(), self.kind.api_version()),
            Shape::Metadata => ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let object: Value = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
        write(chunk, "BOOKMARK", object.to_string().as_bytes());
    }
}

fn write(chunk: &mut BytesMut, type_: &str, object: &[u8]) {
    chunk.put_slice(b"{\"type\":\"");
    chunk.put_slice(type_.as_bytes());
    chunk.put_slice(b"\",\"object\":");
    chunk.put_slice(object);
    chunk.put_slice(b"}\n");
}
