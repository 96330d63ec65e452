//! `config/argocd/argocd-cm.yaml`: the scripts of `config/argocd/resource_customizations`, as Argo CD takes them.

use std::path::Path;

use serde_json::Value;

use super::{documents, names, path, read};

const FILE: &str = "config/argocd/argocd-cm.yaml";
const SCRIPTS: &str = "config/argocd/resource_customizations";
const HEAD: &str = "\
# Generated from config/argocd/resource_customizations: UPDATE_ARTEFACTS=1 cargo test artefacts
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels:
    app.kubernetes.io/part-of: argocd
data:
";

/// A text as a block of YAML.
fn block(text: &str, indent: usize) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("{:indent$}{line}\n", ""),
    };
    text.lines().map(line).collect()
}

fn script(path: &Path) -> String {
    let text = read(path);
    assert!(!text.contains('\t') && text.ends_with('\n'), "{}", path.display());
    text
}

/// The actions of a kind, as one text.
fn actions(directory: &Path) -> String {
    let mut text =
        format!("discovery.lua: |\n{}definitions:\n", block(&script(&directory.join("discovery.lua")), 2));
    let actions =
        names(directory).into_iter().filter(|name| directory.join(name).join("action.lua").exists());
    for action in actions {
        let lua = script(&directory.join(&action).join("action.lua"));
        text.push_str(&format!("- name: {action}\n  action.lua: |\n{}", block(&lua, 4)));
    }
    text
}

fn generated() -> String {
    let mut text = HEAD.to_owned();
    for group in names(&path(SCRIPTS)) {
        for kind in names(&path(SCRIPTS).join(&group)) {
            let directory = path(SCRIPTS).join(&group).join(&kind);
            let mut add = |what: &str, content: &str| {
                text.push_str(&format!(
                    "  resource.customizations.{what}.{group}_{kind}: |\n{}",
                    block(content, 4)
                ));
            };
            add("health", &script(&directory.join("health.lua")));
            if directory.join("actions").exists() {
                add("actions", &actions(&directory.join("actions")));
            }
        }
    }
    text
}

#[test]
fn the_patch_of_argo_cd_is_made_of_the_scripts() {
    let file = path(FILE);
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    if std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1") {
        std::fs::write(&file, generated()).unwrap();
    }
    assert!(
        read(&file) == generated(),
        "{FILE} is stale: UPDATE_ARTEFACTS=1 cargo test artefacts writes it again"
    );
}

#[test]
fn every_script_is_in_the_patch_as_it_is() {
    let documents = documents(&path(FILE));
    let data = documents[0]["data"].as_object().unwrap();
    let mut kinds: Vec<String> =
        orchestrator::api::crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    kinds.sort();
    assert_eq!(names(&path(SCRIPTS).join("orchestrator.dev")), kinds, "every kind has a check");
    for kind in kinds {
        let directory = path(SCRIPTS).join("orchestrator.dev").join(&kind);
        let health = &data[&format!("resource.customizations.health.orchestrator.dev_{kind}")];
        assert_eq!(health.as_str(), Some(read(&directory.join("health.lua")).as_str()), "{kind}");
        let Some(actions) = data.get(&format!("resource.customizations.actions.orchestrator.dev_{kind}"))
        else {
            assert!(!directory.join("actions").exists(), "{kind}");
            continue;
        };
        let actions: Value = serde_saphyr::from_str(actions.as_str().unwrap()).unwrap();
        let discovery = read(&directory.join("actions/discovery.lua"));
        assert_eq!(actions["discovery.lua"].as_str(), Some(discovery.as_str()), "{kind}");
        for action in actions["definitions"].as_array().unwrap() {
            let name = action["name"].as_str().unwrap();
            let lua = read(&directory.join("actions").join(name).join("action.lua"));
            assert_eq!(action["action.lua"].as_str(), Some(lua.as_str()), "{kind} {name}");
            assert!(
                discovery.contains(&format!("[\"{name}\"] = {{"))
                    || discovery.contains(&format!("  {name} = {{"))
            );
        }
    }
}
