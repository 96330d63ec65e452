//! Whatever is sent, the server answers it, and harms nothing.

use proptest::prelude::*;

use super::*;

/// One of several texts, or something that nobody thought of.
fn text(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![6 => proptest::sample::select(known).prop_map(str::to_owned), 1 => "[ -~]{0,12}", 1 => ".{0,12}"]
}

fn path() -> impl Strategy<Value = String> {
    let segments = text(&[
        "api",
        "apis",
        "v1",
        "v1alpha1",
        "orchestrator.dev",
        "batch",
        "namespaces",
        "default",
        "configmaps",
        "jobs",
        "pods",
        "orchestrations",
        "events",
        "namespaces",
        "a",
        "status",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        "",
    ]);
    let whole =
        proptest::collection::vec(segments, 0..8).prop_map(|segments| format!("/{}", segments.join("/")));
    let good = proptest::sample::select(vec![
        "/api/v1/namespaces/default/configmaps",
        "/api/v1/namespaces/default/configmaps/a",
        "/apis/batch/v1/namespaces/default/jobs",
        "/apis/orchestrator.dev/v1alpha1/namespaces/default/orchestrations",
        "/apis/orchestrator.dev/v1alpha1/namespaces/default/orchestrations/a/status",
    ]);
    prop_oneof![1 => whole, 2 => good.prop_map(str::to_owned)]
}

fn query() -> impl Strategy<Value = String> {
    let key = text(&[
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "resourceVersionMatch",
        "dryRun",
        "fieldValidation",
        "propagationPolicy",
        "gracePeriodSeconds",
        "timeoutSeconds",
        "watch",
        "sendInitialEvents",
    ]);
    let value = text(&[
        "",
        "-1",
        "0",
        "1",
        "true",
        "a=b",
        "a in (b",
        "metadata.name=a",
        "All",
        "99999999999999999999",
        "Exact",
    ]);
    let pair = (key, value).prop_map(|(key, value)| format!("{key}={value}"));
    proptest::collection::vec(pair, 0..3).prop_map(|pairs| pairs.join("&"))
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        text(&[
            "",
            "a",
            "v1",
            "ConfigMap",
            "Orchestration",
            "orchestrator.dev/v1alpha1",
            "test",
            "remove",
            "/metadata/name"
        ])
        .prop_map(Value::from),
    ];
    let key = text(&[
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "labels",
        "finalizers",
        "ownerReferences",
        "uid",
        "spec",
        "type",
        "status",
        "data",
        "op",
        "path",
        "value",
        "from",
        "preconditions",
        "resourceVersion",
    ])
    .boxed();
    let json = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop_oneof![
        5 => json.prop_map(|json| json.to_string().into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (1_usize..100_000).prop_map(|depth| vec![b'['; depth]),
        1 => (1_usize..20_000).prop_map(|depth| format!("{{\"metadata\":{}1{}}}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes()),
    ]
}

proptest! {
    #[test]
    fn whatever_is_sent_is_answered_and_harms_nothing(
        method in proptest::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]),
        path in path(),
        query in query(),
        type_ in text(&["application/json", "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml", "text/plain"]),
        body in body(),
    ) {
        // What no HTTP client could send never comes to the server.
        let uri = format!("{path}?{query}").parse::<http::Uri>();
        let type_ = http::HeaderValue::from_str(&type_);
        prop_assume!(uri.is_ok() && type_.is_ok());
        let request = Request::builder().method(method).uri(uri.unwrap()).header("content-type", type_.unwrap());
        let request = request.body(RequestBody::from(body)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let server = server();
            let elsewhere: Namespace = serde_json::from_value(json!({"metadata": {"name": "elsewhere"}})).unwrap();
            let client = server.client();
            Api::all(client.clone()).create(&PostParams::default(), &elsewhere).await.unwrap();
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), "elsewhere");
            let kept = api.create(&PostParams::default(), &config_map("kept", None)).await.unwrap();
            let here: Api<ConfigMap> = Api::default_namespaced(client.clone());
            here.create(&PostParams::default(), &config_map("a", None)).await.unwrap();
            Api::default_namespaced(client.clone()).create(&PostParams::default(), &orchestration("a")).await.unwrap();
            let response = client.send(request).await.unwrap();
            prop_assert!((200..=500).contains(&response.status().as_u16()), "{response:?}");
            prop_assert_eq!(api.get("kept").await.unwrap(), kept);
            let made = here.create(&PostParams::default(), &config_map("made-afterwards", None)).await;
            prop_assert!(made.is_ok() || here.get("a").await.is_err(), "{made:?}");
            Ok(())
        })?;
    }
}
