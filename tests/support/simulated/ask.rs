//! What the operator asks.
//!
//! Responsible for: telling watches, lists and the election from the rest. Must never: look into a body.

use http::{Method, Request};

use super::faults::Kind;

/// What a request asks, as far as faults depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub kind: Option<Kind>,
    pub is_watch: bool,
    /// A list of a whole kind: the beginning of a watch.
    pub is_list: bool,
    pub is_election: bool,
    pub is_write: bool,
}

impl Ask {
    pub fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let is_whole = !path.contains("/namespaces/") && request.method() == Method::GET;
        let kind = Kind::of(path.rsplit('/').next().unwrap_or_default()).filter(|_| is_whole);
        let is_election = path.contains("/leases");
        let is_write = request.method() != Method::GET;
        Self { kind, is_watch, is_list: is_whole && !is_watch, is_election, is_write }
    }
}
