//! Wiring: watches, caches and triggers become running controllers.
//!
//! Responsible for: one watch per kind, and which change wakes which object. Must never: look into an object further
//! than that takes.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::unbounded;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, future};
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::backoff;
use super::context::{ClientHandle, Context};
use super::definitions::Definitions;
use super::error::Error;
use super::guard::Guarded;
use super::memory::{Memory, Written};
use super::report::Reporter;
use super::revisions::Revisions;
use super::rights::Rights;
use super::runs::Runs;
use super::schedule::{self, clocks, knowledge::AllKnowledge};
use super::schemas::SchemaCache;
use super::watching::{children, tap};
use super::{activity_definition, collecting, filling, measuring, orchestration, orchestration_definition};
use crate::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use crate::client::Namespaced;
use crate::clock::Clock;
use crate::config::{Scope, Settings};
use crate::monitor::Monitor;
use crate::provider::job::JobProvider;

/// How long reconciles that are under way may take to end at a shutdown: less than the 30 s that Kubernetes gives a
/// pod. Whatever is given up then is found again by whoever comes next.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Turns true when the controllers are to stop.
pub type Shutdown = watch::Receiver<bool>;

/// Runs all controllers until shutdown. Returns early only if a watch or a controller ends, which none should.
pub async fn run(
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    monitor: Monitor,
    shutdown: Shutdown,
) {
    filling::begin(&monitor.health, &settings.scope);
    let (activities, activity_writer) = reflector::store();
    let (definitions, definition_writer) = reflector::store();
    let (orchestrations, orchestration_writer) = reflector::store();
    let (schedules, schedule_writer) = reflector::store();
    let (listed, activities_listed) = watch::channel(false);
    let (definitions_listed, orchestrations_listed) = watch::channel(false);
    let (wake_definitions, definitions_woken) = unbounded();
    let (wake_orchestrations, orchestrations_woken) = unbounded();
    let (wake_schedules, schedules_woken) = unbounded();

    let rights = Arc::new(Rights::new(monitor.health.clone(), &settings.scope));
    let handle = ClientHandle(client.clone());
    let context = Arc::new(Context {
        client: handle.clone(),
        reporter: Reporter::new(handle.clone(), Arc::clone(&clock), settings.instance.clone()),
        clock,
        jobs: Arc::new(JobProvider::new(client.clone())),
        definitions: Definitions {
            activities: activities.clone(),
            orchestrations: definitions.clone(),
            schemas: SchemaCache::default(),
            activities_listed,
            orchestrations_listed,
        },
        orchestrations: orchestrations.clone(),
        schedules: schedules.clone(),
        runs: Runs::default(),
        knowledge: AllKnowledge::default(),
        revisions: Revisions::new(handle, settings.allow_host_access),
        memory: Memory::default(),
        written: Written::default(),
        backoff: backoff::Backoff::new(monitor.metrics.clone(), Arc::clone(&rights)),
        rights,
        settings,
        monitor,
    });

    context.monitor.metrics.count_states({
        let orchestrations = orchestrations.clone();
        move || measuring::census(&orchestrations.state())
    });

    let activity_events = tap(&context, activity_writer, {
        let context = Arc::clone(&context);
        move |event: &Event<Guarded<ActivityDefinition>>| {
            if let Event::Delete(gone) = event {
                context.backoff.forget(&gone.uid().unwrap_or_default());
            }
            let users = match event {
                Event::Apply(changed) | Event::Delete(changed) => {
                    let namespace = changed.namespace().unwrap_or_default();
                    orchestration_definition::users_of(&context.definitions, &namespace, &changed.name_any())
                }
                // The store changes as a whole, and what it no longer holds is not told.
                Event::InitDone => {
                    listed.send_replace(true);
                    let all = context.definitions.orchestrations.state();
                    all.iter().map(|found| ObjectRef::from_obj(found.as_ref())).collect()
                }
                Event::Init | Event::InitApply(_) => return,
            };
            for user in users {
                let _ = wake_definitions.unbounded_send(user);
            }
        }
    });
    let definition_events = tap(&context, definition_writer, {
        let (context, wake) = (Arc::clone(&context), wake_orchestrations.clone());
        let wake_schedules = wake_schedules.clone();
        move |event: &Event<Guarded<OrchestrationDefinition>>| {
            if let Event::Delete(gone) = event {
                let uid = gone.uid().unwrap_or_default();
                context.written.definitions.forget(&uid);
                context.backoff.forget(&uid);
            }
            for user in schedules_of(&context, event, &definitions_listed) {
                let _ = wake_schedules.unbounded_send(user);
            }
            let (Event::Apply(changed) | Event::InitApply(changed)) = event else { return };
            collecting::saw(&context, changed);
            for waiting in orchestration::waiting_for(
                &context,
                &changed.namespace().unwrap_or_default(),
                &changed.name_any(),
            ) {
                let _ = wake.unbounded_send(waiting);
            }
        }
    });
    let orchestration_events = tap(&context, orchestration_writer, {
        let (context, wake_schedules) = (Arc::clone(&context), wake_schedules.clone());
        move |event: &Event<Guarded<Orchestration>>| {
            for schedule in context.runs.take(event) {
                let _ = wake_schedules.unbounded_send(schedule);
            }
            if let Event::Delete(gone) = event {
                let uid = gone.uid().unwrap_or_default();
                context.memory.forget(&uid);
                context.backoff.forget(&uid);
            }
        }
    });

    let schedule_events = tap(&context, schedule_writer, {
        let context = Arc::clone(&context);
        move |event: &Event<Guarded<OrchestrationSchedule>>| {
            if let Event::Delete(gone) = event {
                let uid = gone.uid().unwrap_or_default();
                context.written.schedules.forget(&uid);
                context.knowledge.forget(&uid);
                context.backoff.forget(&uid);
            }
        }
    });
    let clocks = clocks::watch(Arc::clone(&context.clock), {
        let context = Arc::clone(&context);
        move || {
            for schedule in schedule::all(&context) {
                let _ = wake_schedules.unbounded_send(schedule);
            }
        }
    });

    let jobs = children(&context, |context| &context.jobs.jobs, wake_orchestrations.clone());
    let pods = children(&context, |context| &context.jobs.pods, wake_orchestrations);
    let collecting = collecting::run(Arc::clone(&context)).boxed();
    let activities = controller(
        &context,
        activity_events,
        activities,
        future::pending().into_stream(),
        &shutdown,
        activity_definition::reconcile,
    );
    let definitions = controller(
        &context,
        definition_events,
        definitions,
        definitions_woken,
        &shutdown,
        orchestration_definition::reconcile,
    );
    let orchestrations = controller(
        &context,
        orchestration_events,
        orchestrations,
        orchestrations_woken,
        &shutdown,
        when_filled,
    );
    let schedules = controller(&context, schedule_events, schedules, schedules_woken, &shutdown, when_listed);

    // Each task of its own: a slow reconcile of one kind never holds up another kind's watch. None outlives this
    // future, however it ends.
    let filling = filling::follow(Arc::clone(&context)).boxed();
    let watched = |(name, work): (&'static str, BoxFuture<'static, ()>)| {
        let health = context.monitor.health.clone();
        let name = match &context.settings.scope {
            Scope::Cluster => name.to_owned(),
            Scope::Namespace(namespace) => format!("{name} in {namespace}"),
        };
        async move { health.watch(&name, work).await }
    };
    let mut watches: JoinSet<()> = [
        ("watch of Jobs", jobs),
        ("watch of Pods", pods),
        ("collection of revisions", collecting),
        ("clocks", clocks.boxed()),
        ("first lists", filling),
    ]
    .into_iter()
    .map(watched)
    .collect();
    let mut controllers: JoinSet<()> = [
        ("controller of ActivityDefinitions", activities),
        ("controller of OrchestrationDefinitions", definitions),
        ("controller of Orchestrations", orchestrations),
        ("controller of OrchestrationSchedules", schedules),
    ]
    .into_iter()
    .map(watched)
    .collect();
    let mut stop = shutdown.clone();
    let overdue = async {
        let _ = stop.wait_for(|stop| *stop).await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::pin!(overdue);
    loop {
        let ended = tokio::select! {
            ended = controllers.join_next() => ended,
            ended = watches.join_next() => ended,
            () = &mut overdue => {
                tracing::warn!("calls to the server are still under way, they are given up");
                return;
            }
        };
        let Some(ended) = ended else { return };
        if !*shutdown.borrow() {
            // Half an operator is worse than none: the process ends, and is started again.
            tracing::error!(?ended, "a watch or a controller has ended by itself");
            return;
        }
    }
}

/// Orchestrations are looked at only once all caches are filled: what is missing then is missing indeed.
async fn when_filled(object: Arc<Guarded<Orchestration>>, context: Arc<Context>) -> Result<Action, Error> {
    context.jobs.jobs.wait_until_filled().await;
    context.jobs.pods.wait_until_filled().await;
    context.definitions.wait_until_listed().await?;
    orchestration::reconcile(object, context).await
}

/// Schedules are looked at only once definitions and runs are listed: what is missing then is missing indeed.
async fn when_listed(
    object: Arc<Guarded<OrchestrationSchedule>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    context.runs.wait_until_listed().await?;
    context.definitions.wait_until_orchestrations_listed().await?;
    schedule::reconcile(object, context).await
}

/// The schedules that a change of a definition concerns.
fn schedules_of(
    context: &Context,
    event: &Event<Guarded<OrchestrationDefinition>>,
    listed: &watch::Sender<bool>,
) -> Vec<ObjectRef<Guarded<OrchestrationSchedule>>> {
    match event {
        Event::Apply(changed) | Event::Delete(changed) => {
            schedule::users_of(context, &changed.namespace().unwrap_or_default(), &changed.name_any())
        }
        // The store changes as a whole, and what it no longer holds is not told.
        Event::InitDone => {
            listed.send_replace(true);
            schedule::all(context)
        }
        Event::Init | Event::InitApply(_) => Vec::new(),
    }
}

/// One controller, with pauses per object and a guard against panics around its reconcile.
fn controller<K, F>(
    context: &Arc<Context>,
    events: impl Stream<Item = Result<Guarded<K>, watcher::Error>> + Send + 'static,
    store: Store<Guarded<K>>,
    woken: impl Stream<Item = ObjectRef<Guarded<K>>> + Send + 'static,
    shutdown: &Shutdown,
    reconcile: fn(Arc<Guarded<K>>, Arc<Context>) -> F,
) -> BoxFuture<'static, ()>
where
    K: Namespaced,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
    ObjectRef<Guarded<K>>: Hash,
{
    let mut stop = shutdown.clone();
    Controller::for_stream(events, store)
        .with_config(controller::Config::default().concurrency(context.settings.concurrency))
        .reconcile_on(woken)
        .graceful_shutdown_on(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .run(
            move |object: Arc<Guarded<K>>, context: Arc<Context>| async move {
                let work = reconcile(Arc::clone(&object), Arc::clone(&context));
                Ok::<_, std::convert::Infallible>(context.backoff.run(object.as_ref(), work).await)
            },
            |_, impossible, _| match *impossible {},
            Arc::clone(context),
        )
        .for_each(|result| {
            if let Err(error) = result {
                tracing::debug!(%error, "not reconciled");
            }
            future::ready(())
        })
        .boxed()
}
