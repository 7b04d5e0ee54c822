//! `digest.html`: the report as one page that needs no network, no server and, but for its filter, no script.
//!
//! Each part of the page is a type that writes itself; whatever comes from a document passes `text`. A
//! content security policy in the page keeps it from asking for anything. Looks are in `page.css`, the filter
//! in `page.js`; this file knows neither.

mod documents;
mod text;

use std::fmt::{self, Display, Formatter};

use self::documents::documents;
use self::text::{Folder, Link, Text};
use super::figures::{Count, Of, Reading};
use super::{Report, Theme};
use crate::analysis::DocumentDigest;
use crate::blocks::shorten;

/// The members of a theme that are shown before it is opened.
const MEMBERS_MAX: usize = 5;

/// The folders in the table of contents: a column of the screen.
const CONTENTS_MAX: usize = 60;

/// Up to this many documents the table of contents names each of them, not their folders.
const CONTENTS_DOCUMENTS_MAX: usize = 24;

/// The longest title in the table of contents, in characters.
const CONTENTS_TITLE_CHARS_MAX: usize = 36;

/// The sizes in which a term of the corpus may be written.
const TERM_SIZES: f32 = 5.0;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'";

/// The whole file.
pub(super) struct Page<'r>(pub(super) &'r Report<'r>);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let name = Text(&report.name);
        writeln!(f, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(f, "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Digest of {name}</title>")?;
        writeln!(
            f,
            "<style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#documents\">To the documents</a>"
        )?;
        masthead(f, report)?;
        writeln!(f, "<div class=\"columns\">")?;
        contents(f, report)?;
        writeln!(f, "<main>")?;
        terms(f, report)?;
        themes(f, report)?;
        documents(f, report)?;
        making(f, report)?;
        writeln!(f, "</main>\n</div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>")
    }
}

fn masthead(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let (words, told) = (report.words(), report.words_told());
    let kinds: Vec<_> =
        report.kinds().into_iter().map(|(kind, count)| format!("{} {kind}", Count(count as u64))).collect();
    writeln!(
        f,
        "<header class=\"masthead\">\n<p class=\"over\">Digest</p>\n<h1>{}</h1>",
        Text(&report.name)
    )?;
    writeln!(f, "<p class=\"kinds\">{}</p>\n<dl class=\"figures\">", Text(&kinds.join(", ")))?;
    figure(f, "documents", &Count(report.digests.len() as u64))?;
    figure(f, "words", &Count(words))?;
    figure(f, "to read it all", &Reading(words))?;
    figure(f, "to read this digest", &Reading(told))?;
    writeln!(f, "</dl>\n</header>")
}

fn figure(f: &mut Formatter<'_>, what: &str, value: &dyn Display) -> fmt::Result {
    writeln!(f, "<div><dt>{what}</dt><dd>{value}</dd></div>")
}

fn contents(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "<nav aria-label=\"Contents\"><details open><summary>Contents</summary>\n<ul>")?;
    if !report.themes.is_empty() {
        writeln!(f, "<li><a href=\"#themes\">Themes</a> <small>{}</small></li>", report.themes.len())?;
    }
    writeln!(
        f,
        "<li><a href=\"#documents\">Documents</a> <small>{}</small>\n<ul>",
        Count(report.digests.len() as u64)
    )?;
    if report.digests.len() <= CONTENTS_DOCUMENTS_MAX {
        let short = |it: &DocumentDigest| shorten(&it.title, CONTENTS_TITLE_CHARS_MAX);
        report
            .digests
            .iter()
            .try_for_each(|it| writeln!(f, "<li><a href=\"#d{}\">{}</a></li>", it.index, Text(&short(it))))?;
    } else {
        contents_by_folder(f, report)?;
    }
    writeln!(f, "</ul></li>\n<li><a href=\"#making\">How it was made</a></li>\n</ul></details></nav>")
}

fn contents_by_folder(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let folders = report.folders();
    for (at, (folder, documents)) in folders.iter().enumerate().take(CONTENTS_MAX) {
        writeln!(
            f,
            "<li><a href=\"#f{at}\">{}</a> <small>{}</small></li>",
            Folder(folder),
            Count(documents.len() as u64)
        )?;
    }
    match folders.len().saturating_sub(CONTENTS_MAX) {
        0 => Ok(()),
        more => writeln!(f, "<li class=\"more\">and {} more below</li>", Of(more, "folder")),
    }
}

fn terms(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let Some(heaviest) = report.terms.iter().map(|it| it.weight).max_by(f32::total_cmp) else {
        return Ok(());
    };
    writeln!(f, "<section id=\"terms\">\n<h2>What it is about</h2>\n<p class=\"terms\">")?;
    for term in &report.terms {
        let size = (term.weight / heaviest * TERM_SIZES).ceil().clamp(1.0, TERM_SIZES);
        let word = Text(&term.written);
        writeln!(
            f,
            "<button class=\"size{size}\" data-word=\"{word}\" title=\"in {}\">{word}</button>",
            Of(term.documents, "document")
        )?;
    }
    writeln!(f, "</p>\n</section>")
}

fn themes(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    if report.themes.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "<section id=\"themes\">\n<h2>Themes</h2>\n<p class=\"note\">Documents that are each other’s neighbours, the most typical first.</p>\n<div class=\"themes\">"
    )?;
    report.themes.iter().try_for_each(|theme| one_theme(f, theme, report.digests))?;
    writeln!(f, "</div>\n</section>")
}

fn one_theme(f: &mut Formatter<'_>, theme: &Theme, digests: &[DocumentDigest]) -> fmt::Result {
    let (first, more) = theme.members.split_at(theme.members.len().min(MEMBERS_MAX));
    writeln!(
        f,
        "<article class=\"theme\">\n<h3>{}</h3>\n<p class=\"count\">{}</p>\n<ul>",
        Text(&theme.name.join(", ")),
        Of(theme.members.len(), "document")
    )?;
    let member = |f: &mut Formatter<'_>, it: &usize| writeln!(f, "<li>{}</li>", Link(&digests[*it]));
    first.iter().try_for_each(|it| member(f, it))?;
    writeln!(f, "</ul>")?;
    if !more.is_empty() {
        writeln!(f, "<details><summary>{} more</summary><ul>", more.len())?;
        more.iter().try_for_each(|it| member(f, it))?;
        writeln!(f, "</ul></details>")?;
    }
    writeln!(f, "</article>")
}

fn making(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "<footer id=\"making\">\n<h2>How it was made</h2>")?;
    writeln!(
        f,
        "<p>Keywords are the terms that weigh most by TF-IDF against all {}. Summaries are sentences of the document itself, chosen by TextRank. Neighbours share the most weight of words (cosine).</p>",
        Of(report.digests.len(), "document")
    )?;
    if !report.facts.is_empty() {
        writeln!(f, "<dl class=\"facts\">")?;
        report.facts.iter().try_for_each(|(what, value)| {
            writeln!(f, "<div><dt>{}</dt><dd>{}</dd></div>", Text(what), Text(value))
        })?;
        writeln!(f, "</dl>")?;
    }
    if report.skipped_count > 0 {
        writeln!(f, "<details><summary>{} left out</summary><ul>", Of(report.skipped_count, "file"))?;
        report.skipped.iter().try_for_each(|file| writeln!(f, "<li>{}</li>", Text(file)))?;
        match report.skipped_count - report.skipped.len() {
            0 => {}
            more => writeln!(f, "<li>and {more} more</li>")?,
        }
        writeln!(f, "</ul></details>")?;
    }
    writeln!(f, "</footer>")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::digest;

    fn hostile(text: &str) -> DocumentDigest {
        DocumentDigest {
            title: text.into(),
            path: text.into(),
            keywords: vec![(text.into(), 1.0)],
            summary: vec![text.into()],
            ..digest(0, &[], &[])
        }
    }

    #[test]
    fn the_page_asks_for_nothing() {
        // Property: no address of another place is in the page, and its policy forbids asking for one.
        let digests = [digest(0, &["lease"], &[(1, 0.5)]), digest(1, &["lease"], &[(0, 0.999)])];
        let page = Report::new("x", &digests).html();
        assert!(
            !page.contains("://")
                && page.contains("default-src &#39;none&#39;") | page.contains("default-src 'none'")
        );
        assert!(page.contains("href=\"#d1\"") && page.contains("id=\"d1\"") && page.contains("same words"));
    }

    #[test]
    fn an_empty_report_is_a_page() {
        // Property: nothing to tell is told without a gap in the page.
        let page = Report::new("nothing", &[]).fact("Lost", 0).html();
        assert!(page.contains("<dt>Lost</dt><dd>0</dd>") && page.ends_with("</html>\n"));
    }

    proptest! {
        #[test]
        fn no_document_can_write_the_page(text in "[<>&\"'a-z/=; ]{0,40}") {
            // Property: the tags of the page are the same, whatever a document says.
            let tags = |text: &str| {
                let digests = [hostile(text)];
                Report::new(text, &digests).html().matches(['<', '>', '"']).count()
            };
            let word = if text.trim().is_empty() { text.clone() } else { "x".into() };
            prop_assert_eq!(tags(&text), tags(&word));
        }
    }
}
