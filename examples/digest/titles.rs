//! What a document is called: its own title, the name of its file, and a folder where two share a title.

use std::collections::{HashMap, HashSet};

use crate::blocks::{self, Role, shorten};
use crate::corpus::Document;
use crate::language::Kind;
use crate::markdown;

/// The longest title that is shown, in characters: about one line of a page.
const TITLE_CHARS_MAX: usize = 90;

/// The most folders that are added to a title: three still fit its line.
const FOLDERS_MAX: usize = 3;

/// What the document of `path` calls itself, or else the name of its file.
pub fn title(kind: Kind, path: &str, text: &str) -> String {
    own_title(kind, text).unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path).to_owned())
}

/// A program has no title of its own: its file's name is the better one.
fn own_title(kind: Kind, text: &str) -> Option<String> {
    let title = match kind {
        Kind::Prose => plain_title(text),
        Kind::Markdown => markdown::title(text),
        Kind::Source(_) => None,
    }?;
    names_something(&title).then(|| shorten(&title, TITLE_CHARS_MAX))
}

/// A change log that begins with its latest version has no title.
fn names_something(title: &str) -> bool {
    let first = title
        .split(' ')
        .next()
        .unwrap_or_default()
        .trim_matches(|letter: char| letter.is_ascii_punctuation());
    let is_number = first.trim_start_matches(['v', 'V']).starts_with(|letter: char| letter.is_ascii_digit());
    !is_number && !["unreleased", "version"].contains(&first.to_lowercase().as_str())
}

fn plain_title(text: &str) -> Option<String> {
    let opening = text.split("\n\n").find(|paragraph| !paragraph.trim().is_empty())?;
    let heading = blocks::paragraph_blocks(opening).into_iter().next()?;
    (heading.role == Role::Heading).then_some(heading.text)
}

/// Adds folders to a title that several documents share, as few as tell them apart: nobody can choose among
/// ten "Changelog".
pub fn tell_apart(documents: &mut [Document]) {
    let mut shared = HashMap::<String, Vec<usize>>::new();
    for document in documents.iter() {
        shared.entry(document.title.clone()).or_default().push(document.index);
    }
    for (_, group) in shared.into_iter().filter(|(_, group)| group.len() > 1) {
        let depth =
            (1..FOLDERS_MAX).find(|depth| are_distinct(&group, documents, *depth)).unwrap_or(FOLDERS_MAX);
        for index in group {
            let document = &mut documents[index];
            if let Some(folders) = folders(&document.path, depth) {
                document.title = format!("{} · {folders}", document.title);
            }
        }
    }
}

fn are_distinct(group: &[usize], documents: &[Document], depth: usize) -> bool {
    let mut seen = HashSet::new();
    group.iter().all(|index| seen.insert(folders(&documents[*index].path, depth)))
}

/// The last `depth` folders above a file, if it is in one.
fn folders(path: &str, depth: usize) -> Option<&str> {
    let (above, _) = path.rsplit_once('/')?;
    let from = above.rmatch_indices('/').nth(depth - 1).map_or(0, |(at, _)| at + 1);
    Some(&above[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_a_heading_or_nothing() {
        // Property: an opening sentence is not a title.
        assert_eq!(own_title(Kind::Prose, "\n\nMIT License\n\nCopyright").as_deref(), Some("MIT License"));
        assert_eq!(own_title(Kind::Prose, "It begins with a sentence."), None);
        assert_eq!(own_title(Kind::Markdown, "# v1.2.3 (today)"), None);
        assert_eq!(own_title(Kind::Markdown, "# [Unreleased]"), None);
    }
}
