//! The documents on the page: the filter above them, a card for each that is told in full, a line for the
//! rest.

use std::fmt::{self, Formatter};

use super::text::{Folder, Link, Path, Text};
use crate::analysis::DocumentDigest;
use crate::blocks::shorten;
use crate::report::Report;
use crate::report::figures::{Count, Of, Reading};

/// The keywords in the line of a document that is not told in full.
const LINE_KEYWORDS_MAX: usize = 4;

/// The sentence in such a line, in characters.
const LINE_SENTENCE_CHARS_MAX: usize = 130;

/// The lines of one list. A browser lays out and hides lists as wholes: 12,000 lines in lists of 100 are
/// filtered in 50 ms, in a single list they take seconds.
const LIST_LINES: usize = 100;

/// From this cosine on two documents have the same words.
const COSINE_SAME: f32 = 0.995;

pub(super) fn documents(f: &mut Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    writeln!(f, "<section id=\"documents\">\n<h2>Documents</h2>")?;
    writeln!(
        f,
        "<form class=\"filter\" role=\"search\" hidden><label><input type=\"search\" id=\"filter\" autocomplete=\"off\" spellcheck=\"false\""
    )?;
    writeln!(
        f,
        " aria-label=\"Filter the documents\" placeholder=\"Filter by word, title or path\"><kbd>/</kbd></label><output for=\"filter\"></output></form>"
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
        for list in lines.chunks(LIST_LINES) {
            writeln!(f, "<ul class=\"lines\">")?;
            list.iter().try_for_each(|it| line(f, it))?;
            writeln!(f, "</ul>")?;
        }
        writeln!(f, "</section>")?;
    }
    writeln!(f, "<p class=\"nothing\" hidden>No document has all of these words.</p>\n</section>")
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

/// The neighbours, each with a bar: by the square root, so that a faint likeness is seen too.
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
        let (percent, drawn) = ((cosine * 100.0).round(), (cosine.max(0.0).sqrt() * 100.0).round());
        let same = if cosine >= COSINE_SAME { " <em>same words</em>" } else { "" };
        writeln!(
            f,
            "<li><span class=\"bar\" title=\"{percent} % alike\"><b style=\"width:{drawn}%\"></b></span>{}{same}</li>",
            Link(other)
        )?;
    }
    writeln!(f, "</ol>")
}

fn line(f: &mut Formatter<'_>, digest: &DocumentDigest) -> fmt::Result {
    let keywords: Vec<_> =
        digest.keywords.iter().take(LINE_KEYWORDS_MAX).map(|(word, _)| word.as_str()).collect();
    let sentence = digest.summary.first().map(|it| shorten(it, LINE_SENTENCE_CHARS_MAX)).unwrap_or_default();
    write!(
        f,
        "<li class=\"line\" id=\"d{}\"><b>{}</b> <code>{}</code>",
        digest.index,
        Text(&digest.title),
        Text(&digest.path)
    )?;
    writeln!(f, "<span>{}</span><i>{}</i></li>", Text(&sentence), Text(&keywords.join(", ")))
}
