//! The prose of a program: its comments, read as Markdown, in their order.
//!
//! Only comments that have their own lines count, and no licences; a word at the end of a line of code
//! explains that line, not the file. It looks at lines alone and knows nothing of strings, which is enough
//! for a summary.

use crate::blocks::Block;
use crate::language::Marks;
use crate::markdown;
use crate::worth::is_boilerplate;

/// The prose of a program whose comments are marked by `marks`.
pub fn blocks(text: &str, marks: &Marks) -> Vec<Block> {
    let mut blocks = markdown::blocks(&comments(text, marks));
    blocks.retain(|block| !is_boilerplate(&block.text.to_lowercase()));
    blocks
}

/// All comment lines without their marks; separate comments are separated by a blank line.
fn comments(text: &str, marks: &Marks) -> String {
    let mut prose = String::new();
    let mut closing = None;
    for line in text.lines().map(str::trim) {
        let found = match closing {
            Some(close) => inside(line, close, &mut closing),
            None => begin(line, marks, &mut closing),
        };
        prose.push_str(found.filter(|line| !is_tag(line)).unwrap_or_default());
        prose.push('\n');
    }
    prose
}

/// A line outside any block comment: a comment line, the beginning of a block, or code.
fn begin<'t>(line: &'t str, marks: &Marks, closing: &mut Option<&'static str>) -> Option<&'t str> {
    if let Some((open, close)) = marks.block.iter().find(|(open, _)| line.starts_with(open)) {
        *closing = Some(close);
        return inside(&line[open.len()..], close, closing);
    }
    let rest = marks.line.iter().find_map(|mark| line.strip_prefix(mark))?;
    let is_shebang = rest.starts_with('!');
    (!is_shebang).then(|| one_space_less(rest))
}

/// A line of a block comment, and whether the block ends on it.
fn inside<'t>(line: &'t str, close: &str, closing: &mut Option<&'static str>) -> Option<&'t str> {
    let (line, ended) = line.split_once(close).map_or((line, false), |(before, _)| (before, true));
    if ended {
        *closing = None;
    }
    Some(one_space_less(line.strip_prefix('*').unwrap_or(line)))
}

/// Keeps deeper indentation, by which Markdown knows code.
fn one_space_less(line: &str) -> &str {
    line.strip_prefix(' ').unwrap_or(line)
}

/// `@param x`, `\return` and their like describe a signature; rows of marks only draw.
fn is_tag(line: &str) -> bool {
    line.starts_with(['@', '\\']) || line.trim_matches(['-', '=', '*', '/', '#', '~', ' ']).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    fn prose(language: Language, text: &str) -> Vec<String> {
        blocks(text, language.marks()).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn comments_are_prose_and_code_is_not() {
        // Property: line and block comments are read in order, without marks, examples and tags.
        let text = "//! About\n//! this file.\n\n/// A thing.\n///\n/// ```\n/// let x = 1;\n/// ```\nfn f() {} // no\n\
            /* One\n * two. */\nlet y = \"// no\";\n/** Three.\n * @param x no\n */\n";
        assert_eq!(prose(Language::Rust, text), ["About this file.", "A thing.", "One two.", "Three."]);
    }

    #[test]
    fn each_family_of_marks_is_known() {
        // Property: hash, dash and quoted comments are found; a shebang is none.
        assert_eq!(prose(Language::Shell, "#!/bin/sh\n# Runs it.\nrun"), ["Runs it."]);
        assert_eq!(prose(Language::Python, "\"\"\"A module.\n\nMore.\"\"\"\nx = 1"), ["A module.", "More."]);
        assert_eq!(prose(Language::Sql, "-- All rows.\nselect 1;"), ["All rows."]);
        assert_eq!(prose(Language::Haskell, "-- | A map.\nf = g"), ["A map."]);
    }
}
