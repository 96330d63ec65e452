//! Collections: the lists that `filter` and `map` make.
//!
//! Responsible for: adding an element without copying those that are there already. The interpreter copies the list twice
//! in every round, which makes a loop take the square of its elements. Must never: outlive the loop it is made for.

use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, Value};

/// A list that begins empty.
pub(super) const COLLECTION: &str = "@collection";
/// Adds an element to one; the result is the same list.
pub(super) const COLLECT: &str = "@collect";
/// What was collected, as a list.
pub(super) const COLLECTED: &str = "@collected";

/// What a loop has collected so far. Every evaluation of a loop begins one of its own, and nothing else can name it.
#[derive(Debug, Default)]
struct Collection(Mutex<Vec<Value>>);

impl PartialEq for Collection {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Collection {}

impl Opaque for Collection {
    fn runtime_type_name(&self) -> &str {
        "orchestrator.dev/collection"
    }
}

/// Adds the functions to those of the interpreter.
pub(super) fn register(context: &mut Context<'_>) {
    context.add_function(COLLECTION, collection);
    context.add_function(COLLECT, collect);
    context.add_function(COLLECTED, collected);
}

#[expect(clippy::unnecessary_wraps, reason = "the interpreter asks for it")]
fn collection() -> Result<Value, ExecutionError> {
    Ok(Value::Opaque(Arc::new(Collection::default())))
}

fn collect(so_far: Value, element: Value) -> Result<Value, ExecutionError> {
    with(&so_far, |elements| elements.push(element))?;
    Ok(so_far)
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn collected(all: Value) -> Result<Value, ExecutionError> {
    with(&all, take).map(|elements| Value::List(Arc::new(elements)))
}

fn with<T>(collection: &Value, act: impl FnOnce(&mut Vec<Value>) -> T) -> Result<T, ExecutionError> {
    let Value::Opaque(opaque) = collection else { return Err(ExecutionError::NoSuchOverload) };
    let Some(Collection(elements)) = opaque.downcast_ref() else {
        return Err(ExecutionError::NoSuchOverload);
    };
    // A push leaves nothing half done.
    Ok(act(&mut elements.lock().unwrap_or_else(PoisonError::into_inner)))
}
