//! Values that the chart refuses, in Helm's words.

use crate::support::cluster::cluster;

#[test]
fn wrong_values_are_refused_with_their_place() {
    let cases = [
        ("replica=3", "at '': additional properties 'replica' not allowed"),
        ("replicas=many", "at '/replicas': got string, want integer"),
        ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
        ("image.tag=a b", "at '/image/tag': 'a b' does not match pattern"),
        ("image.digest=md5:1", "at '/image/digest': 'md5:1' does not match pattern"),
        (
            "image.pullPolicy=Sometimes",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("image.name=x", "at '/image': additional properties 'name' not allowed"),
        ("scope.type=Everything", "at '/scope/type': value must be one of 'Cluster', 'Namespaced'"),
        ("scope.namespaces={Not_One}", "at '/scope/namespaces/0': 'Not_One' does not match pattern"),
        ("controller.concurrency=0", "at '/controller/concurrency': minimum: got 0, want 1"),
        ("controller.concurrency=1001", "at '/controller/concurrency': maximum: got 1,001, want 1,000"),
        ("controller.jobRetention=soon", "at '/controller/jobRetention': 'soon' does not match pattern"),
        (
            "controller.revisionRetentionSeconds=5",
            "at '/controller/revisionRetentionSeconds': minimum: got 5, want 120",
        ),
        ("controller.allowHostAccess=perhaps", "at '/controller/allowHostAccess': got string, want boolean"),
        ("leaderElection.leaseDuration=15", "at '/leaderElection/leaseDuration': got number, want string"),
        ("log.format=xml", "at '/log/format': value must be one of 'text', 'json'"),
        ("admission.action=Refuse", "at '/admission/action': value must be one of 'Deny', 'Warn', 'Audit'"),
        ("metrics.port=99999", "at '/metrics/port': maximum: got 99,999, want 65,535"),
        (
            "metrics.serviceMonitor.interval=often",
            "at '/metrics/serviceMonitor/interval': 'often' does not match pattern",
        ),
        (
            "networkPolicy.apiServerPorts={a}",
            "at '/networkPolicy/apiServerPorts/0': got string, want integer",
        ),
        ("hostUsers=perhaps", "at '/hostUsers': got string, want null or boolean"),
        ("scope=null", "at '': missing property 'scope'"),
        ("metrics.serviceMonitor=null", "at '/metrics': missing property 'serviceMonitor'"),
        (
            "controller.jobRetention=99999999999d",
            "at '/controller/jobRetention': '99999999999d' does not match",
        ),
        ("serviceAccount.name=Bad_Name", "at '/serviceAccount/name': 'Bad_Name' does not match pattern"),
        (
            "admission.namespaceSelector.bogus=1",
            "at '/admission/namespaceSelector': additional properties 'bogus' not allowed",
        ),
        ("extraEnv={a}", "at '/extraEnv/0': got string, want object"),
        ("dnsPolicy=Mine", "at '/dnsPolicy': value must be one of"),
    ];
    for (value, expected) in cases {
        let (succeeded, text) =
            cluster().helm(&["template", "r", "CHART", "--kube-version", "1.36", "--set", value]);
        assert!(!succeeded && text.contains(expected), "{value}: expected {expected}\n{text}");
    }
    // All mistakes at once.
    let (_, text) = cluster().helm(&[
        "template",
        "r",
        "CHART",
        "--kube-version",
        "1.36",
        "--set",
        "replica=3,log.format=xml",
    ]);
    assert!(text.contains("'replica'") && text.contains("'/log/format'"), "{text}");
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    let cases = [
        ("replicas=2,leaderElection.enabled=false", "replicas: more than one need leaderElection.enabled"),
        (
            "serviceAccount.create=false",
            "serviceAccount.name is required when serviceAccount.create is false",
        ),
        (
            "metrics.enabled=false,metrics.serviceMonitor.enabled=true",
            "metrics.serviceMonitor.enabled needs metrics.enabled and metrics.service.enabled",
        ),
        ("scope.namespaces={a,b}", "scope.namespaces: only with scope.type=Namespaced"),
        ("metrics.port=8080", "metrics.port: must not be that of health.port"),
        (
            "metrics.enabled=false,metrics.prometheusRule.enabled=true",
            "metrics.prometheusRule.enabled needs metrics.enabled",
        ),
    ];
    for (values, expected) in cases {
        let (succeeded, text) =
            cluster().helm(&["template", "r", "CHART", "--kube-version", "1.36", "--set", values]);
        assert!(!succeeded && text.contains(expected), "{values}: {text}");
    }
    let (succeeded, text) = cluster().helm(&["template", "r", "CHART", "--kube-version", "1.31"]);
    assert!(!succeeded && text.contains("chart requires kubeVersion: >=1.32.0-0"), "{text}");
}

#[test]
fn the_durations_that_the_chart_takes_are_those_that_the_program_takes() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../charts/orchestrator/values.schema.json")).unwrap();
    let pattern = &schema["properties"]["controller"]["properties"]["jobRetention"]["pattern"];
    let pattern = regex::Regex::new(pattern.as_str().unwrap()).unwrap();
    let texts = [
        "24h",
        "7d",
        "1h30m",
        "250ms",
        "0s",
        "",
        "5",
        "1w",
        "1h30",
        "-1s",
        "1.5h",
        "1 h",
        "s",
        "123456789ms",
    ];
    for text in texts {
        let taken = orchestrator::cli::duration::parse(text).is_ok();
        assert_eq!(pattern.is_match(text), taken, "{text}");
    }
}
