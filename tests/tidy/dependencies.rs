//! Each dependency stands once, in the root manifest, with the reason why it is worth its weight; and somebody uses it.

use toml::Value;

use super::code::places_of;
use super::layers::{manifest, names};
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

const ROOT: &str = "Cargo.toml";
const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Words that a reason has at least: one alone only repeats the name.
const REASON_WORDS_MIN: usize = 2;

fn check(tree: &Tree) -> Vec<Finding> {
    let Some(root) = tree.file(ROOT) else {
        return vec![];
    };
    let listed = listed(root);
    let mut findings: Vec<Finding> =
        listed.iter().filter(|entry| !entry.has_reason).map(Entry::without_reason).collect();
    let used: Vec<String> =
        members(tree).flat_map(|member| KINDS.map(|kind| names(member, kind)).concat()).collect();
    findings.extend(listed.iter().filter(|entry| !used.contains(&entry.name)).map(Entry::without_user));
    for member in members(tree) {
        findings.extend(elsewhere(member));
        findings.extend(unnamed(tree, member));
    }
    findings
}

/// A line below `[workspace.dependencies]`.
struct Entry {
    name: String,
    place: String,
    has_reason: bool,
}

fn listed(root: &File) -> Vec<Entry> {
    let lines =
        root.text.lines().enumerate().skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    let lines = lines.take_while(|(_, line)| !line.starts_with('['));
    lines.filter_map(|(number, line)| entry(number, line)).collect()
}

fn entry(number: usize, line: &str) -> Option<Entry> {
    let (name, value) = line.split_once(" = ").filter(|_| !line.starts_with('#'))?;
    let reason = value.split_once(" # ").map_or("", |(_, reason)| reason);
    let has_reason = value.contains("path = ") || reason.split_whitespace().count() >= REASON_WORDS_MIN;
    Some(Entry { name: name.to_owned(), place: format!("{ROOT}:{}", number + 1), has_reason })
}

impl Entry {
    fn without_reason(&self) -> Finding {
        let wrong = format!("`{}` has no reason beside it", self.name);
        let why = "a dependency is other people's code in our process; nobody can weigh what has no reason";
        finding(
            self.place.clone(),
            wrong,
            why,
            "say after a `#` what it does here that we should not do ourselves",
        )
    }

    fn without_user(&self) -> Finding {
        let wrong = format!("no package uses `{}`", self.name);
        finding(self.place.clone(), wrong, "what is not used is only read", "take it out")
    }
}

/// The manifests of the workspace's packages. The fuzz targets are a workspace of their own.
fn members(tree: &Tree) -> impl Iterator<Item = &File> {
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.filter(|file| !file.path.starts_with("tests/fuzz/"))
}

/// Versions that stand in a package.
fn elsewhere(member: &File) -> Vec<Finding> {
    let table = manifest(member);
    let entries = KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten();
    let own = entries.filter(|(_, value)| value.get("workspace").and_then(Value::as_bool) != Some(true));
    let told = own.map(|(name, _)| {
        let why = "two packages would come to use two versions";
        let cure = "list it below [workspace.dependencies] in the root, and write `workspace = true` here";
        finding(member.path.clone(), format!("`{name}` has its own version"), why, cure)
    });
    told.collect()
}

/// Dependencies that the code of a package never names.
fn unnamed(tree: &Tree, member: &File) -> Vec<Finding> {
    let home = member.path.trim_end_matches("Cargo.toml");
    let names = KINDS.map(|kind| names(member, kind)).concat();
    let is_named = |name: &str| {
        let name = name.replace('-', "_");
        tree.rust_below(&[home]).any(|file| !places_of(&file.text, &name).is_empty())
    };
    let unnamed = names.into_iter().filter(|name| !is_named(name));
    let told = unnamed.map(|name| {
        let why = "it is built, and audited, for nothing";
        finding(
            member.path.clone(),
            format!("no code of the package names `{name}`"),
            why,
            "take it out of the manifest",
        )
    });
    told.collect()
}

fn finding(place: String, wrong: String, why: &'static str, cure: &'static str) -> Finding {
    Finding { place, wrong, why, cure }
}

#[test]
fn each_dependency_has_a_reason_a_user_and_one_place() {
    hold_repository_to(check);
}

#[test]
fn dependencies_without_reason_user_or_place_are_found() {
    let root = "[workspace.dependencies]\nbytes = \"1\"\nserde = \"1\" # typed messages, derived\nrand = \"1\" # seeds for the simulator\n[x]\n";
    let member = "[dependencies]\nbytes.workspace = true\nserde = \"1\"\n[dev-dependencies]\ntempfile.workspace = true\n";
    let code = "use bytes::Bytes; use serde::Serialize;";
    let sample = [("Cargo.toml", root), ("codecs/Cargo.toml", member), ("codecs/src/lib.rs", code)];
    assert_eq!(
        found(check, &sample),
        ["Cargo.toml:2", "Cargo.toml:4", "codecs/Cargo.toml", "codecs/Cargo.toml"]
    );
}
