//! `orchestrator graph`: the tiers and edges of definitions, as text, Mermaid or DOT.
//!
//! Responsible for: drawing what the compile made. Must never: arrange activities by itself.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::Value;

use crate::api::{ActivityDefinitionSpec, GROUP, OrchestrationDefinitionSpec};
use crate::engine::definition::{Compiled, CompiledActivity, TypeState, compile};
use crate::engine::text::{clean, one_line};
use crate::manifest::{self, Extent, Mistake, Part, Place};

/// Exit code when a file cannot be read; the definitions in the others are drawn.
const UNREADABLE: u8 = 2;

/// Flags of `graph`.
#[derive(Debug, clap::Args)]
pub struct GraphArguments {
    /// Files, and directories with all that is in them; `-` is standard input.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Form of the graphs.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// Form of the graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// A flow chart for Mermaid, as Markdown shows it on many sites.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// A definition that can be drawn.
struct Drawn {
    name: String,
    compiled: Compiled,
}

/// Draws the definitions of files.
pub fn run(arguments: &GraphArguments) -> anyhow::Result<ExitCode> {
    let (mut all, mut mistakes, mut is_unreadable) = (Vec::new(), Vec::new(), false);
    for part in manifest::read(&arguments.paths, Extent::Tree) {
        match part {
            Ok(part) if is_ours(&part) => match drawn(&part) {
                Ok(drawn) => all.push(drawn),
                Err(wrong) => mistakes.extend(wrong),
            },
            Ok(_) => {}
            Err(mistake) => {
                is_unreadable = true;
                mistakes.push(mistake);
            }
        }
    }
    if all.is_empty() && mistakes.is_empty() {
        anyhow::bail!("there is no OrchestrationDefinition among the documents: nothing to draw");
    }
    let mut text = String::new();
    match arguments.output {
        Format::Text => plain(&mut text, &all)?,
        Format::Mermaid => mermaid(&mut text, &all)?,
        Format::Dot => dot(&mut text, &all)?,
    }
    if !all.is_empty() {
        drop(std::io::stdout().write_all(text.as_bytes()));
    }
    tell(&mistakes);
    Ok(match mistakes.is_empty() {
        true => ExitCode::SUCCESS,
        false if is_unreadable => ExitCode::from(UNREADABLE),
        false => ExitCode::FAILURE,
    })
}

fn is_ours(part: &Part) -> bool {
    let text = |member: &str| part.value.get(member).and_then(Value::as_str).unwrap_or_default();
    text("kind") == "OrchestrationDefinition"
        && text("apiVersion").split_once('/').is_some_and(|(group, _)| group == GROUP)
}

/// The graph needs no activity types: all are taken to exist, and to take and produce anything.
fn drawn(part: &Part) -> Result<Drawn, Vec<Mistake>> {
    let name = part.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mistake = |path: &str, message: &dyn fmt::Display| {
        let place = Place { line: part.lines().of(path), ..part.place.clone() };
        let object = format!("OrchestrationDefinition {name}");
        Mistake { place, message: format!("{}: {message}", object.trim_end()) }
    };
    let spec = part.value.get("spec").cloned().unwrap_or_default();
    let spec: OrchestrationDefinitionSpec = serde_json::from_value(spec)
        .map_err(|error| vec![mistake("spec", &format_args!("spec: cannot be read: {error}"))])?;
    let anything: ActivityDefinitionSpec = serde_json::from_value(Value::Object(serde_json::Map::new()))
        .map_err(|error| vec![mistake("", &error)])?;
    let compiled = compile(&spec, |_| TypeState::Ready(&anything)).map_err(|problems| {
        problems.iter().map(|problem| mistake(&problem.path, problem)).collect::<Vec<_>>()
    })?;
    Ok(Drawn { name, compiled })
}

fn tell(mistakes: &[Mistake]) {
    for mistake in mistakes {
        drop(writeln!(std::io::stderr(), "{}", one_line(&mistake.to_string())));
    }
}

impl Drawn {
    /// The activities of every tier with their numbers.
    fn tiers(&self) -> impl Iterator<Item = Vec<(usize, &CompiledActivity)>> {
        let of_tier = |tier: &Vec<usize>| {
            let known = tier.iter().filter_map(|at| Some((*at, self.compiled.activities.get(*at)?)));
            known.collect()
        };
        self.compiled.tiers.iter().map(of_tier)
    }

    /// From every activity to those that depend on it.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let order = self.compiled.order.iter();
        order.flat_map(|at| self.compiled.graph.dependencies(*at).iter().map(|dependency| (*dependency, *at)))
    }

    fn dependencies(&self, activity: usize) -> Vec<&str> {
        let dependencies = self.compiled.graph.dependencies(activity).iter();
        dependencies.filter_map(|at| self.compiled.activities.get(*at)).map(|one| one.id.as_str()).collect()
    }
}

fn plain(text: &mut String, all: &[Drawn]) -> fmt::Result {
    for (index, drawn) in all.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        writeln!(text, "{}  {}", clean(&drawn.name), drawn.compiled.size())?;
        let width = |of: fn(&CompiledActivity) -> &str| {
            drawn.compiled.activities.iter().map(|one| of(one).chars().count()).max().unwrap_or_default()
        };
        let (ids, types) = (width(|one| &one.id), width(|one| &one.type_));
        for (tier, activities) in drawn.tiers().enumerate() {
            for (at, activity) in activities {
                let mut line = format!("{tier:>4}  {:<ids$}  {:<types$}", activity.id, activity.type_);
                let dependencies = drawn.dependencies(at);
                if !dependencies.is_empty() {
                    write!(line, "  after {}", dependencies.join(", "))?;
                }
                if let Some(when) = &activity.when {
                    write!(
                        line,
                        "  when {}",
                        when.source().split_whitespace().collect::<Vec<_>>().join(" ")
                    )?;
                }
                writeln!(text, "{}", clean(line.trim_end()))?;
            }
        }
    }
    Ok(())
}

/// One chart for all: a file of Mermaid holds only one.
fn mermaid(text: &mut String, all: &[Drawn]) -> fmt::Result {
    writeln!(text, "flowchart LR")?;
    for (number, drawn) in all.iter().enumerate() {
        writeln!(text, "  subgraph d{number}[\"{}\"]", in_mermaid(&drawn.name))?;
        for (tier, activities) in drawn.tiers().enumerate() {
            writeln!(text, "    subgraph d{number}t{tier}[\"tier {tier}\"]")?;
            for (at, activity) in activities {
                let (id, type_) = (in_mermaid(&activity.id), in_mermaid(&activity.type_));
                // A diamond's corners stand for the choice.
                let (open, close) = if activity.when.is_some() { ("{{", "}}") } else { ("[", "]") };
                writeln!(text, "      d{number}a{at}{open}\"{id}<br/>{type_}\"{close}")?;
            }
            writeln!(text, "    end")?;
        }
        writeln!(text, "  end")?;
        for (from, to) in drawn.edges() {
            writeln!(text, "  d{number}a{from} --> d{number}a{to}")?;
        }
    }
    Ok(())
}

fn in_mermaid(text: &str) -> String {
    // # begins an escape of Mermaid's own, and ` a text with Markdown.
    let escaped = clean(text).replace('&', "&amp;").replace('#', "&num;").replace('`', "&grave;");
    escaped.replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

fn dot(text: &mut String, all: &[Drawn]) -> fmt::Result {
    writeln!(text, "digraph orchestrations {{")?;
    writeln!(text, "  rankdir=LR; newrank=true; node [shape=box, style=rounded];")?;
    for (number, drawn) in all.iter().enumerate() {
        writeln!(text, "  subgraph cluster_{number} {{")?;
        writeln!(text, "    label={};", in_dot(&drawn.name))?;
        for activities in drawn.tiers() {
            writeln!(text, "    {{ rank=same;")?;
            for (at, activity) in activities {
                let label = in_dot(&format!("{}\n{}", activity.id, activity.type_));
                let style = if activity.when.is_some() { ", style=\"rounded,dashed\"" } else { "" };
                writeln!(text, "      d{number}a{at} [label={label}{style}];")?;
            }
            writeln!(text, "    }}")?;
        }
        for (from, to) in drawn.edges() {
            writeln!(text, "    d{number}a{from} -> d{number}a{to};")?;
        }
        writeln!(text, "  }}")?;
    }
    writeln!(text, "}}")
}

fn in_dot(text: &str) -> String {
    // Graphviz reads escapes of HTML in every label.
    let escaped = |line: &str| clean(line).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"");
    let lines = text.split('\n').map(escaped);
    format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(specs: &[&str]) -> Vec<Drawn> {
        let documents = specs.iter().map(|spec| {
            format!("apiVersion: {GROUP}/v1\nkind: OrchestrationDefinition\nmetadata: {{name: flow.example.com}}\nspec: {spec}")
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), documents.collect::<Vec<_>>().join("\n---\n")).unwrap();
        let parts = manifest::read(&[file.path().to_owned()], Extent::Files);
        let parts = parts.into_iter().map(Result::unwrap).filter(is_ours);
        parts.map(|part| drawn(&part).unwrap_or_else(|why| panic!("{why:?}"))).collect()
    }

    const FLOW: &str = "{activities: [{id: c, type: other, dependsOn: [a, b], when: 'input.x == \"1\"'}, {id: a, type: t}, {id: b, type: t, dependsOn: a}]}";

    fn shown(draw: fn(&mut String, &[Drawn]) -> fmt::Result, specs: &[&str]) -> String {
        let mut text = String::new();
        draw(&mut text, &all(specs)).unwrap();
        text
    }

    #[test]
    fn people_read_tiers_and_what_comes_before() {
        assert_eq!(
            shown(plain, &[FLOW, "{activities: [{id: only, type: t}]}"]),
            "flow.example.com  3 activities in 3 tiers
   0  a  t
   1  b  t      after a
   2  c  other  after a, b  when input.x == \"1\"

flow.example.com  1 activity in 1 tier
   0  only  t
"
        );
    }

    #[test]
    fn mermaid_gets_one_chart() {
        assert_eq!(
            shown(mermaid, &[FLOW]),
            "flowchart LR
  subgraph d0[\"flow.example.com\"]
    subgraph d0t0[\"tier 0\"]
      d0a1[\"a<br/>t\"]
    end
    subgraph d0t1[\"tier 1\"]
      d0a2[\"b<br/>t\"]
    end
    subgraph d0t2[\"tier 2\"]
      d0a0{{\"c<br/>other\"}}
    end
  end
  d0a1 --> d0a2
  d0a1 --> d0a0
  d0a2 --> d0a0
"
        );
        assert_eq!(shown(mermaid, &[FLOW, FLOW]).matches("flowchart").count(), 1);
        assert_eq!(in_mermaid("a\"<b>&\n"), "a&quot;&lt;b&gt;&amp;\u{fffd}");
        assert_eq!(in_mermaid("`#35;x`"), "&grave;&num;35;x&grave;");
    }

    #[test]
    fn graphviz_gets_one_rank_for_each_tier() {
        assert_eq!(
            shown(dot, &[FLOW]),
            "digraph orchestrations {
  rankdir=LR; newrank=true; node [shape=box, style=rounded];
  subgraph cluster_0 {
    label=\"flow.example.com\";
    { rank=same;
      d0a1 [label=\"a\\nt\"];
    }
    { rank=same;
      d0a2 [label=\"b\\nt\"];
    }
    { rank=same;
      d0a0 [label=\"c\\nother\", style=\"rounded,dashed\"];
    }
    d0a1 -> d0a2;
    d0a1 -> d0a0;
    d0a2 -> d0a0;
  }
}
"
        );
        assert_eq!(in_dot("a\"\\\nb"), "\"a\\\"\\\\\\nb\"");
        assert_eq!(in_dot("&lt;"), "\"&amp;lt;\"");
    }
}
