//! What the chart renders.

use serde_json::{Value, json};

use super::{documents, only, rendered};
use crate::support::cluster::cluster;

#[test]
fn helm_has_nothing_to_say_against_it() {
    let (succeeded, text) = cluster().helm(&["lint", "--strict", "CHART"]);
    assert!(succeeded && text.contains("1 chart(s) linted, 0 chart(s) failed"), "{text}");
}

#[test]
fn the_same_values_give_the_same_bytes() {
    let render = || cluster().helm(&["template", "release", "CHART", "--kube-version", "1.36"]);
    let (one, two) = (render(), render());
    assert!(one.0 && one == two);
}

#[test]
fn every_combination_of_values_is_taken_by_the_server() {
    let monitor = "metrics.serviceMonitor.enabled=true";
    let combinations: [&[&str]; 8] = [
        &[],
        &[
            "--set",
            "strategy.type=Recreate,dnsPolicy=None,dnsConfig.nameservers={10.0.0.10},podLabels.app\\.kubernetes\\.io/name=mine,\
            livenessProbe=null,readinessProbe=null,image.tag=null,controller.jobRetention=1h30m",
        ],
        &[
            "--set",
            "replicas=3,networkPolicy.enabled=true,hostNetwork=true,dnsPolicy=ClusterFirstWithHostNet",
        ],
        &["--set", "scope.type=Namespaced", "--set", "scope.namespaces={system,kube-public}"],
        &[
            "--set",
            "crds.enabled=false,rbac.create=false,serviceAccount.create=false,serviceAccount.name=mine",
        ],
        &[
            "--set",
            "metrics.enabled=false,admission.action=Warn,controller.allowHostAccess=true,leaderElection.enabled=false",
        ],
        &[
            "--set",
            "commonLabels.team=a,commonAnnotations.note=b,crds.annotations.note=i,podLabels.c=d,podAnnotations.e=f,metrics.service.annotations.g=h,\
            metrics.dashboard.enabled=true,hostUsers=false,serviceAccount.automount=false",
        ],
        &[
            "--set-json",
            r#"extraEnv=[{"name":"A","value":"b"}]"#,
            "--set-json",
            r#"extraObjects=["apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-extra, namespace: kube-public}"]"#,
            "--set-json",
            r#"extraVolumes=[{"name":"v","emptyDir":{}}]"#,
            "--set-json",
            r#"extraVolumeMounts=[{"name":"v","mountPath":"/v"}]"#,
            "--set",
            "extraArgs={--log-level=debug}",
        ],
    ];
    for combination in combinations {
        let render = ["template", "release", "CHART", "--kube-version", "1.36", "--namespace", "kube-public"];
        let (succeeded, text) = cluster().helm(&[&render, combination].concat());
        assert!(succeeded, "{combination:?}: {text}");
        let text = text.replace("namespace: system", "namespace: kube-public");
        let (taken, said) =
            cluster().kubectl_on(&text, &["apply", "--server-side", "--dry-run=server", "--force-conflicts"]);
        assert!(taken && !said.contains("Warning"), "{combination:?}: {said}");
    }
    // Their kinds are not on this server.
    let all = rendered(&["--set", monitor, "--set", "metrics.prometheusRule.enabled=true"]);
    let rule = only(&all, "PrometheusRule", "release-orchestrator");
    assert!(rule["spec"]["groups"][0]["rules"].as_array().is_some_and(|rules| !rules.is_empty()), "{rule}");
    let monitor = only(&all, "ServiceMonitor", "release-orchestrator");
    let service = only(&all, "Service", "-metrics");
    for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(service["metadata"]["labels"][key], *value, "{key}");
    }
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"]);
}

#[test]
fn the_operators_role_is_small() {
    let all = rendered(&[]);
    let rules = only(&all, "ClusterRole", "system.release-orchestrator")["rules"].as_array().unwrap();
    assert!(rules.len() <= 12, "{} rules", rules.len());
    let text = serde_json::to_string(rules).unwrap();
    for forbidden in ["\"*\"", "secrets", "pods/exec", "escalate", "bind", "impersonate", "nodes"] {
        assert!(!text.contains(forbidden), "{forbidden}: {text}");
    }
    println!("the operator's ClusterRole has {} rules", rules.len());
    let namespaced = rendered(&["--set", "scope.type=Namespaced", "--set", "scope.namespaces={one,two}"]);
    let is_cluster_scoped = |one: &&Value| one["kind"].as_str().unwrap().starts_with("ClusterRole");
    assert_eq!(namespaced.iter().filter(is_cluster_scoped).count(), 0);
    let is_policy = |one: &&Value| one["kind"].as_str().unwrap().starts_with("ValidatingAdmission");
    assert_eq!(namespaced.iter().filter(is_policy).count(), 0);
    let roles: Vec<&Value> =
        namespaced.iter().filter(|one| one["kind"] == "Role" && one["rules"] == json!(rules)).collect();
    let places: Vec<&str> = roles.iter().map(|one| one["metadata"]["namespace"].as_str().unwrap()).collect();
    assert_eq!(places, ["one", "two"]);
    let deployment = only(&namespaced, "Deployment", "");
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert!(arguments.contains(&json!("--namespace=one")) && arguments.contains(&json!("--namespace=two")));
}

#[test]
fn the_files_of_the_chart_are_those_of_the_tree() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    for (name, content) in orchestrator::cli::crds::render().unwrap() {
        let file = format!("charts/orchestrator/files/crds/{name}");
        if std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1") {
            std::fs::write(root.join(&file), &content).unwrap();
        }
        assert_eq!(
            read(&file),
            content,
            "{file} is stale: UPDATE_ARTEFACTS=1 cargo test chart writes it again"
        );
    }
    let rules = read("config/rbac/cluster_role.yaml").split_once("rules:\n").unwrap().1.to_owned();
    assert_eq!(
        read("charts/orchestrator/files/rules.yaml"),
        rules,
        "the rules of the chart are those of config/rbac"
    );
}

#[test]
fn without_helm_it_is_the_same() {
    let helm = rendered(&["--set", "fullnameOverride=orchestrator", "--namespace", "orchestrator-system"]);
    let kustomize = documents(&cluster().kubectl(&["kustomize", "config/default"]));
    let [chart, plain] = [&helm, &kustomize].map(|all| only(all, "Deployment", "orchestrator"));
    let without_labels = |deployment: &Value| {
        let mut spec = deployment["spec"].clone();
        spec["template"]["metadata"].as_object_mut().unwrap().remove("labels");
        spec["selector"].as_object_mut().unwrap().remove("matchLabels");
        spec
    };
    assert_eq!(without_labels(chart), without_labels(plain));
    let rules = |all: &[Value], kind: &str, end: &str| only(all, kind, end)["rules"].clone();
    assert_eq!(
        rules(&helm, "ClusterRole", "orchestrator-system.orchestrator"),
        rules(&kustomize, "ClusterRole", "orchestrator")
    );
    assert_eq!(rules(&helm, "Role", "-election"), rules(&kustomize, "Role", "orchestrator"));
    for (end, plain) in [("-view", "orchestrator-view"), ("-edit", "orchestrator-edit")] {
        assert_eq!(rules(&helm, "ClusterRole", end), rules(&kustomize, "ClusterRole", plain));
    }
    assert_eq!(
        only(&helm, "Service", "-metrics")["spec"]["ports"],
        only(&kustomize, "Service", "-metrics")["spec"]["ports"]
    );
}

#[test]
fn the_policies_without_helm_are_those_of_the_chart() {
    let render = ["template", "r", "CHART", "--kube-version", "1.36", "--namespace", "orchestrator-system"];
    let values = ["--set", "fullnameOverride=orchestrator", "--show-only", "templates/admission.yaml"];
    let (succeeded, text) = cluster().helm(&[render.as_slice(), &values].concat());
    assert!(succeeded, "{text}");
    let is_of_helm = |line: &&str| {
        [
            "helm.sh/chart",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/managed-by",
            "app.kubernetes.io/version",
            "# Source",
        ]
        .iter()
        .any(|key| line.trim_start().starts_with(key))
    };
    let lines: Vec<&str> =
        text.lines().skip_while(|line| *line == "---").filter(|line| !is_of_helm(line)).collect();
    let head = "# Written from the chart by UPDATE_ARTEFACTS=1 cargo test chart; do not edit.";
    let expected = format!("{head}\n{}\n", lines.join("\n"))
        .replace("orchestrator-system.orchestrator-", "orchestrator-");
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/admission/policies.yaml");
    if std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1") {
        std::fs::write(&file, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        written, expected,
        "config/admission is stale: UPDATE_ARTEFACTS=1 cargo test chart writes it again"
    );
}
