//! What a cluster refuses, or never comes to, and how a run says so: the rows 62 to 71 of `bad-input.md`.

mod admission;
mod names;
mod quota;
mod waiting;
