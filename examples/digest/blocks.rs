//! Breaks a document into blocks of prose: what a person would read aloud, without code, markup and badges.
//!
//! Markdown is read in `markdown`, the comments of a program in `comments`, plain text here. Sentences are
//! found within a block, in `sentences`; words in `terms`.

use crate::corpus::Document;
use crate::language::Kind;
use crate::{comments, markdown};

/// The longest single line of plain text that is taken for a heading, in characters.
const HEADING_CHARS_MAX: usize = 80;

/// A run of prose, on one line, with its part in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its part.
    pub role: Role,
    /// Its words, separated by single spaces.
    pub text: String,
}

/// The part a block plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It names what follows.
    Heading,
    /// It is made of sentences.
    Paragraph,
    /// It is one point of a list.
    Item,
    /// It is a cell of a table.
    Cell,
}

impl Block {
    /// A block of `text`, its white space made single; `None` when no letter or digit is in it.
    pub fn new(role: Role, text: &str) -> Option<Self> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.contains(char::is_alphanumeric).then_some(Self { role, text })
    }
}

/// The prose of a document, in its order.
pub fn blocks(document: &Document) -> Vec<Block> {
    let blocks = match document.kind {
        Kind::Prose => plain(&document.text),
        Kind::Markdown => markdown::blocks(&document.text),
        Kind::Source(language) => comments::blocks(&document.text, language.marks()),
    };
    without_licence(blocks)
}

/// Leaves out what stands under "License" and "Contribution": the same words end thousands of documents, and
/// short ones would be neighbours by them. A document that is nothing else is kept whole.
fn without_licence(blocks: Vec<Block>) -> Vec<Block> {
    let mut in_licence = false;
    let is_subject = |block: &Block| {
        let heading = block.text.to_lowercase();
        if block.role == Role::Heading {
            in_licence = ["license", "licence", "contribution"].iter().any(|name| heading.starts_with(name));
        }
        !in_licence
    };
    let keep: Vec<bool> = blocks.iter().map(is_subject).collect();
    let has_sentences = |(block, keep): (&Block, &bool)| *keep && block.role != Role::Heading;
    if !blocks.iter().zip(&keep).any(has_sentences) {
        return blocks;
    }
    blocks.into_iter().zip(keep).filter_map(|(block, keep)| keep.then_some(block)).collect()
}

/// `text` within `chars_max` characters, cut between words and marked where it is cut.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars_max) else {
        return text.to_owned();
    };
    let cut = &text[..end];
    let whole_words = cut.rfind(' ').map_or(cut, |space| &cut[..space]);
    format!("{}…", whole_words.trim_end_matches([',', ';', ':', '.', ' ']))
}

fn plain(text: &str) -> Vec<Block> {
    text.split("\n\n").flat_map(paragraph_blocks).collect()
}

/// One paragraph of plain text: a heading (with or without an underline), the points of a list, or prose.
pub fn paragraph_blocks(paragraph: &str) -> Vec<Block> {
    let lines: Vec<&str> = paragraph.lines().filter(|line| !is_rule(line)).collect();
    if let [line] = lines[..]
        && is_heading(line)
    {
        return Block::new(Role::Heading, line).into_iter().collect();
    }
    let mut found: Vec<(Role, String)> = Vec::new();
    for line in lines {
        match (bullet(line), found.last_mut()) {
            (Some(point), _) => found.push((Role::Item, point.to_owned())),
            (None, Some((_, text))) => text.extend([" ", line]),
            (None, None) => found.push((Role::Paragraph, line.to_owned())),
        }
    }
    found.iter().filter_map(|(role, text)| Block::new(*role, text)).collect()
}

/// A line that only draws: an underline, a box or a row of dots.
fn is_rule(line: &str) -> bool {
    !line.contains(char::is_alphanumeric)
}

fn is_heading(line: &str) -> bool {
    let line = line.trim();
    line.chars().count() <= HEADING_CHARS_MAX && !line.ends_with(['.', ',', ';', ':', '!', '?'])
}

/// The text after a bullet, when the line begins with one.
pub fn bullet(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["- ", "* ", "• ", "+ "].iter().find_map(|mark| line.strip_prefix(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &str) -> Vec<(Role, String)> {
        plain(text).into_iter().map(|block| (block.role, block.text)).collect()
    }

    #[test]
    fn plain_text_has_headings_paragraphs_and_items() {
        // Property: blank lines separate, underlines vanish, bullets are items that may run over lines.
        let text = "A Title\n=======\n\nOne line\nand another.\n\n- first\n  goes on\n- second\n\n-----\n";
        assert_eq!(
            roles(text),
            [
                (Role::Heading, "A Title".into()),
                (Role::Paragraph, "One line and another.".into()),
                (Role::Item, "first goes on".into()),
                (Role::Item, "second".into()),
            ]
        );
    }

    #[test]
    fn a_licence_is_left_out_unless_it_is_all() {
        // Property: what stands under "License" is not the subject, except in a licence.
        let lines =
            |text| without_licence(markdown::blocks(text)).into_iter().map(|it| it.text).collect::<Vec<_>>();
        assert_eq!(
            lines("# A\n\nSubject.\n\n## License\n\nMIT.\n\n## B\n\nMore."),
            ["A", "Subject.", "B", "More."]
        );
        assert_eq!(lines("# License\n\nMIT."), ["License", "MIT."]);
    }

    #[test]
    fn shortening_cuts_between_words() {
        // Property: at most the bound and the mark, never inside a character.
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten("a long, long line", 9), "a long…");
        assert_eq!(shorten("ééééé", 3), "ééé…");
    }
}
