//! Orchestrator: a Kubernetes operator that runs orchestrations, DAGs of activities.
//!
//! # Bird's-eye view
//!
//! People apply four kinds. An **ActivityDefinition** is a type of work, an **OrchestrationDefinition** a DAG of
//! activities, an **Orchestration** one execution of it, an **OrchestrationSchedule** makes Orchestrations as time passes.
//! The controllers compile definitions, pin them when an Orchestration is accepted, make one Kubernetes Job per attempt
//! of an activity, hand outputs on as inputs, and write down in the status how far everything is.
//!
//! Every controller is the same six steps: guard, observe, validate, plan, apply, record and report. Validating and
//! planning are pure functions of the [`engine`]; everything that touches the world is a thin shell around them.
//!
//! # Code map
//!
//! | module | what it is |
//! | --- | --- |
//! | [`api`] | the kinds: what users write and read |
//! | [`engine`] | every decision, as pure functions: compile, graph, acceptance, plan |
//! | [`provider`] | who does the work, in the engine's words: Jobs and their pods |
//! | [`controller`] | the six steps around the engine, one file per kind |
//! | [`embedded`] | Kubernetes without a cluster: the API server, the Job controller and the kubelet, in this process |
//! | [`leader`] | of several replicas, one works |
//! | [`manifest`] | files of documents, as people keep them |
//! | [`lint`] | everything that is wrong with documents, told without a cluster |
//! | [`client`] | how we talk to the API server |
//! | [`monitor`], [`health`], [`metrics`], [`server`] | what a running operator shows of itself, and the ports where it does |
//! | [`app`], [`cli`], [`config`], [`clock`], [`telemetry`], [`shutdown`] | the process |
//!
//! Dependencies point one way: `main → cli → app → controller → provider → engine → api`. A test holds them to it.
//!
//! # Invariants
//!
//! * The retained Job with its deterministic name is the record that an attempt was started: an effect comes first,
//!   the status afterwards, and a crash in between is healed by observing.
//! * Outputs are stored before an activity that reads them starts.
//! * A status is written with the resourceVersion that it was computed from, and says only what was observed.
//! * A finished status never changes; the API server enforces it.
//! * One bad object never stops the others.

// Test helpers read better when they take what a test writes down.
#![cfg_attr(test, allow(clippy::needless_pass_by_value))]

pub mod api;
pub mod app;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod controller;
pub mod embedded;
pub mod engine;
pub mod health;
pub mod leader;
pub mod lint;
pub mod manifest;
pub mod metrics;
pub mod monitor;
pub mod provider;
pub mod server;
pub mod shutdown;
pub mod telemetry;
