//! `digest.html`: the report as one page that needs no network, no server and, but for its filter, no script.
//!
//! Each part of the page is a type that writes itself; whatever comes from a document passes [`Text`]. A
//! content security policy in the page keeps it from asking for anything. Looks are in `page.css`, the filter in
//! `page.js`; this file knows neither.

use std::fmt::{self, Display, Formatter};

use super::figures::{Count, Of, Reading};
use super::markdown::Address;
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

/// The keywords in the line of a document that is not told in full.
const LINE_KEYWORDS_MAX: usize = 4;

/// The sentence in such a line, in characters.
const LINE_SENTENCE_CHARS_MAX: usize = 130;

/// From this cosine on two documents have the same words.
const COSINE_SAME: f32 = 0.995;

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
        writeln!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">"
        )?;
        writeln!(
            f,
            "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">"
        )?;
        writeln!(
            f,
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        )?;
        writeln!(
            f,
            "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Digest of {name}</title>"
        )?;
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
        writeln!(
            f,
            "</main>\n</div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>"
        )
    }
}

fn masthead(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let (words, told) = (report.words(), report.words_told());
    let kinds: Vec<_> = report
        .kinds()
        .into_iter()
        .map(|(kind, count)| format!("{} {kind}", Count(count as u64)))
        .collect();
    writeln!(
        f,
        "<header class=\"masthead\">\n<p class=\"over\">Digest</p>\n<h1>{}</h1>",
        Text(&report.name)
    )?;
    writeln!(
        f,
        "<p class=\"kinds\">{}</p>\n<dl class=\"figures\">",
        Text(&kinds.join(", "))
    )?;
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
    writeln!(
        f,
        "<nav aria-label=\"Contents\"><details open><summary>Contents</summary>\n<ul>"
    )?;
    if !report.themes.is_empty() {
        writeln!(
            f,
            "<li><a href=\"#themes\">Themes</a> <small>{}</small></li>",
            report.themes.len()
        )?;
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
    writeln!(
        f,
        "</ul></li>\n<li><a href=\"#making\">How it was made</a></li>\n</ul></details></nav>"
    )
}

fn contents_by_folder(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let folders = report.folders();
    for (at, (folder, documents)) in folders.iter().enumerate().take(CONTENTS_MAX) {
        writeln!(
            f,
            "<li><a href=\"#f{at}\">{}</a> <small>{}</small></li>",
            Folder(folder),
            documents.len()
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
    writeln!(
        f,
        "<section id=\"terms\">\n<h2>What it is about</h2>\n<p class=\"terms\">"
    )?;
    for term in &report.terms {
        let size = (term.weight / heaviest * TERM_SIZES)
            .ceil()
            .clamp(1.0, TERM_SIZES);
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
    report
        .themes
        .iter()
        .try_for_each(|theme| one_theme(f, theme, report.digests))?;
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

fn documents(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "<section id=\"documents\">\n<h2>Documents</h2>")?;
    writeln!(
        f,
        "<form class=\"filter\" role=\"search\" hidden><input type=\"search\" id=\"filter\" autocomplete=\"off\" spellcheck=\"false\""
    )?;
    writeln!(
        f,
        " aria-label=\"Filter the documents\" placeholder=\"Filter by word, title or path\"><kbd>/</kbd><output for=\"filter\"></output></form>"
    )?;
    let told = report.told_in_full();
    if told < report.digests.len() {
        writeln!(
            f,
            "<p class=\"note\">{told} documents, those that most others resemble, are told in full; each of the others has a line. The filter finds all.</p>"
        )?;
    }
    for (at, (folder, documents)) in report.folders().into_iter().enumerate() {
        writeln!(
            f,
            "<section class=\"folder\" id=\"f{at}\">\n<h3 class=\"folder-name\">{} <small>{}</small></h3>",
            Folder(folder),
            Of(documents.len(), "document")
        )?;
        let (full, lines): (Vec<_>, Vec<_>) = documents.into_iter().partition(|it| report.is_full(it));
        full.into_iter().try_for_each(|it| card(f, it, report))?;
        if !lines.is_empty() {
            writeln!(f, "<ul class=\"lines\">")?;
            lines.into_iter().try_for_each(|it| line(f, it))?;
            writeln!(f, "</ul>")?;
        }
        writeln!(f, "</section>")?;
    }
    writeln!(
        f,
        "<p class=\"nothing\" hidden>No document has all of these words.</p>\n</section>"
    )
}

fn card(f: &mut Formatter<'_>, digest: &DocumentDigest, report: &Report<'_>) -> fmt::Result {
    writeln!(
        f,
        "<article class=\"card\" id=\"d{0}\">\n<h4><a href=\"#d{0}\">{1}</a></h4>",
        digest.index,
        Text(&digest.title)
    )?;
    writeln!(
        f,
        "<p class=\"meta\">{}<span class=\"kind\">{}</span><span>{} words</span><span>{}</span></p>",
        Path(digest, report),
        digest.kind.name(),
        Count(digest.words),
        Reading(digest.words)
    )?;
    if digest.summary.is_empty() {
        writeln!(f, "<p class=\"summary none\">No prose to sum up.</p>")?;
    }
    digest
        .summary
        .iter()
        .try_for_each(|sentence| writeln!(f, "<p class=\"summary\">{}</p>", Text(sentence)))?;
    if !digest.keywords.is_empty() {
        writeln!(f, "<p class=\"chips\">")?;
        digest
            .keywords
            .iter()
            .try_for_each(|(word, _)| writeln!(f, "<button data-word=\"{0}\">{0}</button>", Text(word)))?;
        writeln!(f, "</p>")?;
    }
    near(f, digest, report)?;
    writeln!(f, "</article>")
}

fn near(f: &mut Formatter<'_>, digest: &DocumentDigest, report: &Report<'_>) -> fmt::Result {
    let near: Vec<_> = digest
        .neighbours
        .iter()
        .filter_map(|(it, cosine)| Some((report.digests.get(*it)?, *cosine)))
        .collect();
    if near.is_empty() {
        return Ok(());
    }
    writeln!(f, "<ol class=\"near\" aria-label=\"Nearest documents\">")?;
    for (other, cosine) in near {
        let percent = (cosine * 100.0).round();
        let same = if cosine >= COSINE_SAME {
            " <em>same words</em>"
        } else {
            ""
        };
        writeln!(
            f,
            "<li><meter min=\"0\" max=\"100\" value=\"{percent}\" title=\"{percent} % alike\"></meter>{}{same}</li>",
            Link(other)
        )?;
    }
    writeln!(f, "</ol>")
}

fn line(f: &mut Formatter<'_>, digest: &DocumentDigest) -> fmt::Result {
    let keywords: Vec<_> = digest
        .keywords
        .iter()
        .take(LINE_KEYWORDS_MAX)
        .map(|(word, _)| word.as_str())
        .collect();
    let sentence = digest
        .summary
        .first()
        .map(|it| shorten(it, LINE_SENTENCE_CHARS_MAX))
        .unwrap_or_default();
    write!(
        f,
        "<li class=\"line\" id=\"d{}\"><b>{}</b> <code>{}</code>",
        digest.index,
        Text(&digest.title),
        Text(&digest.path)
    )?;
    writeln!(
        f,
        "<span>{}</span><i>{}</i></li>",
        Text(&sentence),
        Text(&keywords.join(", "))
    )
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
        writeln!(
            f,
            "<details><summary>{} left out</summary><ul>",
            Of(report.skipped_count, "file")
        )?;
        report
            .skipped
            .iter()
            .try_for_each(|file| writeln!(f, "<li>{}</li>", Text(file)))?;
        match report.skipped_count - report.skipped.len() {
            0 => {}
            more => writeln!(f, "<li>and {more} more</li>")?,
        }
        writeln!(f, "</ul></details>")?;
    }
    writeln!(f, "</footer>")
}

/// A link to the place of a document on this page.
struct Link<'d>(&'d DocumentDigest);

impl Display for Link<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<a href=\"#d{}\" title=\"{}\">{}</a>",
            self.0.index,
            Text(&self.0.path),
            Text(&self.0.title)
        )
    }
}

/// A document's path, and a link to it when we know where it lies.
struct Path<'d>(&'d DocumentDigest, &'d Report<'d>);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = Text(&self.0.path);
        match &self.1.base {
            Some(base) => write!(
                f,
                "<a class=\"path\" href=\"{}\">{path}</a>",
                Address(base, &self.0.path)
            ),
            None => write!(f, "<span class=\"path\">{path}</span>"),
        }
    }
}

/// The name of a folder; the root has none of its own.
struct Folder<'d>(&'d str);

impl Display for Folder<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("Top level")
        } else {
            Text(self.0).fmt(f)
        }
    }
}

/// Text that HTML takes as it stands, between tags and in quoted attributes.
struct Text<'t>(&'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
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
        let digests = [
            digest(0, &["lease"], &[(1, 0.5)]),
            digest(1, &["lease"], &[(0, 0.999)]),
        ];
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
