//! `digest.md`: the report as CommonMark, readable as plain text and in any viewer.

use std::fmt::{self, Display, Formatter};

use super::address::Address;
use super::figures::{Count, Of, Reading};
use super::{Report, Shared, Theme};
use crate::analysis::DocumentDigest;
use crate::blocks::shorten;

/// The members of a theme that are linked.
const MEMBERS_MAX: usize = 8;

/// The keywords in the line of a document that is not told in full.
const LINE_KEYWORDS_MAX: usize = 5;

/// The longest title in a line, in characters: the table stays narrow.
const LINE_TITLE_CHARS_MAX: usize = 60;

/// The whole file.
pub(super) struct Page<'r>(pub(super) &'r Report<'r>);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "# Digest of {}\n", Text(&report.name))?;
        let kinds: Vec<_> = report
            .kinds()
            .into_iter()
            .map(|(kind, count)| format!("{} {kind}", Count(count as u64)))
            .collect();
        let (documents, words) = (Of(report.digests.len(), "document"), report.words());
        writeln!(
            f,
            "{documents} ({}), {} words: {} of reading, told in {}.\n",
            kinds.join(", "),
            Count(words),
            Reading(words),
            Reading(report.words_told())
        )?;
        terms(f, &report.terms)?;
        themes(f, report)?;
        documents_told(f, report)?;
        making(f, report)
    }
}

fn terms(f: &mut Formatter<'_>, terms: &[Shared]) -> fmt::Result {
    if terms.is_empty() {
        return Ok(());
    }
    let words: Vec<_> = terms.iter().map(|it| Text(&it.written).to_string()).collect();
    writeln!(f, "**What it is about:** {}\n", words.join(" · "))
}

fn themes(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    if report.themes.is_empty() {
        return Ok(());
    }
    writeln!(f, "## Themes\n")?;
    report.themes.iter().try_for_each(|theme| one_theme(f, theme, report.digests))?;
    writeln!(f)
}

fn one_theme(f: &mut Formatter<'_>, theme: &Theme, digests: &[DocumentDigest]) -> fmt::Result {
    let links: Vec<_> =
        theme.members.iter().take(MEMBERS_MAX).map(|member| Link(&digests[*member]).to_string()).collect();
    let more = theme.members.len().saturating_sub(MEMBERS_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    writeln!(f, "- **{}**: {}{more}", Text(&theme.name.join(", ")), links.join(", "))
}

fn documents_told(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "## Documents\n")?;
    for digest in report.digests.iter().filter(|it| report.is_full(it)) {
        full(f, digest, report)?;
    }
    let rest = report.digests.len() - report.told_in_full();
    if rest == 0 {
        return Ok(());
    }
    let told = report.told_in_full();
    writeln!(f, "## The other {}\n", Of(rest, "document"))?;
    writeln!(f, "The {told} above are those that most others resemble. The others have a line each.\n")?;
    writeln!(f, "| document | path | keywords |\n|---|---|---|")?;
    report.digests.iter().filter(|it| !report.is_full(it)).try_for_each(|it| line(f, it))?;
    writeln!(f)
}

fn full(f: &mut Formatter<'_>, digest: &DocumentDigest, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "### <a id=\"d{}\"></a>{}\n", digest.index, Text(&digest.title))?;
    writeln!(
        f,
        "{} · {} · {} words\n",
        Path(digest, report.base.as_deref()),
        digest.kind.name(),
        Count(digest.words)
    )?;
    for sentence in &digest.summary {
        writeln!(f, "> {}\n>", Text(sentence))?;
    }
    if digest.summary.is_empty() {
        writeln!(f, "> *No prose to sum up.*")?;
    }
    writeln!(f)?;
    if !digest.keywords.is_empty() {
        writeln!(f, "**Keywords:** {}\n", keywords(digest, usize::MAX))?;
    }
    let near: Vec<_> = digest
        .neighbours
        .iter()
        .filter_map(|(it, _)| report.digests.get(*it))
        .map(|it| Link(it).to_string())
        .collect();
    if !near.is_empty() {
        writeln!(f, "**Near:** {}\n", near.join(", "))?;
    }
    Ok(())
}

fn line(f: &mut Formatter<'_>, digest: &DocumentDigest) -> fmt::Result {
    let title = shorten(&digest.title, LINE_TITLE_CHARS_MAX);
    let path = Path(digest, None);
    writeln!(
        f,
        "| <a id=\"d{}\"></a>{} | {path} | {} |",
        digest.index,
        Text(&title),
        keywords(digest, LINE_KEYWORDS_MAX)
    )
}

fn keywords(digest: &DocumentDigest, max: usize) -> String {
    let words: Vec<_> = digest.keywords.iter().take(max).map(|(word, _)| Text(word).to_string()).collect();
    words.join(", ")
}

fn making(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    if !report.facts.is_empty() {
        writeln!(f, "## How it was made\n\n| | |\n|---|---|")?;
        report
            .facts
            .iter()
            .try_for_each(|(what, value)| writeln!(f, "| {} | {} |", Text(what), Text(value)))?;
        writeln!(f)?;
    }
    if report.skipped_count > 0 {
        writeln!(f, "Left out: {}.\n", Of(report.skipped_count, "file"))?;
        report.skipped.iter().try_for_each(|file| writeln!(f, "- {}", Text(file)))?;
    }
    Ok(())
}

/// A link to the place of a document in this file.
struct Link<'d>(&'d DocumentDigest);

impl Display for Link<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "[{}](#d{})", Text(&self.0.title), self.0.index)
    }
}

/// A document's path, and a link to it when we know where it lies.
struct Path<'d>(&'d DocumentDigest, Option<&'d str>);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = Text(&self.0.path);
        match self.1 {
            Some(base) => write!(f, "[{path}](<{}>)", Address(base, &self.0.path)),
            None => write!(f, "{path}"),
        }
    }
}

/// Text that Markdown takes as it stands.
struct Text<'t>(&'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.0.split_whitespace().collect();
        let text = words.join(" ");
        let numbered = text.trim_start_matches(|it: char| it.is_ascii_digit());
        for (at, letter) in text.char_indices() {
            let opens_list = at == 0 && "#+-=".contains(letter);
            let opens_numbers =
                numbered.len() < text.len() && at == text.len() - numbered.len() && ".)".contains(letter);
            if opens_list || opens_numbers || "\\`*_[]<>|~&!$".contains(letter) {
                f.write_str("\\")?;
            }
            write!(f, "{letter}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser};

    use super::*;
    use crate::testing::digest;

    const OPTIONS: Options = Options::ENABLE_TABLES
        .union(Options::ENABLE_FOOTNOTES)
        .union(Options::ENABLE_STRIKETHROUGH)
        .union(Options::ENABLE_TASKLISTS)
        .union(Options::ENABLE_GFM)
        .union(Options::ENABLE_MATH);

    #[test]
    fn each_document_can_be_reached() {
        // Property: every link inside the file has its place, and the base leads to the files.
        let digests = [digest(0, &["lease"], &[(1, 0.5)]), digest(1, &["lease"], &[(0, 0.5)])];
        let page = Report::new("x", &digests).linked_to("../my docs").fact("Time", "1 s").markdown();
        assert!(page.contains("[Document 1](#d1)") && page.contains("<a id=\"d1\"></a>Document 1"), "{page}");
        assert!(page.contains("[folder/1.md](<../my%20docs/folder/1.md>)"), "{page}");
        assert!(page.contains("- **lease**: [Document 0](#d0), [Document 1](#d1)"), "{page}");
    }

    proptest! {
        #[test]
        fn text_reads_as_it_was(text in "[ -~é]{0,60}") {
            // Property: whatever a document says is shown, never obeyed.
            let markdown = Text(&text).to_string();
            let mut shown = String::new();
            for event in Parser::new_ext(&markdown, OPTIONS) {
                match event {
                    Event::Text(text) => shown.push_str(&text),
                    Event::Start(_) | Event::End(_) | Event::SoftBreak => {}
                    other => prop_assert!(false, "{other:?} from {markdown}"),
                }
            }
            prop_assert_eq!(shown, text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
