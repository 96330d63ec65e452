//! Applying documents: definitions first, judged before any Orchestration is made.
//!
//! Responsible for: every mistake of every document at once, with its place, in the server's and the controllers' own
//! words; nothing runs if there is one. Must never: judge a document itself.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use serde_json::{Value, json};

use crate::api::{ActivityDefinition, OrchestrationDefinition};
use crate::app::local::Local;
use crate::client::words;
use crate::controller::definitions::NOT_CHECKED;
use crate::controller::orchestration_definition;
use crate::engine::acceptance;
use crate::engine::condition::find;
use crate::engine::schema::Schema;
use crate::manifest::{Document, Loaded, Mistake};
use asking::{Create, create, judged, post, reasons};

mod asking;
mod schedule;

/// Namespace and name of what was made.
pub(super) type Made = (String, String);

/// Where documents without a namespace go.
const DEFAULT_NAMESPACE: &str = "default";

/// The order in which kinds are made; all others come first.
fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "ActivityDefinition" => 2,
        "OrchestrationDefinition" => 3,
        "Orchestration" => 4,
        "OrchestrationSchedule" => 5,
        _ => 1,
    }
}

/// The Orchestrations that were made, and what is odd about their definitions.
pub(super) struct Applied {
    pub(super) orchestrations: Vec<Made>,
    pub(super) warnings: Vec<Mistake>,
}

/// Makes all objects. The result is what was made, or every mistake: then no Orchestration was made.
pub(super) async fn all(local: &Local, loaded: &Loaded) -> anyhow::Result<Result<Applied, Vec<Mistake>>> {
    let refused = make_namespaces(local, &loaded.documents).await;
    let mut apply = Apply::new(local, loaded);
    let again = repeated(local, &loaded.documents);
    let mut usable: Vec<&Document> = Vec::new();
    for (at, document) in loaded.documents.iter().enumerate() {
        if let Some(why) = refused.get(&namespace(document)) {
            apply.refuse(document, [format!("metadata.namespace: {why}")]);
        } else if let Some(first) = again.get(&at) {
            apply.refuse_again(document, first).await;
        } else {
            usable.push(document);
        }
    }
    usable.sort_by_key(|document| rank(&document.kind));
    let (orchestrations, others): (Vec<&Document>, Vec<&Document>) =
        usable.into_iter().partition(|document| document.kind == "Orchestration");
    let (schedules, others): (Vec<&Document>, Vec<&Document>) =
        others.into_iter().partition(|document| document.kind == "OrchestrationSchedule");
    apply.make(others).await?;
    for document in &orchestrations {
        apply.check(document).await;
    }
    for document in &schedules {
        apply.check_schedule(document).await;
        apply.warnings.push(mistake(document, "is checked and not followed: only a cluster has its ticks"));
    }
    let mut mistakes = std::mem::take(&mut apply.mistakes);
    if !mistakes.is_empty() {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        return Ok(Err(mistakes));
    }
    if orchestrations.is_empty() {
        let why = if schedules.is_empty() { "" } else { " (schedules are checked and not followed)" };
        anyhow::bail!("there is no Orchestration among the documents: nothing to run{why}");
    }
    let mut wanted = Vec::new();
    for document in orchestrations {
        match create(local, document, &Create::default()).await {
            Ok(created) => wanted.push(created),
            Err(refusal) => mistakes.extend(refusal.reasons.iter().map(|reason| mistake(document, reason))),
        }
    }
    if !mistakes.is_empty() {
        return Ok(Err(mistakes));
    }
    apply.warnings.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(Ok(Applied { orchestrations: wanted, warnings: apply.warnings }))
}

/// What was found out so far.
struct Apply<'a> {
    local: &'a Local,
    loaded: &'a Loaded,
    mistakes: Vec<Mistake>,
    warnings: Vec<Mistake>,
    /// Kind, namespace and name of what has a mistake that was told: what follows from it is not told.
    wrong: BTreeSet<(String, String, String)>,
}

impl<'a> Apply<'a> {
    fn new(local: &'a Local, loaded: &'a Loaded) -> Self {
        let mistakes = loaded.mistakes.clone();
        Self { local, loaded, mistakes, warnings: Vec::new(), wrong: BTreeSet::new() }
    }

    fn refuse(&mut self, document: &Document, reasons: impl IntoIterator<Item = impl AsRef<str>>) {
        self.mistakes.extend(reasons.into_iter().map(|reason| mistake(document, reason.as_ref())));
        self.wrong.insert(key(&document.kind, &namespace(document), document.name.as_deref()));
    }

    /// The second document of the same object. Nothing is made yet, so that the server judges it as if it were the
    /// only one; the controllers cannot.
    async fn refuse_again(&mut self, document: &Document, first: &Document) {
        let (kind, name) = (&document.kind, document.name.as_deref().unwrap_or_default());
        let message = format!("{kind} \"{name}\" is in {} already", first.place.in_words());
        self.mistakes.push(Mistake { place: document.place.clone(), message });
        let (_, reasons) = self.judge(document, true).await;
        self.mistakes.extend(reasons.iter().map(|reason| mistake(document, reason)));
    }

    /// Makes everything but Orchestrations, and waits for what the controllers say of definitions.
    async fn make(&mut self, documents: Vec<&Document>) -> anyhow::Result<()> {
        let mut made: BTreeMap<u8, Vec<(&Document, Made)>> = BTreeMap::new();
        for document in documents {
            let (created, reasons) = self.judge(document, false).await;
            if !reasons.is_empty() {
                self.refuse(document, &reasons);
            }
            if let Some(created) = created {
                made.entry(rank(&document.kind)).or_default().push((document, created));
            }
        }
        let client = self.local.client();
        for (document, created) in made.get(&2).into_iter().flatten() {
            let judged = judged::<ActivityDefinition>(&client, created, |found| {
                found.status.as_ref().and_then(|status| find(&status.conditions, "Ready")).cloned()
            });
            self.refuse_unready(document, &judged.await?);
        }
        let types: Vec<&Made> = made.get(&2).into_iter().flatten().map(|(_, created)| created).collect();
        for (document, created) in made.get(&3).into_iter().flatten() {
            let judged = judged::<OrchestrationDefinition>(&client, created, |found| {
                let ready = found.status.as_ref().and_then(|status| find(&status.conditions, "Ready"))?;
                (!heals(&ready.message, &created.0, &types)).then(|| ready.clone())
            });
            self.refuse_unready(document, &judged.await?);
        }
        Ok(())
    }

    /// What the server says of a document. One with fields that are not known is judged, and made, without them: it
    /// may have more mistakes, and others may refer to it.
    async fn judge(&self, document: &Document, dry_run: bool) -> (Option<Made>, Vec<String>) {
        let strict = match create(self.local, document, &Create { dry_run, lenient: false }).await {
            Ok(created) => return (Some(created), Vec::new()),
            Err(refusal) if !refusal.is_strict => return (None, refusal.reasons),
            Err(refusal) => refusal.reasons,
        };
        match create(self.local, document, &Create { dry_run, lenient: true }).await {
            Ok(created) => (Some(created), strict),
            Err(refusal) => (None, [strict, refusal.reasons].concat()),
        }
    }

    /// Every line of what is wrong with a definition, but for what follows from other mistakes.
    fn refuse_unready(&mut self, document: &Document, ready: &Condition) {
        if ready.status == "True" {
            let warnings = orchestration_definition::warnings(&ready.message).into_iter();
            self.warnings.extend(warnings.map(|warning| mistake(document, &format!("warning: {warning}"))));
            return;
        }
        let namespace = namespace(document);
        let lines: Vec<&str> = ready.message.lines().filter(|line| !self.follows(line, &namespace)).collect();
        self.refuse(document, lines);
    }

    /// Whether a line about a definition is about an activity type that has a mistake of its own, or may have.
    fn follows(&self, line: &str, namespace: &str) -> bool {
        let about = |code: &str| {
            let rest = line.strip_prefix(code)?.split_once("ActivityDefinition \"")?.1;
            rest.split_once('"').map(|(name, _)| name)
        };
        let is_wrong = |name| self.wrong.contains(&key("ActivityDefinition", namespace, Some(name)));
        about("ActivityNotReady: ").is_some_and(is_wrong)
            || about("ActivityDefinitionNotFound: ")
                .is_some_and(|name| is_wrong(name) || self.loaded.may_hold(name))
    }

    /// What the server and the definitions say of an Orchestration before it is made.
    async fn check(&mut self, document: &Document) {
        let (_, mut reasons) = self.judge(document, true).await;
        let type_ = document.value.pointer("/spec/type").and_then(Value::as_str).unwrap_or_default();
        if !type_.is_empty() {
            reasons.extend(self.check_type(document, type_).await);
        }
        self.mistakes.extend(reasons.iter().map(|reason| mistake(document, reason)));
    }

    async fn check_type(&self, document: &Document, type_: &str) -> Vec<String> {
        match self.find_type(&namespace(document), type_, "spec.type").await {
            (Some(definition), _) => check_input(document, &definition),
            (None, told) => told,
        }
    }

    /// The definition that a document names at a path, or what is wrong with that.
    async fn find_type(
        &self,
        namespace: &str,
        type_: &str,
        path: &str,
    ) -> (Option<OrchestrationDefinition>, Vec<String>) {
        let definitions: Api<OrchestrationDefinition> = Api::namespaced(self.local.client(), namespace);
        let told = match definitions.get_opt(type_).await {
            Err(error) => vec![words(&error)],
            Ok(Some(definition)) if !definition.spec.active => {
                vec![format!("DefinitionInactive: {path}: {}", acceptance::inactive(type_))]
            }
            Ok(Some(definition)) => return (Some(definition), Vec::new()),
            Ok(None) => {
                let follows = self.wrong.contains(&key("OrchestrationDefinition", namespace, Some(type_)));
                let missing = !follows && !self.loaded.may_hold(type_);
                let told = format!("DefinitionNotFound: {path}: {}", acceptance::not_found(type_));
                missing.then_some(told).into_iter().collect()
            }
        };
        (None, told)
    }
}

fn key(kind: &str, namespace: &str, name: Option<&str>) -> (String, String, String) {
    (kind.to_owned(), namespace.to_owned(), name.unwrap_or_default().to_owned())
}

/// The documents of objects that an earlier document is of: their positions, and the earlier document.
fn repeated<'a>(local: &Local, documents: &'a [Document]) -> BTreeMap<usize, &'a Document> {
    let mut first: BTreeMap<(String, String, &str), &Document> = BTreeMap::new();
    let mut again = BTreeMap::new();
    for (at, document) in documents.iter().enumerate() {
        let Some(name) = document.name.as_deref() else { continue };
        let Some(kind) = local.server.kind(&document.api_version, &document.kind) else { continue };
        // Saying twice that there is a namespace contradicts nothing.
        if kind.kind == "Namespace" {
            continue;
        }
        let place = if kind.namespaced { namespace(document) } else { String::new() };
        match first.entry((kind.storage.clone(), place, name)) {
            Entry::Vacant(vacant) => drop(vacant.insert(document)),
            Entry::Occupied(occupied) => drop(again.insert(at, *occupied.get())),
        }
    }
    again
}

/// Whether a definition was judged before the controller had seen its activity types, or had judged them: then it is
/// judged again.
fn heals(message: &str, namespace: &str, types: &[&Made]) -> bool {
    message.contains(NOT_CHECKED)
        || types.iter().any(|(place, name)| {
            place == namespace && message.contains(&format!("ActivityDefinition \"{name}\" not found"))
        })
}

/// What acceptance would say of the input.
fn check_input(document: &Document, definition: &OrchestrationDefinition) -> Vec<String> {
    let input = document.value.pointer("/spec/input").and_then(Value::as_object);
    if let Some((reason, message)) = input.and_then(acceptance::check_size) {
        return vec![format!("{reason}: {message}")];
    }
    // A schema with mistakes is told with its definition.
    let schema = definition.spec.schema.as_ref().and_then(|raw| Schema::compile_object(raw).ok());
    let type_ = definition.metadata.name.as_deref().unwrap_or_default();
    match acceptance::check_input(type_, schema.as_ref(), input, acceptance::INPUT) {
        Some(refusal) => refusal.lines(),
        None => Vec::new(),
    }
}

fn namespace(document: &Document) -> String {
    let given = document.value.pointer("/metadata/namespace").and_then(Value::as_str);
    given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_NAMESPACE).to_owned()
}

/// Every namespace that a document names is made; people have theirs on the cluster and not in the files. The result
/// is the namespaces that cannot be, and why.
async fn make_namespaces(local: &Local, documents: &[Document]) -> BTreeMap<String, String> {
    let mut refused = BTreeMap::new();
    let mut names: Vec<String> = documents.iter().map(namespace).collect();
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| *name != DEFAULT_NAMESPACE) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        if let Err(error) = post(&local.client(), "/api/v1/namespaces", &body).await {
            // Its label of the same name is wrong for the same reason.
            let why = reasons(&error).into_iter().next().unwrap_or_default();
            refused.insert(name.clone(), why.trim_start_matches("metadata.name: ").to_owned());
        }
    }
    refused
}

fn mistake(document: &Document, message: &str) -> Mistake {
    let name = document.name.as_deref().unwrap_or_default();
    let what = if name.is_empty() { document.kind.clone() } else { format!("{} {name}", document.kind) };
    Mistake { place: document.place.clone(), message: format!("{what}: {message}") }
}
