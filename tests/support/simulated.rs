//! A simulated world: the real controllers and the real kube client on the embedded API server, on paused time, with
//! everything random taken from a seed.
//!
//! Responsible for: faults between the operator and the server, users, nodes, and the invariants of `engine.md` at
//! every write. Must never: use the time or the randomness of the machine.

pub mod answers;
pub mod ask;
pub mod direct;
pub mod faults;
pub mod nodes;
pub mod process;
pub mod reading;
pub mod scenario;
pub mod taps;
pub mod users;
pub mod wire;
pub mod witness;
pub mod world;
