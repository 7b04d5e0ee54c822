//! Merges the counts of all documents into what the corpus knows of each term: how many documents hold it.
//!
//! Order does not matter and neither do repetitions: counts may arrive late, twice, from anywhere, and the
//! vocabulary is the same to the bit. Vectors for `neighbours` are made in the same pass.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::neighbours::Vector;
use crate::terms::TermCounts;

/// The most terms of a vocabulary: it stays some megabytes, and the words of ten languages fit.
pub const VOCABULARY_MAX: usize = 200_000;

/// How many documents hold each term. Terms that one document alone holds are not listed, only implied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// How many documents were merged.
    pub documents: u32,
    /// How many words they have together.
    pub words: u64,
    /// Terms in order; a term's place is its number.
    terms: Vec<String>,
    /// For each of `terms`, how many documents hold it.
    frequencies: Vec<u32>,
    /// How many documents are taken to hold a term that is not listed.
    unlisted: u32,
}

/// A term's place in the [`Vocabulary`].
pub type TermNumber = u32;

impl Vocabulary {
    /// A term's number, unless too few documents hold it.
    pub fn number(&self, term: &str) -> Option<TermNumber> {
        let place = self.terms.binary_search_by(|it| it.as_str().cmp(term)).ok()?;
        TermNumber::try_from(place).ok()
    }

    /// Inverse document frequency: `ln(1 + documents / documents that hold it)`. Above zero for every term,
    /// so that a corpus of one document has keywords too.
    pub fn idf(&self, term: &str) -> f32 {
        let frequency = self.number(term).map_or(self.unlisted, |number| self.frequencies[number as usize]);
        idf(self.documents, frequency)
    }
}

fn idf(documents: u32, frequency: u32) -> f32 {
    let frequency = frequency.max(1);
    (1.0 + f64::from(documents.max(frequency)) / f64::from(frequency)).ln() as f32
}

/// The weight of a term: its frequency in the document, damped, times its rarity in the corpus.
pub fn weight(count: u32, idf: f32) -> f32 {
    (1.0 + (count as f32).ln()) * idf
}

/// Counts on their way to become a [`Vocabulary`].
#[derive(Debug, Default)]
pub struct Gathering {
    numbers: HashMap<String, u32>,
    documents: HashMap<usize, Gathered>,
}

#[derive(Debug)]
struct Gathered {
    words: u64,
    counts: Vec<(u32, u32)>,
}

impl Gathering {
    /// Adds the counts of one document. `false` when that document was there already: nothing changes then.
    pub fn add(&mut self, index: usize, counts: TermCounts) -> bool {
        if self.documents.contains_key(&index) {
            return false;
        }
        let numbered = counts.counts.into_iter().map(|(term, count)| {
            let next = self.numbers.len() as u32;
            (*self.numbers.entry(term).or_insert(next), count)
        });
        let gathered = Gathered { words: counts.words, counts: numbered.collect() };
        self.documents.insert(index, gathered).is_none()
    }

    /// The vocabulary, and one vector for each of the documents `0..`, empty where none was added.
    pub fn finish(self) -> (Vocabulary, Vec<Vector>) {
        let frequencies = self.frequencies();
        let (vocabulary, renumbered) = self.list(&frequencies);
        let length = self.documents.keys().max().map_or(0, |last| last + 1);
        let mut vectors = vec![Vector::default(); length];
        #[expect(clippy::iter_over_hash_type, reason = "each vector has its own place")]
        for (index, gathered) in &self.documents {
            let weights = gathered.counts.iter().map(|(number, count)| {
                let idf = idf(vocabulary.documents, frequencies[*number as usize].max(vocabulary.unlisted));
                (renumbered[*number as usize], weight(*count, idf))
            });
            vectors[*index] = Vector::new(weights.collect());
        }
        (vocabulary, vectors)
    }

    fn frequencies(&self) -> Vec<u32> {
        let mut frequencies = vec![0; self.numbers.len()];
        for (number, _) in self.documents.values().flat_map(|it| &it.counts) {
            frequencies[*number as usize] += 1;
        }
        frequencies
    }

    /// Lists the terms that most documents hold, in order, with the new number of each old one.
    fn list(&self, frequencies: &[u32]) -> (Vocabulary, Vec<Rank>) {
        let mut shared: Vec<(&str, u32)> =
            self.numbers.iter().map(|(term, number)| (term.as_str(), *number)).collect();
        shared.retain(|(_, number)| frequencies[*number as usize] > 1);
        shared.sort_unstable_by(|a, b| {
            frequencies[b.1 as usize].cmp(&frequencies[a.1 as usize]).then_with(|| a.0.cmp(b.0))
        });
        let unlisted = shared.get(VOCABULARY_MAX).map_or(1, |(_, number)| frequencies[*number as usize]);
        shared.truncate(VOCABULARY_MAX);
        shared.sort_unstable();
        let vocabulary = Vocabulary {
            documents: self.documents.len() as u32,
            words: self.documents.values().map(|it| it.words).sum(),
            terms: shared.iter().map(|(term, _)| (*term).to_owned()).collect(),
            frequencies: shared.iter().map(|(_, number)| frequencies[*number as usize]).collect(),
            unlisted,
        };
        (vocabulary, self.rank(&shared))
    }

    fn rank(&self, listed: &[(&str, u32)]) -> Vec<Rank> {
        let mut ranks = vec![Rank::Unlisted; self.numbers.len()];
        for (place, (_, number)) in listed.iter().enumerate() {
            ranks[*number as usize] = Rank::Listed(place as TermNumber);
        }
        ranks
    }
}

/// Whether a term can be shared with another document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It has a number.
    Listed(TermNumber),
    /// It counts for a document's length alone.
    Unlisted,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(terms: &[(&str, u32)]) -> TermCounts {
        let counts: Vec<_> = terms.iter().map(|(term, count)| ((*term).to_owned(), *count)).collect();
        TermCounts { words: counts.iter().map(|it| u64::from(it.1)).sum(), counts }
    }

    #[test]
    fn rarer_terms_weigh_more() {
        // Property: idf falls as more documents hold the term; an unlisted term is as rare as can be.
        let mut gathering = Gathering::default();
        gathering.add(0, counts(&[("all", 1), ("one", 1), ("two", 1)]));
        gathering.add(1, counts(&[("all", 1), ("two", 1)]));
        gathering.add(2, counts(&[("all", 1)]));
        let (vocabulary, vectors) = gathering.finish();
        assert!(
            vocabulary.idf("one") > vocabulary.idf("two") && vocabulary.idf("two") > vocabulary.idf("all")
        );
        assert!(vocabulary.idf("all") > 0.0 && vocabulary.idf("one") == vocabulary.idf("unheard"));
        assert_eq!((vocabulary.documents, vocabulary.words, vectors.len()), (3, 6, 3));
    }

    #[test]
    fn a_document_counts_once() {
        // Property: counts that arrive twice change nothing.
        let mut gathering = Gathering::default();
        assert!(gathering.add(0, counts(&[("a", 1)])));
        assert!(!gathering.add(0, counts(&[("b", 9)])));
        assert_eq!(gathering.finish().0.words, 1);
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            documents in prop::collection::vec(prop::collection::btree_map("[a-e]{1,2}", 1u32..9, 0..12), 1..12),
            seed in any::<prop::sample::Index>(),
        ) {
            // Property: any rotation and reversal gives the same vocabulary and vectors, to the bit.
            let mut all: Vec<_> = documents.into_iter().map(|it| it.into_iter().collect::<Vec<_>>()).enumerate().collect();
            let merge = |all: &[(usize, Vec<(String, u32)>)]| {
                let mut gathering = Gathering::default();
                for (index, counts) in all {
                    gathering.add(*index, TermCounts { words: 1, counts: counts.clone() });
                }
                gathering.finish()
            };
            let first = merge(&all);
            let turn = seed.index(all.len());
            all.rotate_left(turn);
            all.reverse();
            prop_assert_eq!(merge(&all), first);
        }
    }
}
