//! Embedded mode: the operator with no cluster around it.
//!
//! Responsible for: the parts of Kubernetes that the operator needs, in this process. Must never: know a controller
//! of ours; they are clients like any other.
//!
//! # The API server
//!
//! [`server::Server`] is a tower service: a kube `Client` calls it without sockets. It is generic over custom kinds,
//! which are nothing but their CustomResourceDefinitions: schema, pruning, defaults, CEL rules, status subresource,
//! selectable fields. Built in are the few kinds of [`kinds::builtin`]. What it does not have, it refuses as
//! Kubernetes would, and says that it is the embedded server.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use orchestrator::{clock::SystemClock, embedded::{kinds::definition::Definition, server::Server}};
//! # fn example(custom_resource_definition: &serde_json::Value) {
//! let definition = Definition::compile(custom_resource_definition).ok();
//! let mut builder = Server::builder(Arc::new(SystemClock));
//! if let Some(definition) = definition {
//!     builder = builder.definition(definition);
//! }
//! let server = builder.build();
//! let client: kube::Client = server.client();
//! # }
//! ```
//!
//! A write is one step: validated, stored under the next version, shown to the observer, and everything that follows
//! from it (garbage collection, the end of a namespace) done, before the next one is looked at. There is no task and no
//! thread; time comes from a clock and randomness from a seed, so that a simulation can be replayed. The standalone
//! server and the durable store of a later issue take the place of `server.rs`'s caller and of `store.rs`.

pub mod examine;
pub mod field;
pub mod gc;
pub mod job;
pub mod kinds;
pub mod random;
pub mod refusal;
pub mod runner;
pub mod selector;
pub mod server;
pub mod state;
pub mod store;
pub mod validate;
