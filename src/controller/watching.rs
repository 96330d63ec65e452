//! Watches: every kind that the operator follows, and what each event wakes.
//!
//! Responsible for: filling the caches, and going on after whatever interrupts a watch. Must never: look into an object.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use kube::Resource;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, predicates};

use super::context::Context;
use super::guard::Guarded;
use crate::api::{Orchestration, labels};
use crate::client::Namespaced;
use crate::config::Scope;
use crate::metrics::Kind;
use crate::provider::job::cache::{Facts, Index};

/// All objects of a kind that the operator works on.
pub(super) fn scoped<K>(context: &Context) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match &context.settings.scope {
        Scope::Cluster => Api::all(context.client.0.clone()),
        Scope::Namespace(namespace) => Api::namespaced(context.client.0.clone(), namespace),
    }
}

/// The watch of one kind of definition or Orchestration: fills its store, and shows every event to `seen`.
pub(super) fn tap<K>(
    context: &Arc<Context>,
    writer: Writer<Guarded<K>>,
    seen: impl Fn(&Event<Guarded<K>>) + Send + 'static,
) -> impl Stream<Item = Result<Guarded<K>, watcher::Error>> + Send + 'static
where
    K: Namespaced,
{
    watcher::watcher(scoped::<Guarded<K>>(context), watcher::Config::default())
        .default_backoff()
        .inspect_err(interrupted::<K>(context))
        .reflect(writer)
        .inspect_ok(resumed::<K, Guarded<K>>(context))
        .inspect_ok(seen)
        .applied_objects()
        // Our own status writes come back as changes that concern nobody.
        .predicate_filter(predicates::generation, Default::default())
}

/// The watch of Jobs or pods: fills the provider's cache, and wakes the Orchestrations that a change concerns.
pub(super) fn children<F>(
    context: &Arc<Context>,
    index: fn(&Context) -> &Index<F>,
    wake: UnboundedSender<ObjectRef<Guarded<Orchestration>>>,
) -> BoxFuture<'static, ()>
where
    F: Facts,
    F::Object: Namespaced,
{
    let context = Arc::clone(context);
    let interrupted = interrupted::<F::Object>(&context);
    let resumed = resumed::<F::Object, F::Object>(&context);
    let config = watcher::Config::default().labels(&labels::children_selector());
    watcher::watcher(scoped::<F::Object>(&context), config)
        .backoff(Patient::default())
        .for_each(move |event| {
            match event {
                Ok(event) => {
                    resumed(&event);
                    for (namespace, name) in index(&context).take(&event) {
                        let _ = wake.unbounded_send(ObjectRef::new(&name).within(&namespace));
                    }
                }
                Err(error) => interrupted(&error),
            }
            future::ready(())
        })
        .boxed()
}

/// Pauses of a watch that fails: kube's own, which are forgotten only after two quiet minutes. Every new list begins
/// with an event that tells nothing, and kube takes it for a success: the pauses of a list that fails would never grow.
#[derive(Default)]
struct Patient(watcher::DefaultBackoff);

impl Iterator for Patient {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Patient {
    fn reset(&mut self) {}
}

/// What is done about the errors of the watch of a kind: people are told, it goes on by itself.
fn interrupted<K: Resource<DynamicType = ()>>(
    context: &Arc<Context>,
) -> impl Fn(&watcher::Error) + Send + 'static + use<K> {
    let kind = K::kind(&()).into_owned();
    let context = Arc::clone(context);
    move |error| {
        tracing::warn!(kind, %error, "watch interrupted, it will be resumed");
        context.monitor.metrics.watch_interruptions.get_or_create(&Kind { kind: kind.clone() }).inc();
        context.rights.interrupted(&kind, error);
    }
}

/// What is done about the events of the watch of a kind: what comes was allowed to come. That a list begins says nothing.
fn resumed<K: Resource<DynamicType = ()>, E>(
    context: &Arc<Context>,
) -> impl Fn(&Event<E>) + Send + 'static + use<K, E> {
    let kind = K::kind(&()).into_owned();
    let context = Arc::clone(context);
    move |event| {
        match event {
            Event::Init => {}
            // What is gone since the last list is not told, and must not be waited for.
            Event::InitDone => context.rights.relisted(),
            Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => context.rights.settled(&kind),
        }
    }
}
