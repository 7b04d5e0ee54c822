//! The editor's work: one digest of many documents, as a page (`html`) and as text (`markdown`).
//!
//! What both tell is decided here: which documents are told in full, which in a line, the themes and the
//! terms. The forms only write it down. Both stay readable, and of a bounded size, with 10,000 documents.

mod address;
mod figures;
mod html;
mod markdown;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;

use crate::analysis::DocumentDigest;
use crate::themes::{self, Shared, Theme};

/// The most documents that are told in full; the rest have a line each. 300 are what a browser lays out in a
/// moment and more than anyone reads.
pub const FULL_MAX: usize = 300;

/// The themes that are shown: a screen or two.
pub const THEMES_MAX: usize = 24;

/// The terms of the whole corpus that are shown: a paragraph.
pub const TERMS_MAX: usize = 36;

/// The skipped files that are named; the others are counted.
const SKIPPED_MAX: usize = 20;

/// Words a minute: the usual figure for silent reading of English non-fiction.
const READING_WORDS_PER_MINUTE: u64 = 238;

/// A digest, ready to be written down.
pub struct Report<'d> {
    name: String,
    base: Option<String>,
    facts: Vec<(String, String)>,
    skipped: Vec<String>,
    skipped_count: usize,
    digests: &'d [DocumentDigest],
    full: Vec<bool>,
    themes: Vec<Theme>,
    terms: Vec<Shared>,
}

impl<'d> Report<'d> {
    /// A report named `name` on `digests`, where the one at `i` has index `i`.
    pub fn new(name: impl Into<String>, digests: &'d [DocumentDigest]) -> Self {
        let mut themes = themes::themes(digests);
        themes.truncate(THEMES_MAX);
        let mut terms = themes::shared_keywords(digests.iter());
        terms.truncate(TERMS_MAX);
        Self {
            name: name.into(),
            base: None,
            facts: Vec::new(),
            skipped: Vec::new(),
            skipped_count: 0,
            digests,
            full: told_in_full(digests),
            themes,
            terms,
        }
    }

    /// Makes every path a link to the document, below `base`: where the root lies as seen from the report.
    #[must_use]
    pub fn linked_to(mut self, base: impl Into<String>) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Adds a line on how the digest was made.
    #[must_use]
    pub fn fact(mut self, what: impl Into<String>, value: impl Display) -> Self {
        self.facts.push((what.into(), value.to_string()));
        self
    }

    /// Names the files that were left out, each with its reason.
    #[must_use]
    pub fn skipped(mut self, files: impl ExactSizeIterator<Item = String>) -> Self {
        self.skipped_count = files.len();
        self.skipped = files.take(SKIPPED_MAX).collect();
        self
    }

    /// `digest.md`.
    pub fn markdown(&self) -> String {
        markdown::Page(self).to_string()
    }

    /// `digest.html`: one page that asks for nothing else.
    pub fn html(&self) -> String {
        html::Page(self).to_string()
    }

    fn words(&self) -> u64 {
        self.digests.iter().map(|it| it.words).sum()
    }

    /// How many words the summaries have, which is what a reader of the digest reads.
    fn words_told(&self) -> u64 {
        let full = self.digests.iter().zip(&self.full).filter(|(_, full)| **full);
        full.flat_map(|(it, _)| &it.summary).map(|sentence| sentence.split(' ').count() as u64).sum()
    }

    fn is_full(&self, digest: &DocumentDigest) -> bool {
        self.full.get(digest.index).copied().unwrap_or_default()
    }

    fn told_in_full(&self) -> usize {
        self.full.iter().filter(|full| **full).count()
    }

    /// How many documents there are of each kind, most first.
    fn kinds(&self) -> Vec<(&'static str, usize)> {
        let mut counts = BTreeMap::new();
        for digest in self.digests {
            *counts.entry(digest.kind.name()).or_insert(0) += 1;
        }
        let mut kinds: Vec<_> = counts.into_iter().collect();
        kinds.sort_by_key(|(_, count)| Reverse(*count));
        kinds
    }

    /// The documents by the folder they lie in below the root, those of the root itself first.
    fn folders(&self) -> BTreeMap<&'d str, Vec<&'d DocumentDigest>> {
        let mut folders = BTreeMap::<_, Vec<_>>::new();
        for digest in self.digests {
            let folder = digest.path.split_once('/').map_or("", |(folder, _)| folder);
            folders.entry(folder).or_default().push(digest);
        }
        folders
    }
}

/// All, or those that most others have as a neighbour: they stand for the rest.
fn told_in_full(digests: &[DocumentDigest]) -> Vec<bool> {
    let mut named = vec![0_usize; digests.len()];
    for (neighbour, _) in digests.iter().flat_map(|it| &it.neighbours) {
        if let Some(count) = named.get_mut(*neighbour) {
            *count += 1;
        }
    }
    let has_summary = |document: usize| !digests[document].summary.is_empty();
    let mut order: Vec<usize> = (0..digests.len()).collect();
    order.sort_by_key(|it| (Reverse(has_summary(*it)), Reverse(named[*it]), *it));
    let mut full = vec![false; digests.len()];
    order.into_iter().take(FULL_MAX).for_each(|document| full[document] = true);
    full
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::digest;

    #[test]
    fn a_small_corpus_is_told_in_full_and_a_large_one_in_part() {
        // Property: at most FULL_MAX documents are told in full, the most typical ones.
        let small = [digest(0, &["a"], &[]), digest(1, &["b"], &[])];
        assert_eq!(Report::new("small", &small).told_in_full(), 2);
        let large: Vec<_> =
            (0..FULL_MAX * 2).map(|index| digest(index, &["a"], &[(FULL_MAX * 2 - 1, 0.5)])).collect();
        let report = Report::new("large", &large);
        assert_eq!(report.told_in_full(), FULL_MAX);
        assert!(report.is_full(&large[FULL_MAX * 2 - 1]) && !report.is_full(&large[FULL_MAX]));
    }

    #[test]
    fn both_forms_stay_bounded_with_ten_thousand_documents() {
        // Property: a page of 10,000 documents is some megabytes, and has a place for each.
        let many: Vec<_> = (0..10_000)
            .map(|index| digest(index, &["queue", "lease"], &[((index + 1) % 10_000, 0.5)]))
            .collect();
        let report = Report::new("many", &many);
        let (html, markdown) = (report.html(), report.markdown());
        assert!(html.len() < 8_000_000 && markdown.len() < 4_000_000, "{} {}", html.len(), markdown.len());
        assert!(html.contains("id=\"d9999\"") && markdown.contains("id=\"d9999\""));
    }
}
