//! The activity types that a definition names: each is looked up and compiled once, however many activities use it.
//!
//! Responsible for: telling of every activity whose type cannot be used. Must never: judge a job template.

use std::collections::HashMap;

use super::super::activity_type::{self, Schemas};
use super::super::problem::ProblemCode;
use super::control::Limits;
use super::{Findings, TypeState};

/// The types seen so far.
pub(super) struct Types<F> {
    state_of: F,
    known: HashMap<String, Result<Schemas, (ProblemCode, String)>>,
}

impl<'a, F: Fn(&str) -> TypeState<'a>> Types<F> {
    pub(super) fn new(state_of: F) -> Self {
        Self { state_of, known: HashMap::new() }
    }

    /// The schemas of an activity's type; none if it cannot be used, which is told.
    pub(super) fn of_activity(&mut self, at: usize, type_: &str, found: &mut Findings) -> Schemas {
        let state_of = &self.state_of;
        let known = self.known.entry(type_.to_owned()).or_insert_with(|| examine(type_, state_of(type_)));
        match known {
            Ok(schemas) => schemas.clone(),
            Err((code, message)) => {
                found.at(at, *code, ".type", message.clone());
                Schemas::default()
            }
        }
    }

    /// What a type says of its attempts; nothing if it cannot be used.
    pub(super) fn limits(&self, type_: &str) -> Limits {
        match (self.state_of)(type_) {
            TypeState::Ready(spec) | TypeState::Compiled(_, spec) => Limits::from(spec),
            TypeState::NotReady(_) | TypeState::Missing => Limits::default(),
        }
    }
}

fn examine(type_: &str, state: TypeState<'_>) -> Result<Schemas, (ProblemCode, String)> {
    let why = match state {
        TypeState::Ready(spec) => match activity_type::compile(spec) {
            Ok(schemas) => return Ok(schemas),
            Err(problems) => activity_type::explained(&problems),
        },
        TypeState::Compiled(schemas, _) => return Ok(schemas),
        TypeState::Missing => {
            let message = format!("ActivityDefinition \"{type_}\" not found in this namespace");
            return Err((ProblemCode::ActivityDefinitionNotFound, message));
        }
        TypeState::NotReady(why) => why,
    };
    let message = format!("ActivityDefinition \"{type_}\" is not ready: {}", why.replace('\n', "; "));
    Err((ProblemCode::ActivityNotReady, message))
}
