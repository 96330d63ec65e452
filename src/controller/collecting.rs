//! Collecting: revisions that nothing refers to any more are deleted.
//!
//! Responsible for: that revisions do not pile up with every edit of a definition. Must never: delete one that an
//! Orchestration refers to, finished or not, or that one is being pinned to; in doubt it stays.
//!
//! Within this process a lock keeps the two apart. No lock reaches another process that works at the same time: a leader
//! that does not know yet that it is none, or a second operator without an election. It can only pin to a revision that it
//! read as that of a definition, and every version of a definition comes by our own watch as well. From then on a revision
//! stays for the time that the settings say, however short the definition named it; each of the few calls from reading a
//! definition to recording what is pinned is bounded ([`crate::client::CALL_TIMEOUT`]), and far shorter together. Where
//! our watch is behind the server, nothing of that definition is deleted. A creation of the same content afterwards is
//! another object, which the precondition on the uid spares.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::context::Context;
use super::error::Error;
use super::guard::Guarded;
use super::watching::scoped;
use crate::api::{Orchestration, OrchestrationDefinition, labels};
use crate::client::bounded;

/// Longest time from one look through all revisions to the next.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Namespace and name of a definition.
type Definition = (String, String);

/// A revision, as far as collecting it needs to know.
#[derive(Clone, Debug)]
struct Candidate {
    name: String,
    uid: String,
    definition: Definition,
}

/// Takes note of a version of a definition, however soon another one follows.
pub(super) fn saw(context: &Context, definition: &Guarded<OrchestrationDefinition>) {
    let status = definition.content.as_ref().ok().and_then(|definition| definition.status.as_ref());
    if let Some(revision) = status.and_then(|status| status.revision.as_deref()) {
        context.revisions.note_named(&definition.namespace().unwrap_or_default(), revision);
    }
}

/// Collects until it is dropped. What nothing refers to stays for the time that the settings say.
pub async fn run(context: Arc<Context>) {
    let mut unused = HashMap::new();
    loop {
        tokio::time::sleep((context.settings.revision_retention / 6).min(LONGEST_PAUSE)).await;
        if let Err(error) = sweep(&context, &mut unused).await {
            tracing::warn!(%error, "revisions are not collected, the next time will do");
        }
    }
}

/// Looks through all revisions once. `unused` tells since when which of them, by uid, have been unused.
async fn sweep(context: &Context, unused: &mut HashMap<String, Instant>) -> Result<(), Error> {
    let candidates = candidates(context).await?;
    let listed: HashSet<&str> = candidates.iter().map(|candidate| candidate.uid.as_str()).collect();
    unused.retain(|uid, _| listed.contains(uid.as_str()));
    let used = Used::in_caches(context);
    let named = context.revisions.named_within(context.settings.revision_retention);
    let mut due: BTreeMap<Definition, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        if used.holds(&candidate) {
            unused.remove(&candidate.uid);
            continue;
        }
        let since = *unused.entry(candidate.uid.clone()).or_insert_with(Instant::now);
        let was_named = named.contains(&(candidate.definition.0.clone(), candidate.name.clone()));
        if since.elapsed() >= context.settings.revision_retention && !was_named {
            due.entry(candidate.definition.clone()).or_default().push(candidate);
        }
    }
    for (definition, candidates) in due {
        collect(context, &definition, candidates).await?;
    }
    Ok(())
}

/// All revisions that we made.
async fn candidates(context: &Context) -> Result<Vec<Candidate>, Error> {
    let api: Api<ControllerRevision> = scoped(context);
    let ours = format!("{},{}={}", labels::DEFINITION_HASH, labels::MANAGED_BY.0, labels::MANAGED_BY.1);
    let mut page = ListParams::default().labels(&ours).limit(PAGE);
    let mut candidates = Vec::new();
    loop {
        let found = bounded(api.list_metadata(&page))
            .await
            .map_err(|source| Error::Read { what: "the ControllerRevisions", source })?;
        candidates.extend(found.items.iter().filter_map(|revision| {
            // Without it nobody knows who may refer to it.
            let definition = revision.annotations().get(labels::DEFINITION)?.clone();
            let definition = (revision.namespace()?, definition);
            Some(Candidate { name: revision.name_any(), uid: revision.uid()?, definition })
        }));
        match found.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(candidates),
        }
    }
}

/// What is referred to, as the caches show it.
#[derive(Debug, Default)]
struct Used {
    revisions: HashSet<(String, String)>,
    /// Namespaces with an Orchestration that cannot be read: it may refer to anything.
    unclear: HashSet<String>,
}

impl Used {
    fn in_caches(context: &Context) -> Self {
        let mut used = Self::default();
        for found in context.orchestrations.state() {
            let namespace = found.namespace().unwrap_or_default();
            match revision_of(&found) {
                Ok(Some(revision)) => drop(used.revisions.insert((namespace, revision.to_owned()))),
                Ok(None) => {}
                Err(Unclear) => drop(used.unclear.insert(namespace)),
            }
        }
        for found in context.definitions.orchestrations.state() {
            let status = found.content.as_ref().ok().and_then(|definition| definition.status.as_ref());
            if let Some(revision) = status.and_then(|status| status.revision.clone()) {
                used.revisions.insert((found.namespace().unwrap_or_default(), revision));
            }
        }
        used
    }

    fn holds(&self, candidate: &Candidate) -> bool {
        let namespace = &candidate.definition.0;
        self.unclear.contains(namespace)
            || self.revisions.contains(&(namespace.clone(), candidate.name.clone()))
    }
}

/// It cannot be read what an Orchestration refers to.
struct Unclear;

fn revision_of(orchestration: &Guarded<Orchestration>) -> Result<Option<&str>, Unclear> {
    let content = orchestration.content.as_ref().map_err(|_| Unclear)?;
    Ok(content.status.as_ref().and_then(|status| status.revision.as_deref()))
}

/// Deletes what is unused of one definition's revisions. The caches are not believed: the server itself is asked, while
/// no acceptance of ours is under way.
async fn collect(
    context: &Context,
    (namespace, definition): &Definition,
    candidates: Vec<Candidate>,
) -> Result<(), Error> {
    let _none_in_use = context.revisions.none_in_use().await;
    let Some(used) = used_now(context, namespace, definition).await? else { return Ok(()) };
    let api: Api<ControllerRevision> = Api::namespaced(context.client.0.clone(), namespace);
    for candidate in candidates.iter().filter(|candidate| !used.contains(&candidate.name)) {
        let same = Preconditions { uid: Some(candidate.uid.clone()), ..Preconditions::default() };
        let deleted =
            bounded(api.delete(&candidate.name, &DeleteParams::default().preconditions(same))).await;
        match deleted {
            Ok(_) => {}
            // Gone already, or another one by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(source) => return Err(Error::Write { what: "the end of a ControllerRevision", source }),
        }
        context.revisions.forget(namespace, &candidate.name);
        tracing::info!(%namespace, %definition, revision = %candidate.name, "unused revision deleted");
    }
    Ok(())
}

/// The revisions of a definition that the server itself knows to be used; nothing if that cannot be told.
async fn used_now(
    context: &Context,
    namespace: &str,
    definition: &str,
) -> Result<Option<HashSet<String>>, Error> {
    let mut used = HashSet::new();
    let definitions: Api<Guarded<OrchestrationDefinition>> =
        Api::namespaced(context.client.0.clone(), namespace);
    let found = bounded(definitions.get_opt(definition)).await;
    let found = found.map_err(|source| Error::Read { what: "the OrchestrationDefinition", source })?;
    let version = found.as_ref().and_then(ResourceExt::resource_version);
    let seen = context.definitions.orchestrations.get(&ObjectRef::new(definition).within(namespace));
    if version != seen.and_then(|seen| seen.resource_version()) {
        return Ok(None);
    }
    match found.map(|found| found.content) {
        None => {}
        Some(Err(_)) => return Ok(None),
        Some(Ok(found)) => used.extend(found.status.and_then(|status| status.revision)),
    }
    let orchestrations: Api<Guarded<Orchestration>> = Api::namespaced(context.client.0.clone(), namespace);
    let mut page = ListParams::default().fields(&format!("spec.type={definition}")).limit(PAGE);
    loop {
        let found = bounded(orchestrations.list(&page))
            .await
            .map_err(|source| Error::Read { what: "the Orchestrations", source })?;
        for orchestration in &found.items {
            match revision_of(orchestration) {
                Ok(revision) => used.extend(revision.map(str::to_owned)),
                Err(Unclear) => return Ok(None),
            }
        }
        match found.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(Some(used)),
        }
    }
}
