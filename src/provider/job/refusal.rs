//! Refusals: what the API server's answer to the creation of a Job means for the activity.
//!
//! Responsible for: telling what may pass from what never will. Must never: hide the server's words.

use kube::core::Status;

use crate::client::is_namespace_terminating;
use crate::engine::observe::FailureReason;

/// Why a Job was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may be made later; no attempt is used up. One CamelCase word.
    ForNow(&'static str),
    /// It will never be made.
    ForEver(FailureReason),
}

/// Classifies the answer of the API server.
#[must_use]
pub fn classify(status: &Status) -> Refusal {
    if is_namespace_terminating(status) {
        return Refusal::ForNow("NamespaceTerminating");
    }
    let denied = status.message.contains("denied the request") || status.message.contains("denied request");
    match status.code {
        403 if status.message.contains("exceeded quota") || status.message.contains("failed quota") => {
            Refusal::ForNow("QuotaExceeded")
        }
        400..=499 if denied => Refusal::ForEver(FailureReason::AdmissionDenied),
        400 | 413 | 422 => Refusal::ForEver(FailureReason::InvalidJobTemplate),
        401 | 403 => Refusal::ForNow("Forbidden"),
        _ => Refusal::ForNow(super::API_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, message: &str, expected: Refusal) {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        assert_eq!(classify(&status), expected, "{code} {message}");
    }

    #[test]
    fn the_servers_words_decide() {
        check(
            403,
            r#"jobs.batch "a" is forbidden: exceeded quota: q, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0"#,
            Refusal::ForNow("QuotaExceeded"),
        );
        check(
            403,
            r#"admission webhook "deny.example.com" denied the request: no"#,
            Refusal::ForEver(FailureReason::AdmissionDenied),
        );
        check(
            422,
            r#"jobs.batch "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"#,
            Refusal::ForEver(FailureReason::AdmissionDenied),
        );
        check(
            422,
            r#"Job.batch "a" is invalid: spec.template.spec.containers: Required value"#,
            Refusal::ForEver(FailureReason::InvalidJobTemplate),
        );
        check(
            403,
            r#"jobs.batch is forbidden: User "system:serviceaccount:a:b" cannot create resource "jobs""#,
            Refusal::ForNow("Forbidden"),
        );
        check(
            500,
            r#"Internal error occurred: failed calling webhook "w.example.com": connection refused"#,
            Refusal::ForNow("ApiServerError"),
        );
        check(429, "too many requests", Refusal::ForNow("ApiServerError"));
    }

    #[test]
    fn a_namespace_that_is_being_deleted_is_told_apart() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "code": 403, "message": "unable to create new content in namespace n because it is being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "…", "field": "metadata.namespace"}]},
        }))
        .unwrap();
        assert_eq!(classify(&status), Refusal::ForNow("NamespaceTerminating"));
    }
}
