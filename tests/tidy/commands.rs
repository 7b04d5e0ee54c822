//! What a document tells to run can be run, and every example is told of.
//!
//! It checks that the example, the package or the script is there, not that it works: tests of their own do that.

use toml::Value;

use super::code::line_of;
use super::layers::manifest;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

const EXAMPLES: &str = "examples/Cargo.toml";
const README: &str = "README.md";

/// Tongues of fenced blocks that hold commands.
const SHELLS: &[&str] = &["sh", "bash", "shell", "console"];

fn check(tree: &Tree) -> Vec<Finding> {
    let examples = examples(tree);
    let commands =
        tree.documents().flat_map(|document| commands(document).map(move |(at, line)| (document, at, line)));
    let dead = commands.filter_map(|(document, at, line)| {
        let wrong = cannot_run(tree, &examples, line)?;
        Some(finding(
            document.place(at),
            wrong,
            "the first thing a newcomer tries fails",
            "mend the command, or what it names",
        ))
    });
    dead.chain(untold(tree, &examples)).collect()
}

/// Names and files of the examples.
fn examples(tree: &Tree) -> Vec<(String, String)> {
    let listed = tree.file(EXAMPLES).and_then(|file| manifest(file).get("example")?.as_array().cloned());
    let text = |example: &Value, key| example.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    listed.unwrap_or_default().iter().map(|example| (text(example, "name"), text(example, "path"))).collect()
}

/// The lines of the fenced blocks of a shell.
fn commands(document: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut at = 0;
    document.text.split_inclusive('\n').filter_map(move |line| {
        let start = at;
        at += line.len();
        match (line.trim().strip_prefix("```"), fence) {
            (Some(tongue), None) => fence = Some(tongue),
            (Some(_), Some(_)) => fence = None,
            (None, Some(tongue)) if SHELLS.contains(&tongue) => return Some((start, line.trim())),
            (None, _) => {}
        }
        None
    })
}

/// Why a command can't be run, if it can't.
fn cannot_run(tree: &Tree, examples: &[(String, String)], line: &str) -> Option<String> {
    let words: Vec<&str> = line.trim_start_matches("$ ").split_whitespace().collect();
    let after = |option: &str| words.iter().skip_while(|word| **word != option).nth(1).copied();
    let is_example = |name: &str| examples.iter().any(|(known, _)| known == name);
    if let Some(name) = after("--example").filter(|name| words.contains(&"cargo") && !is_example(name)) {
        return Some(format!("there is no example `{name}`"));
    }
    let program = words.iter().find(|word| !word.contains('='))?;
    let path = program.trim_start_matches("./");
    let is_ours = path.contains('/') && !path.starts_with("target/") && !path.starts_with('/');
    let runs = || tree.file(path).is_some_and(|file| file.executable);
    (is_ours && !runs()).then(|| format!("`{path}` is not there, or can't be run"))
}

/// Examples without a file, and examples that the README does not tell of.
fn untold(tree: &Tree, examples: &[(String, String)]) -> Vec<Finding> {
    let readme = tree.file(README).map_or("", |file| file.text.as_str());
    let line = |name: &str| {
        let text = tree.file(EXAMPLES).map_or("", |file| file.text.as_str());
        format!("{EXAMPLES}:{}", text.find(&format!("\"{name}\"")).map_or(1, |at| line_of(text, at)))
    };
    let missing = |path: &str| tree.file(&format!("examples/{path}")).is_none();
    let mut findings = Vec::new();
    for (name, path) in examples {
        if missing(path) {
            let cure = "write it, or take it out of the manifest";
            findings.push(finding(line(name), format!("`{path}` is not there"), "it can't be built", cure));
        }
        if !readme.contains(name.as_str()) {
            let why = "an example that nobody is told of teaches nobody";
            findings.push(finding(
                line(name),
                format!("{README} does not name `{name}`"),
                why,
                "name it in README.md",
            ));
        }
    }
    findings
}

fn finding(place: String, wrong: String, why: &'static str, cure: &'static str) -> Finding {
    Finding { place, wrong, why, cure }
}

#[test]
fn documented_commands_can_be_run() {
    hold_repository_to(check);
}

#[test]
fn commands_and_examples_that_are_not_there_are_found() {
    let readme = "hello\n```sh\ncargo run --example hello\ncargo run --example bye\nscripts/gone --now\n```\n```rust\na/b\n```\n";
    let manifest = "[[example]]\nname = \"hello\"\npath = \"hello.rs\"\n[[example]]\nname = \"secret\"\npath = \"gone.rs\"\n";
    let sample =
        [("README.md", readme), ("examples/Cargo.toml", manifest), ("examples/hello.rs", "//! Hello.")];
    let lines = ["README.md:4", "README.md:5", "examples/Cargo.toml:5", "examples/Cargo.toml:5"];
    assert_eq!(found(check, &sample), lines);
}
