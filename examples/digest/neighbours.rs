//! Nearest neighbours by the cosine of TF-IDF vectors, found through an inverted index.
//!
//! The work for one document is bounded, whatever the size of the corpus: a vector has at most
//! [`VECTOR_TERMS_MAX`] terms, a term leads to at most [`POSTINGS_MAX`] documents, and the best
//! [`CANDIDATES_MAX`] of those are compared exactly.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::idf::{Rank, TermNumber};

/// How many neighbours a document has: a line of links.
pub const NEIGHBOURS_MAX: usize = 5;

/// The terms that stand for a document: the rest weigh too little to change who is near.
pub const VECTOR_TERMS_MAX: usize = 128;

/// How many documents a term leads to: those it weighs most in. A term that more documents share says
/// little, and following it would make the work quadratic.
pub const POSTINGS_MAX: usize = 1_000;

/// How many documents are compared exactly: ten times what is shown, for what the index may misjudge.
const CANDIDATES_MAX: usize = 10 * NEIGHBOURS_MAX;

/// Below this cosine two documents have a word in common, not a subject.
const COSINE_MIN: f32 = 0.03;

/// The weightiest terms of a document, of length one, by number. Unlisted terms count for the length only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Vector(Vec<(TermNumber, f32)>);

impl Vector {
    /// The vector of a document whose terms weigh `weights`. All of them make its length, so that two
    /// documents are near when they share much of what they say; the weightiest shared ones are kept.
    pub fn new(mut weights: Vec<(Rank, f32)>) -> Self {
        weights.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let length = weights.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
        let listed = weights.into_iter().filter_map(|(rank, weight)| match rank {
            Rank::Listed(number) => Some((number, weight / length)),
            Rank::Unlisted => None,
        });
        let mut terms: Vec<_> = listed.take(VECTOR_TERMS_MAX).collect();
        terms.sort_unstable_by_key(|(number, _)| *number);
        Self(terms)
    }

    /// The cosine of the angle between two vectors: 1 for the same words in the same proportions.
    pub fn cosine(&self, other: &Self) -> f32 {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut sum = 0.0;
        while let (Some((left, x)), Some((right, y))) = (a.peek(), b.peek()) {
            sum += if left == right { x * y } else { 0.0 };
            let (step_a, step_b) = (left <= right, right <= left);
            step_a.then(|| a.next());
            step_b.then(|| b.next());
        }
        sum
    }
}

/// Which documents hold which terms. It travels as its vectors alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<Vector>", into = "Vec<Vector>")]
pub struct Index {
    vectors: Vec<Vector>,
    postings: HashMap<TermNumber, Vec<(u32, f32)>>,
}

impl From<Index> for Vec<Vector> {
    fn from(index: Index) -> Self {
        index.vectors
    }
}

impl From<Vec<Vector>> for Index {
    /// Builds the index of the documents `0..vectors.len()`.
    fn from(vectors: Vec<Vector>) -> Self {
        let mut postings = HashMap::<_, Vec<_>>::new();
        for (document, vector) in (0..).zip(&vectors) {
            for (number, weight) in &vector.0 {
                postings.entry(*number).or_default().push((document, *weight));
            }
        }
        postings.values_mut().for_each(keep_weightiest);
        Self { vectors, postings }
    }
}

fn keep_weightiest(postings: &mut Vec<(u32, f32)>) {
    if postings.len() > POSTINGS_MAX {
        postings.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        postings.truncate(POSTINGS_MAX);
        postings.sort_unstable_by_key(|(document, _)| *document);
    }
}

impl Index {
    /// The documents nearest to `document`, nearest first, with their cosines; equals by index.
    /// None for a document that is not in the index.
    pub fn nearest(&self, document: usize) -> Vec<(usize, f32)> {
        let Some(vector) = self.vectors.get(document) else {
            return Vec::new();
        };
        let mut candidates = self.estimate(vector, document);
        keep_best(&mut candidates, CANDIDATES_MAX);
        for (candidate, cosine) in &mut candidates {
            *cosine = vector.cosine(&self.vectors[*candidate]).min(1.0);
        }
        candidates.retain(|(_, cosine)| *cosine >= COSINE_MIN);
        keep_best(&mut candidates, NEIGHBOURS_MAX);
        candidates.shrink_to_fit();
        candidates
    }

    /// Every document the index leads to from `vector`, with the part of the cosine that it sees.
    fn estimate(&self, vector: &Vector, except: usize) -> Vec<(usize, f32)> {
        let mut seen = vec![0.0; self.vectors.len()];
        let mut found = Vec::new();
        for (number, weight) in &vector.0 {
            for (document, other) in self.postings.get(number).into_iter().flatten() {
                let document = *document as usize;
                if seen[document] == 0.0 && document != except {
                    found.push(document);
                }
                seen[document] += weight * other;
            }
        }
        found.into_iter().map(|document| (document, seen[document])).collect()
    }
}

/// Keeps the `max` nearest, nearest first. Selecting before sorting spares the long tail.
fn keep_best(found: &mut Vec<(usize, f32)>, max: usize) {
    let nearest_first = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    if found.len() > max {
        found.select_nth_unstable_by(max, nearest_first);
        found.truncate(max);
    }
    found.sort_unstable_by(nearest_first);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(weights: &[(u32, f32)]) -> Vector {
        Vector::new(weights.iter().map(|(number, weight)| (Rank::Listed(*number), *weight)).collect())
    }

    #[test]
    fn the_nearest_come_first_and_oneself_not_at_all() {
        // Property: neighbours are by falling cosine, equals by index, strangers are left out.
        let index = Index::from(vec![
            vector(&[(0, 1.0), (1, 1.0)]),
            vector(&[(0, 1.0), (1, 1.0)]),
            vector(&[(0, 1.0), (2, 3.0)]),
            vector(&[(0, 1.0), (1, 1.0)]),
            vector(&[(9, 1.0)]),
        ]);
        let nearest = index.nearest(0);
        assert_eq!(nearest.iter().map(|it| it.0).collect::<Vec<_>>(), [1, 3, 2]);
        assert!((nearest[0].1 - 1.0).abs() < 1e-6);
        assert_eq!((index.nearest(4), index.nearest(99)), (vec![], vec![]));
    }

    #[test]
    fn a_term_that_everyone_holds_costs_no_more() {
        // Property: with more documents than POSTINGS_MAX, each still finds neighbours.
        let index = Index::from(vec![vector(&[(0, 1.0)]); POSTINGS_MAX * 2]);
        assert_eq!(index.postings[&0].len(), POSTINGS_MAX);
        assert_eq!(index.nearest(POSTINGS_MAX * 2 - 1).len(), NEIGHBOURS_MAX);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_everything_finds(
            weights in prop::collection::vec(prop::collection::btree_map(0u32..12, 0.1f32..9.0, 0..8), 1..30),
        ) {
            // Property: below the bounds the index is exact.
            let vectors: Vec<_> = weights.iter().map(|it| vector(&it.iter().map(|(n, w)| (*n, *w)).collect::<Vec<_>>())).collect();
            let index = Index::from(vectors.clone());
            for (document, own) in vectors.iter().enumerate() {
                let others = vectors.iter().enumerate().filter(|(other, _)| *other != document);
                let mut all: Vec<_> = others.map(|(other, it)| (other, own.cosine(it).min(1.0))).collect();
                all.retain(|(_, cosine)| *cosine >= COSINE_MIN);
                keep_best(&mut all, NEIGHBOURS_MAX);
                prop_assert_eq!(index.nearest(document), all);
            }
        }
    }
}
