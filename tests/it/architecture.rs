//! The walls of the house: who may import whom, and what only one module may do.
//!
//! Responsible for: naming file, line and rule of every breach in `src`. Must never: be loosened for one file; a
//! rule that is wrong is changed here, for all.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod source;

use std::fmt;
use std::path::Path;

use source::{Token, UsedPath};

/// Longest file, without its tests.
const MAX_LINES: usize = 400;

/// What `src` must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Pure,
    KubeInApi,
    Direction,
    Environment,
    Clock,
    Exit,
    Panic,
    ModuleDocs,
    Length,
    ModRs,
    UngatedTests,
}

impl Rule {
    const ALL: [Self; 11] = [
        Self::Pure,
        Self::KubeInApi,
        Self::Direction,
        Self::Environment,
        Self::Clock,
        Self::Exit,
        Self::Panic,
        Self::ModuleDocs,
        Self::Length,
        Self::ModRs,
        Self::UngatedTests,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Pure => "engine and api know no I/O, no clock, no randomness and no runtime",
            Self::KubeInApi => "of kube, api takes only what derives a kind",
            Self::Direction => {
                "imports point down: main, app, {controller, embedded, server}, provider, engine, api"
            }
            Self::Environment => "only config.rs reads the environment; of a flag in cli.rs, clap does",
            Self::Clock => "only clock.rs calls now()",
            Self::Exit => "only main.rs ends the process",
            Self::Panic => "nothing panics outside tests",
            Self::ModuleDocs => "every file starts with //!",
            Self::Length => "no file is longer than 400 lines before its tests",
            Self::ModRs => "modules are foo.rs and foo/, never mod.rs",
            Self::UngatedTests => "a module of tests stands under #[cfg(test)]",
        }
    }
}

/// One breach.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    file: String,
    line: usize,
    rule: Rule,
    what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} ({})", self.file, self.line, self.rule.text(), self.what)
    }
}

/// What the engine and the API may not touch, whole or in part.
const IMPURE: [&str; 21] = [
    "async_nats",
    "axum",
    "futures",
    "futures_core",
    "futures_util",
    "getrandom",
    "hyper",
    "kube",
    "kube_client",
    "kube_core",
    "kube_runtime",
    "rand",
    "reqwest",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];
/// What derives a kind. It makes no request.
const KUBE_IN_API: [&str; 5] =
    ["CustomResource", "CustomResourceExt", "KubeSchema", "Resource", "ResourceExt"];
/// What of `std::env` is not the environment.
const NOT_ENVIRONMENT: [&str; 4] = ["args", "args_os", "consts", "current_exe"];

/// Which of our own modules a module may import; nothing said: any.
fn may_import(module: &str, other: &str) -> bool {
    match module {
        "api" => other == "api",
        "engine" => matches!(other, "engine" | "api"),
        "provider" => !matches!(other, "controller" | "embedded" | "server" | "leader" | "app" | "cli" | "*"),
        "controller" => !matches!(other, "embedded" | "server" | "app" | "cli" | "*"),
        "server" | "embedded" => !matches!(other, "controller" | "provider" | "app" | "cli" | "*"),
        _ => true,
    }
}

/// Every breach in one file; `file` is its path below the root, such as `src/engine/plan.rs`.
fn check(file: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut breach = |line: usize, rule: Rule, what: &str| {
        breaches.push(Breach { file: file.to_owned(), line, rule, what: what.to_owned() });
    };
    if !text.starts_with("//! ") {
        breach(1, Rule::ModuleDocs, text.lines().next().unwrap_or("it is empty"));
    }
    if file.ends_with("/mod.rs") {
        breach(1, Rule::ModRs, "mod.rs");
    }
    // What is named so is gated where it is declared.
    if file.ends_with("/tests.rs") || file.contains("/tests/") {
        return breaches;
    }
    let length = source::first_line_of_tests(text) - 1;
    if length > MAX_LINES {
        breach(MAX_LINES + 1, Rule::Length, &format!("{length} lines"));
    }
    let module = module(file);
    let tokens = source::tokens(&source::program(text));
    for (index, token) in tokens.iter().enumerate() {
        if let Some(rule) = check_token(file, &tokens, index) {
            breach(token.line, rule, &token.text);
        }
    }
    for path in source::paths(&tokens, &module) {
        for rule in check_path(file, &module, &path) {
            breach(path.line, rule, &path.segments.join("::"));
        }
    }
    breaches
}

fn module(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    if matches!(path, "lib" | "main") { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

fn check_token(file: &str, tokens: &[Token], index: usize) -> Option<Rule> {
    let is = |at: usize, expected: &str| tokens.get(at).is_some_and(|t| t.text == expected);
    match tokens[index].text.as_str() {
        "unwrap" | "expect" | "unwrap_err" | "expect_err"
            if is(index + 1, "(") && index.checked_sub(1).is_some_and(|before| is(before, ".")) =>
        {
            Some(Rule::Panic)
        }
        "panic" | "todo" | "unimplemented" | "unreachable" if is(index + 1, "!") => Some(Rule::Panic),
        "tests" if index > 0 && is(index - 1, "mod") => Some(Rule::UngatedTests),
        // clap reads the variable then, and shows it beside the flag.
        "env" if !matches!(file, "src/cli.rs" | "src/config.rs") && in_clap_attribute(&tokens[..index]) => {
            Some(Rule::Environment)
        }
        _ => None,
    }
}

/// Whether what follows stands directly in the parentheses of `#[arg(…)]` or the like.
fn in_clap_attribute(before: &[Token]) -> bool {
    let mut depth = 0_i32;
    let open = before.iter().rposition(|token| {
        match token.text.as_str() {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" => depth -= 1,
            _ => {}
        }
        depth < 0
    });
    let Some([.., hash, bracket, name, parenthesis]) = open.map(|at| &before[..=at]) else { return false };
    hash.text == "#"
        && bracket.text == "["
        && matches!(name.text.as_str(), "arg" | "clap" | "command" | "group")
        && parenthesis.text == "("
}

fn check_path(file: &str, module: &[String], path: &UsedPath) -> Vec<Rule> {
    let mut rules = Vec::new();
    let top = module.first().map_or("", String::as_str);
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let touches = |forbidden: &str| {
        let forbidden: Vec<&str> = forbidden.split("::").collect();
        segments.starts_with(&forbidden) || (path.imported && forbidden.starts_with(&segments))
    };
    if matches!(top, "engine" | "api") && IMPURE.iter().any(|forbidden| touches(forbidden)) {
        if top == "engine" || segments.first() != Some(&"kube") {
            rules.push(Rule::Pure);
        } else if !matches!(segments[..], ["kube", item] if KUBE_IN_API.contains(&item)) {
            rules.push(Rule::KubeInApi);
        }
    }
    if segments.first() == Some(&"crate") && !may_import(top, segments.get(1).unwrap_or(&"*")) {
        rules.push(Rule::Direction);
    }
    if file != "src/config.rs"
        && touches("std::env")
        && !(segments.len() > 2 && NOT_ENVIRONMENT.contains(&segments[2]))
    {
        rules.push(Rule::Environment);
    }
    // tokio's Instant measures and tells no time, and stands still where a test pauses it; clippy refuses std's.
    let measures = matches!(segments[..], ["Instant", "now"] | ["tokio", "time", "Instant", "now"]);
    if file != "src/clock.rs" && segments.len() > 1 && segments.last() == Some(&"now") && !measures {
        rules.push(Rule::Clock);
    }
    if file != "src/main.rs" && matches!(segments[..], [.., "process", "exit" | "abort"]) {
        rules.push(Rule::Exit);
    }
    rules
}

/// All files of `src`, sorted, with their path below the root.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut directories = vec![root.join("src")];
    let mut files = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_walls_stand() {
    let sources = sources();
    assert!(sources.iter().any(|(file, _)| file == "src/lib.rs"), "no source was found");
    let breaches: Vec<String> =
        sources.iter().flat_map(|(file, text)| check(file, text)).map(|breach| breach.to_string()).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// A snippet that must be refused: the file it is in, its code below the `//!` line, and the rule.
const BAD: &[(&str, &str, Rule)] = &[
    ("src/engine/plan.rs", "use tokio::time::sleep;", Rule::Pure),
    ("src/engine/plan.rs", "use tokio::{self as t};", Rule::Pure),
    ("src/engine.rs", "fn f() { tokio::spawn(async {}); }", Rule::Pure),
    ("src/engine/plan.rs", "#[tokio::main]\nfn f() {}", Rule::Pure),
    ("src/engine/plan.rs", "use kube::Client;", Rule::Pure),
    ("src/engine/plan.rs", "use kube::ResourceExt;", Rule::Pure),
    ("src/engine/plan.rs", "use {serde::Serialize, kube::runtime::watcher};", Rule::Pure),
    ("src/engine/plan.rs", "use futures::StreamExt as _;", Rule::Pure),
    ("src/engine/plan.rs", "use futures_util::StreamExt;", Rule::Pure),
    ("src/engine/plan.rs", "use async_nats::Client;", Rule::Pure),
    ("src/engine/plan.rs", "use axum::Router;", Rule::Pure),
    ("src/engine/plan.rs", "fn f() { let _ = ::rand::random::<u8>(); }", Rule::Pure),
    ("src/engine/plan.rs", "extern crate rand;", Rule::Pure),
    ("src/engine/plan.rs", "use std::{collections::BTreeMap, fs};", Rule::Pure),
    ("src/engine/plan.rs", "use std::fs::{self, File};", Rule::Pure),
    ("src/engine/plan.rs", "use std::time::{Duration, SystemTime};", Rule::Pure),
    ("src/engine/plan.rs", "use std::time;", Rule::Pure),
    ("src/engine/plan.rs", "use std::*;", Rule::Pure),
    ("src/api/schema.rs", "use std::fs;", Rule::Pure),
    ("src/api/schema.rs", "use tokio::fs;", Rule::Pure),
    ("src/api/schema.rs", "use kube::Client;", Rule::KubeInApi),
    ("src/api/schema.rs", "use kube::{CustomResource, Api};", Rule::KubeInApi),
    ("src/api/schema.rs", "use kube::runtime::watcher;", Rule::KubeInApi),
    ("src/api/schema.rs", "use kube::*;", Rule::KubeInApi),
    ("src/api.rs", "use kube;", Rule::KubeInApi),
    ("src/api/schema.rs", "use crate::engine::names;", Rule::Direction),
    ("src/api/schema.rs", "use super::super::engine::names;", Rule::Direction),
    ("src/api/schema.rs", "use crate::*;", Rule::Direction),
    ("src/api.rs", "fn f() { super::clock::f(); }", Rule::Direction),
    ("src/engine/plan.rs", "use crate::{api::labels, provider};", Rule::Direction),
    ("src/engine/plan.rs", "use crate::controller;", Rule::Direction),
    ("src/engine/plan.rs", "fn f() { crate::provider::start() }", Rule::Direction),
    ("src/engine/plan.rs", "use crate as c;", Rule::Direction),
    ("src/provider/job.rs", "use crate::controller::context::Context;", Rule::Direction),
    ("src/provider/job/build.rs", "use super::super::super::controller;", Rule::Direction),
    ("src/provider.rs", "use crate::app;", Rule::Direction),
    ("src/server.rs", "use crate::controller;", Rule::Direction),
    ("src/server/health.rs", "use crate::provider::job;", Rule::Direction),
    ("src/embedded/store.rs", "use crate::{\n    api,\n    controller,\n};", Rule::Direction),
    ("src/embedded.rs", "use crate::provider;", Rule::Direction),
    ("src/controller/wiring.rs", "use crate::cli;", Rule::Direction),
    ("src/app.rs", "fn f() { std::env::var(\"X\"); }", Rule::Environment),
    ("src/app.rs", "use std::env;", Rule::Environment),
    ("src/app.rs", "use std::env::{args, var_os};", Rule::Environment),
    (
        "src/app.rs",
        "struct A {\n    #[arg(long, env = \"NAMESPACE\")]\n    namespace: String,\n}",
        Rule::Environment,
    ),
    ("src/app.rs", "struct A {\n    #[clap(env)]\n    namespace: String,\n}", Rule::Environment),
    ("src/cli.rs", "fn f() { std::env::var(\"X\"); }", Rule::Environment),
    ("src/app.rs", "fn f() { Timestamp::now(); }", Rule::Clock),
    ("src/app.rs", "fn f() { std::time::Instant::now(); }", Rule::Clock),
    ("src/cli.rs", "fn f() { std::process::exit(1) }", Rule::Exit),
    ("src/cli.rs", "use std::process::{ExitCode, exit};", Rule::Exit),
    ("src/cli.rs", "use std::process;\nfn f() { process::abort() }", Rule::Exit),
    ("src/app.rs", "fn f(x: Option<u8>) -> u8 { x.unwrap() }", Rule::Panic),
    ("src/app.rs", "fn f(x: Option<u8>) -> u8 {\n    x\n        .expect(\"it is there\")\n}", Rule::Panic),
    ("src/app.rs", "fn f() { panic!(\"no\") }", Rule::Panic),
    ("src/app.rs", "fn f() { unreachable!() }", Rule::Panic),
    ("src/app.rs", "#[cfg(test)]\nmod tests {}\nfn f() { todo!() }", Rule::Panic),
    ("src/engine/mod.rs", "", Rule::ModRs),
    ("src/app.rs", "mod tests;", Rule::UngatedTests),
];

#[test]
fn every_rule_bites() {
    for (file, code, rule) in BAD {
        let breaches = check(file, &format!("//! A file.\n{code}\n"));
        let rules: Vec<Rule> = breaches.iter().map(|breach| breach.rule).collect();
        assert!(rules.contains(rule), "{file}: {rules:?} and not {rule:?}:\n{code}");
    }
    let mut bitten: Vec<Rule> = BAD.iter().map(|(_, _, rule)| *rule).collect();
    bitten.extend([Rule::ModuleDocs, Rule::Length]);
    bitten.sort();
    bitten.dedup();
    assert_eq!(bitten, Rule::ALL, "every rule needs a snippet that breaks it");
}

#[test]
fn a_file_without_a_head_or_an_end_is_refused() {
    let rules = |text: &str| check("src/app.rs", text).into_iter().map(|b| b.rule).collect::<Vec<_>>();
    assert_eq!(rules("use std::fmt;\n"), [Rule::ModuleDocs]);
    assert_eq!(rules(""), [Rule::ModuleDocs]);
    assert_eq!(rules("/// Not the module.\nfn f() {}\n"), [Rule::ModuleDocs]);
    assert_eq!(check("src/app/tests.rs", "fn f() {}\n").len(), 1);
    let long = |lines: usize| format!("//! A file.\n{}", "// x\n".repeat(lines - 1));
    assert_eq!(rules(&long(MAX_LINES)), []);
    assert_eq!(rules(&long(MAX_LINES + 1)), [Rule::Length]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// x\n".repeat(1000));
    assert_eq!(rules(&format!("{}{tests}", long(MAX_LINES))), []);
    assert_eq!(rules(&format!("{}{tests}", long(MAX_LINES + 1))), [Rule::Length]);
}

#[test]
fn what_is_allowed_passes() {
    let good = [
        ("src/engine/plan.rs", "use crate::api::labels;\nuse super::names;\nuse std::time::Duration;"),
        ("src/engine/plan.rs", "use jiff::Timestamp;\nfn f(now: Timestamp) -> Timestamp { now }"),
        (
            "src/engine/plan.rs",
            "// tokio::spawn\n/* use kube::Client; /* panic!() */ use rand; */\nfn f() {}",
        ),
        ("src/engine/plan.rs", "const A: &str = \"use tokio::x; \\\" panic!()\";\nconst B: char = '\"';"),
        (
            "src/engine/plan.rs",
            "const A: &str = r#\"x.unwrap() \" std::env::var\"#;\nconst C: &[u8] = br\"tokio::x\";",
        ),
        (
            "src/engine/plan.rs",
            "fn f<'a>(x: &'a str, y: &'a str) -> &'a str { let _ = ('a', '\\'', '\"'); x }",
        ),
        (
            "src/engine/plan.rs",
            "#[cfg(test)]\nmod tests {\n    use tokio::x;\n    fn f() { g().unwrap(); }\n}",
        ),
        ("src/engine/plan.rs", "#[cfg(test)]\nuse {std::fs, rand::random};\n#[cfg(test)]\nmod tests;"),
        ("src/engine/plan.rs", "fn f() -> impl Sized + use<> { tokio }"),
        ("src/engine/names.rs", "fn f() { let random = rand; random.expect_none(); x.unwrap_or_default() }"),
        ("src/api.rs", "use kube::{CustomResource, CustomResourceExt, KubeSchema, Resource, ResourceExt};"),
        ("src/api/schema.rs", "use crate::api::common::Object;\nuse super::common;"),
        ("src/provider/job.rs", "use crate::engine::names;\nuse kube::Client;"),
        ("src/controller/wiring.rs", "use crate::provider::Provider;\nuse std::process::ExitCode;"),
        (
            "src/app.rs",
            "use crate::{controller, server};\nfn f() { for a in std::env::args() {} clock.now(); }",
        ),
        (
            "src/config.rs",
            "use std::env;\n#[derive(Parser)]\nstruct A {\n    #[arg(env = \"X\")]\n    x: u8,\n}",
        ),
        (
            "src/app.rs",
            "struct A {\n    #[arg(value_parser = f(env))]\n    x: u8,\n}\nconst V: &str = env!(\"X\");",
        ),
        ("src/cli.rs", "struct A {\n    #[arg(long, env = \"X\")]\n    x: u8,\n}"),
        ("src/clock.rs", "fn f() { Timestamp::now(); }"),
        ("src/main.rs", "fn main() { std::process::exit(1) }"),
        (
            "src/app.rs",
            "#[expect(clippy::exit, reason = \"x\")]\nfn expect(unwrap: u8) { std::panic::catch_unwind(f); }",
        ),
    ];
    for (file, code) in good {
        let breaches: Vec<String> =
            check(file, &format!("//! A file.\n{code}\n")).iter().map(ToString::to_string).collect();
        assert!(breaches.is_empty(), "{breaches:?}:\n{code}");
    }
}

#[test]
fn a_breach_names_file_line_and_rule() {
    let text = "//! A file.\n\nuse std::{\n    fmt,\n    fs,\n};\n";
    let breaches: Vec<String> = check("src/engine/plan.rs", text).iter().map(ToString::to_string).collect();
    assert_eq!(
        breaches,
        [
            "src/engine/plan.rs:5: engine and api know no I/O, no clock, no randomness and no runtime (std::fs)"
        ]
    );
}
