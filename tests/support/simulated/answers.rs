//! Answers that no server meant to give.
//!
//! Responsible for: the words of an API server in trouble, and of what is before it. Must never: decide who gets one.

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use orchestrator::embedded::server::body::Body as Answer;
use serde_json::json;
use tower::BoxError;

pub fn reset() -> BoxError {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection was reset").into()
}

pub fn refused(code: u16) -> Response<Answer> {
    let (reason, message) = match code {
        409 => ("Conflict", "Operation cannot be fulfilled: the object has been modified"),
        429 => ("TooManyRequests", "the server has received too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "etcdserver: leader changed"),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": message,
    });
    let mut response = Response::new(Answer::Once(Some(Bytes::from(status.to_string()))));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

pub fn truncated(answer: Answer) -> Answer {
    match answer {
        Answer::Once(bytes) => Answer::Once(bytes.map(|bytes| bytes.slice(..bytes.len() / 2))),
        Answer::Stream(_) => Answer::Once(Some(Bytes::from_static(b"{\"type\":\"ADD"))),
    }
}

pub fn page() -> Response<Answer> {
    Response::new(Answer::Once(Some(Bytes::from_static(b"<html><body>Bad gateway</body></html>"))))
}
