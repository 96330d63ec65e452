//! `docs/gitops.md`: its blocks, and that it says what is.

use std::path::Path;

use serde_json::{Value, json};

use super::{directory, document, read};
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration, schedule};
use crate::support::operator::Operator;
use crate::support::told::spec;

/// The page.
pub fn page() -> String {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gitops.md"))
}

/// The fenced blocks of the page in one language.
pub fn blocks(language: &str) -> Vec<String> {
    let (text, fence) = (page(), format!("```{language}\n"));
    let starts = text.split(&fence).skip(1);
    starts.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
}

/// The rows of the table that has this heading, cell by cell.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    let text = page();
    let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("{heading}"));
    let lines = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_yaml_block_is_yaml_and_of_a_kind() {
    let blocks = blocks("yaml");
    assert!(blocks.len() >= 4, "{}", blocks.len());
    for block in blocks {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&block).unwrap_or_else(|error| panic!("{error}:\n{block}"));
        for document in documents {
            assert!(document["kind"].is_string() || document["data"].is_object(), "{block}");
        }
    }
}

#[test]
fn the_table_of_actions_names_all_of_them() {
    let mut rows: Vec<(String, String)> = table("| kind | action |")
        .into_iter()
        .map(|row| (row[0].replace('`', ""), row[1].replace('`', "")))
        .collect();
    rows.sort();
    let mut actions = Vec::new();
    for kind in super::KINDS {
        let Ok(found) = std::fs::read_dir(directory(kind).join("actions")) else { continue };
        for action in found.map(|entry| entry.unwrap().path()).filter(|path| path.join("action.lua").exists())
        {
            actions.push((kind.to_owned(), action.file_name().unwrap().to_str().unwrap().to_owned()));
        }
    }
    actions.sort();
    assert_eq!(rows, actions);
}

#[test]
fn the_patch_is_where_the_page_says() {
    let kustomization =
        document(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/argocd/kustomization.yaml"));
    assert_eq!(kustomization["resources"], json!(["argocd-cm.yaml"]));
    assert!(page().contains("kubectl apply --server-side -k config/argocd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_with_kubectl_wait_waits_for_what_it_says() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| match work.input["fail"].as_bool() {
        Some(true) => Act::Fail(1, "Error", "no".to_owned()),
        _ => Act::outputs(&json!({})),
    });
    namespace.type_that_is_known("step").await;
    namespace.create(definition("deploy", spec("activities: [{id: a, type: step, inputs: [fail]}]"))).await;
    namespace.definition_ready("deploy", "True", "Ready").await;
    namespace.create(orchestration("good", "deploy", json!({"fail": false}))).await;
    namespace.create(orchestration("bad", "deploy", json!({"fail": true}))).await;
    namespace.create(schedule("nightly", "0 6 * * *", "deploy", json!({"suspend": true}))).await;
    let all = blocks("sh").concat();
    let lines: Vec<&str> = all.lines().filter(|line| line.starts_with("kubectl wait ")).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for line in lines {
        let (command, comment) = line.split_once('#').unwrap_or((line, ""));
        let fails = comment.contains("fails");
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        let output =
            cluster().kubectl_command().args(&arguments).args(["-n", &namespace.name]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), !fails, "{line}: {told}");
        println!("{line}");
    }
}
