//! Schedules: their times, and their template against its definition.
//!
//! Responsible for: what the controller would say of a schedule. Must never: know when it is due.

use jiff::SignedDuration;

use super::known::Known;
use super::subject::Subject;
use super::{Linter, PLAIN_SECRET, Severity, secret};
use crate::api::{OrchestrationDefinitionSpec, OrchestrationScheduleSpec};
use crate::engine::acceptance;
use crate::engine::schedule::decide::Terms;
use crate::engine::schedule::{Schedule, template, warnings};
use crate::engine::schema::Schema;

/// Path of the definition's name.
const TYPE: &str = "spec.orchestrationTemplate.spec.type";

impl Linter {
    /// Judges schedules as their controller does.
    pub(super) fn schedules(
        &self,
        subjects: &mut [Subject<'_>],
        definitions: &Known<Option<OrchestrationDefinitionSpec>>,
    ) {
        for subject in subjects.iter_mut().filter(|subject| subject.kind.kind == "OrchestrationSchedule") {
            let Some(spec) = subject.spec::<OrchestrationScheduleSpec>() else { continue };
            self.schedule(subject, &spec, definitions);
        }
    }

    fn schedule(
        &self,
        subject: &mut Subject<'_>,
        spec: &OrchestrationScheduleSpec,
        definitions: &Known<Option<OrchestrationDefinitionSpec>>,
    ) {
        let made = &spec.orchestration_template;
        match Schedule::compile(&spec.schedule, Some(&spec.time_zone)) {
            Ok(_) => {
                let starting_deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
                let terms = Terms { starting_deadline, ..Terms::default() };
                subject.tell_all(Severity::Warning, &warnings(Some(&spec.time_zone), &terms));
            }
            Err(problems) => subject.tell_all(Severity::Error, &problems),
        }
        subject.tell_all(Severity::Error, &template::problems(made));
        for path in made.spec.input.iter().flat_map(secret::in_input) {
            let path = path.replacen(acceptance::INPUT, template::INPUT, 1);
            subject.tell(Severity::Warning, Some(PLAIN_SECRET), &path, secret::IN_INPUT);
        }
        let type_ = &made.spec.type_;
        let mut schema = None;
        match definitions.meant_by(subject, type_) {
            None if self.options.allow_missing => {}
            None => {
                let message = acceptance::not_found(type_);
                subject.tell(Severity::Error, Some("DefinitionNotFound"), TYPE, message);
            }
            // What is wrong with it is told with it.
            Some(None) => {}
            Some(Some(definition)) if !definition.active => {
                let message = acceptance::inactive(type_);
                subject.tell(Severity::Error, Some("DefinitionInactive"), TYPE, message);
            }
            Some(Some(definition)) => {
                schema = definition.schema.as_ref().and_then(|raw| Schema::compile(raw).ok());
            }
        }
        for (reason, path, message) in template::check_input(made, schema.as_ref()) {
            subject.tell(Severity::Error, Some(reason), &path, message);
        }
    }
}
