//! Counts the terms of one document: its words, and the two-word phrases it repeats.
//!
//! [`count`] is the first phase of a digest, one task per document; its result travels to the editor and is
//! merged in `idf`. A [`Tally`] is the same with the written forms kept, for a worker that shows keywords.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::blocks::{self, Block};
use crate::corpus::Document;
use crate::language::Kind;
use crate::numbers::Numbers;
use crate::words;

/// The most terms that speak for one document. Its rarer ones would change no keyword and no neighbour, and
/// this keeps the counts of 10,000 documents within some 50 MB.
pub const TERMS_MAX: usize = 512;

/// How often two words must stand together to be a phrase: once is chance.
const PHRASE_COUNT_MIN: u32 = 2;

/// How often each term occurs in one document: what a worker answers in the first phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermCounts {
    /// All words, also those that are not counted as terms.
    pub words: u64,
    /// Terms with their counts, by term; at most [`TERMS_MAX`].
    pub counts: Vec<(String, u32)>,
}

/// Counts the terms of a document.
pub fn count(document: &Document) -> TermCounts {
    let blocks = blocks::blocks(document);
    Tally::of(document, &blocks).counts()
}

/// The terms of one document, with how they are written in it.
#[derive(Debug, Default)]
pub struct Tally<'t> {
    /// All words, as in [`TermCounts::words`].
    pub words: u64,
    /// The terms; at most [`TERMS_MAX`], by term.
    pub terms: Vec<Tallied<'t>>,
}

/// One term of a [`Tally`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tallied<'t> {
    /// The word, or the two words of a phrase with a space between.
    pub term: String,
    /// How often it occurs; at least once.
    pub count: u32,
    /// How it is mostly written.
    pub written: &'t str,
}

impl<'t> Tally<'t> {
    /// Tallies a document whose prose is `blocks`. A program is tallied whole: its names are its words.
    pub fn of(document: &'t Document, blocks: &'t [Block]) -> Self {
        let is_source = matches!(document.kind, Kind::Source(_));
        let mut counting = Counting { numbers: Numbers::new(is_source), ..Counting::default() };
        if is_source {
            counting.read(&document.text, true);
        } else {
            blocks.iter().for_each(|block| counting.read(&block.text, false));
        }
        counting.finish()
    }

    /// The counts alone, as they travel.
    pub fn counts(&self) -> TermCounts {
        let counts = self.terms.iter().map(|it| (it.term.clone(), it.count)).collect();
        TermCounts { words: self.words, counts }
    }
}

/// A tally that is being made; terms are known by number.
#[derive(Default)]
struct Counting<'t> {
    words: u64,
    numbers: Numbers<'t>,
    terms: Vec<Votes<'t>>,
    phrases: HashMap<(usize, usize), Votes<'t>>,
}

/// A counted word and where it stands in the text.
#[derive(Clone, Copy)]
struct Placed {
    number: usize,
    start: usize,
    end: usize,
}

/// A count, and the written form that leads by majority vote (Boyer and Moore): no form is kept but one.
#[derive(Clone, Copy)]
struct Votes<'t> {
    count: u32,
    written: &'t str,
    lead: u32,
}

impl<'t> Counting<'t> {
    fn read(&mut self, text: &'t str, is_source: bool) {
        let mut before: Option<Placed> = None;
        for (start, written) in words::words(text, is_source) {
            self.words += 1;
            let Some(number) = self.numbers.number(written) else {
                continue;
            };
            let word = Placed { number, start, end: start + written.len() };
            self.count_word(number, written);
            if let Some(first) = before {
                self.count_phrase(text, first, word);
            }
            before = Some(word);
        }
    }

    fn count_word(&mut self, number: usize, written: &'t str) {
        match self.terms.get_mut(number) {
            Some(votes) => votes.vote(written),
            None => self.terms.push(Votes::first(written)),
        }
    }

    fn count_phrase(&mut self, text: &'t str, first: Placed, second: Placed) {
        if first.number != second.number && words::joins(&text[first.end..second.start]) {
            let written = &text[first.start..second.end];
            let votes = self.phrases.entry((first.number, second.number));
            votes.and_modify(|votes| votes.vote(written)).or_insert_with(|| Votes::first(written));
        }
    }

    fn finish(self) -> Tally<'t> {
        let names = self.numbers.terms();
        let repeated = self.phrases.iter().filter(|(_, votes)| votes.count >= PHRASE_COUNT_MIN);
        let phrases = repeated.map(|((a, b), votes)| votes.tallied(format!("{} {}", names[*a], names[*b])));
        let single = names.iter().zip(&self.terms).map(|(term, votes)| votes.tallied(term.clone()));
        let mut terms = phrases.chain(single).collect();
        keep_most_frequent(&mut terms);
        Tally { words: self.words, terms }
    }
}

fn keep_most_frequent(terms: &mut Vec<Tallied<'_>>) {
    terms.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.term.cmp(&b.term)));
    terms.truncate(TERMS_MAX);
    terms.sort_unstable_by(|a, b| a.term.cmp(&b.term));
}

impl<'t> Votes<'t> {
    fn first(written: &'t str) -> Self {
        Self { count: 1, written, lead: 1 }
    }

    fn vote(&mut self, written: &'t str) {
        self.count += 1;
        if self.written == written {
            self.lead += 1;
        } else if self.lead > 1 {
            self.lead -= 1;
        } else {
            (self.written, self.lead) = (written, 1);
        }
    }

    fn tallied(&self, term: String) -> Tallied<'t> {
        Tallied { term, count: self.count, written: self.written }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{markdown, source};

    fn counted(document: &Document) -> Vec<(String, u32)> {
        count(document).counts
    }

    #[test]
    fn words_and_repeated_phrases_are_counted() {
        // Property: counts are by term; a pair of words is a term when it is repeated.
        let document = markdown("# Work queues\n\nA work queue holds work. The queue is short.");
        let expected = [("hold", 1), ("queue", 3), ("short", 1), ("work", 3), ("work queue", 2)];
        assert_eq!(counted(&document), expected.map(|(term, count)| (term.to_owned(), count)));
        assert_eq!(count(&document).words, 11);
    }

    #[test]
    fn a_program_is_counted_by_its_names() {
        // Property: identifiers are split, reserved words are not counted, code blocks of Markdown are not read.
        let counts = counted(&source("pub fn open_lease(lease: Lease) { lease.renew() }"));
        assert_eq!(counts, [("lease".to_owned(), 4), ("open".to_owned(), 1), ("renew".to_owned(), 1)]);
        assert_eq!(counted(&markdown("```\ncode\n```\n")), []);
    }

    #[test]
    fn the_usual_written_form_is_shown() {
        // Property: of several written forms of a term, the one used most is kept.
        let document =
            markdown("JetStream is fast. Agents use JetStream. agents and Agents: JetStream for Agents.");
        let blocks = blocks::blocks(&document);
        let tally = Tally::of(&document, &blocks);
        let written: HashMap<_, _> = tally.terms.iter().map(|it| (it.term.as_str(), it.written)).collect();
        assert_eq!((written["jetstream"], written["agent"]), ("JetStream", "Agents"));
    }

    #[test]
    fn a_long_document_keeps_its_most_frequent_terms() {
        // Property: at most TERMS_MAX terms, none rarer than one that was left out.
        let rare: String = (0..2 * TERMS_MAX).map(|n| format!("rare{}x. ", words_of(n))).collect();
        let counts = counted(&markdown(&format!("{rare} frequent. frequent.")));
        assert_eq!(counts.len(), TERMS_MAX);
        assert!(counts.contains(&("frequent".to_owned(), 2)));
    }

    fn words_of(number: usize) -> String {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    }
}
