//! Schedules among the documents: checked, and not followed. What is run now is run once.
//!
//! Responsible for: what the server and the controller would say of a schedule. Must never: make one.

use serde_json::Value;

use super::{Apply, Document, OrchestrationDefinition, mistake, namespace};
use crate::api::OrchestrationScheduleSpec;
use crate::engine::schedule::{Schedule, template};
use crate::engine::schema::Schema;

impl Apply<'_> {
    /// What is wrong with a schedule and its template.
    pub(super) async fn check_schedule(&mut self, document: &Document) {
        let (_, mut reasons) = self.judge(document, true).await;
        let spec = document.value.get("spec").cloned().unwrap_or(Value::Null);
        // The server says of the others what is wrong.
        if let Ok(spec) = serde_json::from_value::<OrchestrationScheduleSpec>(spec) {
            reasons.extend(self.check_template(document, &spec).await);
        }
        self.mistakes.extend(reasons.iter().map(|reason| mistake(document, reason)));
    }

    async fn check_template(&self, document: &Document, spec: &OrchestrationScheduleSpec) -> Vec<String> {
        let made = &spec.orchestration_template;
        let times = Schedule::compile(&spec.schedule, Some(&spec.time_zone)).err().unwrap_or_default();
        let problems = times.iter().chain(&template::problems(made)).map(ToString::to_string).collect();
        let path = "spec.orchestrationTemplate.spec.type";
        let (definition, told) = self.find_type(&namespace(document), &made.spec.type_, path).await;
        let schema = definition.as_ref().and_then(schema);
        let mistakes = template::check_input(made, schema.as_ref());
        let lines = mistakes.iter().map(|(reason, path, message)| format!("{reason}: {path}: {message}"));
        [problems, told, lines.collect()].concat()
    }
}

/// A schema with mistakes is told with its definition.
fn schema(definition: &OrchestrationDefinition) -> Option<Schema> {
    definition.spec.schema.as_ref().and_then(|raw| Schema::compile(raw).ok())
}
