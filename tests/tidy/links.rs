//! What a document points at is there: the file, and the heading in it. Paths between backticks count as pointing.
//!
//! Addresses on the web are not looked at.

use super::code::line_of;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

/// Endings of files that a document may name between backticks.
const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".py", ".yml", ".json", ".hex"];

fn check(tree: &Tree) -> Vec<Finding> {
    tree.documents()
        .flat_map(|document| links(tree, document).into_iter().chain(names(tree, document)))
        .collect()
}

/// `[text](target)`.
fn links(tree: &Tree, document: &File) -> Vec<Finding> {
    let text = without_fences(&document.text);
    let targets =
        text.match_indices("](").filter_map(|(at, _)| Some((at, text[at + 2..].split(')').next()?)));
    let ours = targets.filter(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"));
    let dead = ours.filter(|(_, target)| !is_there(tree, document, target));
    dead.map(|(at, target)| finding(document, at, target)).collect()
}

/// `` `dir/file.rs` ``: from the root, from beside the document, or the end of some path.
fn names(tree: &Tree, document: &File) -> Vec<Finding> {
    let text = without_fences(&document.text);
    let mut at = 0;
    let mut findings = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 && is_path(part) && !tree.files.iter().any(|file| ends_with_path(&file.path, part))
        {
            findings.push(finding(document, at, part));
        }
        at += part.len() + 1;
    }
    findings
}

fn is_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    plain && text.contains('/') && ENDINGS.iter().any(|ending| text.ends_with(ending)) && !is_built(text)
}

/// What a build makes, and what is on the machine of a reader.
fn is_built(path: &str) -> bool {
    path.starts_with("target/") || path.starts_with('/')
}

fn ends_with_path(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn is_there(tree: &Tree, document: &File, target: &str) -> bool {
    let (path, heading) =
        target.split_once('#').map_or((target, None), |(path, heading)| (path, Some(heading)));
    let path = if path.is_empty() { document.path.clone() } else { beside(&document.path, path) };
    match (tree.file(&path), heading) {
        (Some(file), Some(heading)) if file.path.ends_with(".md") => {
            headings(file).any(|known| known == heading)
        }
        (Some(_), _) => true,
        (None, _) => {
            tree.files.iter().any(|file| file.path.starts_with(&format!("{}/", path.trim_end_matches('/'))))
        }
    }
}

/// A path as it is written in a document, from the root.
fn beside(document: &str, path: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The headings of a document, as they are linked to.
fn headings(document: &File) -> impl Iterator<Item = String> {
    let text = without_fences(&document.text);
    let titles: Vec<String> = text.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect();
    titles.into_iter().map(|title| anchor(title.trim_start_matches('#').trim()))
}

fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Blanks fenced blocks, byte by byte, so that places stay where they are.
fn without_fences(text: &str) -> String {
    let mut inside = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let is_fence = line.trim_start().starts_with("```");
        let is_code = inside || is_fence;
        inside ^= is_fence;
        let blank = || line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        if is_code { blank() } else { line.to_owned() }
    });
    lines.collect()
}

fn finding(document: &File, at: usize, target: &str) -> Finding {
    Finding {
        place: format!("{}:{}", document.path, line_of(&document.text, at)),
        wrong: format!("it points at `{target}`, which is not there"),
        why: "a reader who follows it stands before a wall",
        cure: "mend the path or the heading, or take the link out",
    }
}

#[test]
fn what_documents_point_at_is_there() {
    hold_repository_to(check);
}

#[test]
fn dead_links_are_found_and_live_ones_are_not() {
    let page = "# A page\n[a](docs/b.md) [b](docs/b.md#two-words) [c](docs) [d](https://x.y) [e](#a-page)\n\
        [f](docs/c.md)\n[g](docs/b.md#three)\n`docs/b.md` `src/id.rs`\n`src/gone.rs`\n```\n[h](nowhere)\n```\n";
    let sample = [
        ("README.md", page),
        ("docs/b.md", "## Two words\n[up](../README.md)\n"),
        ("codecs/src/id.rs", "//! A."),
    ];
    assert_eq!(found(check, &sample), ["README.md:3", "README.md:4", "README.md:6"]);
}
