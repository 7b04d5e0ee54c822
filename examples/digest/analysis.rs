//! The digest of a corpus in two phases, as pure functions that any worker can run.
//!
//! ```text
//! count(document)            -> TermCounts      phase 1, one task per document
//! Knowledge::from(gathering)                    the editor merges them all
//! digest(document, knowledge) -> DocumentDigest phase 2, one task per document
//! ```
//!
//! [`digest_all`] does the same without a cluster, and [`same`] tells whether two results agree. Everything
//! is in a fixed order and rounds in a fixed order, so that equal means equal to the bit.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blocks;
use crate::corpus::Document;
use crate::idf::{Gathering, Vocabulary};
use crate::keywords::keywords;
use crate::language::Kind;
use crate::neighbours::Index;
use crate::summary::summary;
use crate::terms::{self, Tally};

/// What a reader wants to know of one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentDigest {
    /// Its place in the corpus.
    pub index: usize,
    /// Where it lies below the root.
    pub path: String,
    /// What it is made of.
    pub kind: Kind,
    /// What it calls itself.
    pub title: String,
    /// How many words it has.
    pub words: u64,
    /// What tells it from the others, with weights, weightiest first.
    pub keywords: Vec<(String, f32)>,
    /// Up to three of its sentences, in order; none when it has no prose.
    pub summary: Vec<String>,
    /// The documents nearest to it, with cosines, nearest first.
    pub neighbours: Vec<(usize, f32)>,
}

/// What phase 2 needs to know of the whole corpus; the same for every worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    /// How rare each term is.
    pub vocabulary: Vocabulary,
    /// Which documents are near to which.
    pub index: Index,
}

impl From<Gathering> for Knowledge {
    fn from(gathering: Gathering) -> Self {
        let (vocabulary, vectors) = gathering.finish();
        Self { vocabulary, index: Index::from(vectors) }
    }
}

/// Phase 2 for one document: its digest, in the light of the others.
pub fn digest(document: &Document, knowledge: &Knowledge) -> DocumentDigest {
    let blocks = blocks::blocks(document);
    let tally = Tally::of(document, &blocks);
    DocumentDigest {
        index: document.index,
        path: document.path.clone(),
        kind: document.kind,
        title: document.title.clone(),
        words: tally.words,
        keywords: keywords(&tally, &knowledge.vocabulary),
        summary: summary(&blocks, &knowledge.vocabulary),
        neighbours: knowledge.index.nearest(document.index),
    }
}

/// Both phases for all documents, one after the other: what a cluster's result is checked against.
pub fn digest_all(documents: &[Document]) -> Vec<DocumentDigest> {
    let mut gathering = Gathering::default();
    for document in documents {
        gathering.add(document.index, terms::count(document));
    }
    let knowledge = Knowledge::from(gathering);
    documents.iter().map(|document| digest(document, &knowledge)).collect()
}

/// Where two results differ first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// One has more documents.
    #[error("{0} digests on one side, {1} on the other")]
    Length(usize, usize),
    /// A document was digested differently.
    #[error("document {index}: the {field} differs")]
    Document {
        /// The place of the document.
        index: usize,
        /// What differs.
        field: Field,
    },
}

/// A part of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Identity,
    Words,
    Keywords,
    Summary,
    Neighbours,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "index, path, kind or title",
            Self::Words => "number of words",
            Self::Keywords => "keywords",
            Self::Summary => "summary",
            Self::Neighbours => "neighbours",
        })
    }
}

/// Whether two results are equal to the bit, weights included.
///
/// # Errors
/// The first difference.
pub fn same(a: &[DocumentDigest], b: &[DocumentDigest]) -> Result<(), Difference> {
    if a.len() != b.len() {
        return Err(Difference::Length(a.len(), b.len()));
    }
    a.iter().zip(b).enumerate().try_for_each(|(index, (a, b))| match differing_field(a, b) {
        Some(field) => Err(Difference::Document { index, field }),
        None => Ok(()),
    })
}

fn differing_field(a: &DocumentDigest, b: &DocumentDigest) -> Option<Field> {
    let identity = |it: &DocumentDigest| (it.index, it.path.clone(), it.kind, it.title.clone());
    let bits = |weight: &f32| weight.to_bits();
    let keywords = |it: &DocumentDigest| {
        it.keywords.iter().map(|(word, it)| (word.clone(), bits(it))).collect::<Vec<_>>()
    };
    let neighbours =
        |it: &DocumentDigest| it.neighbours.iter().map(|(other, it)| (*other, bits(it))).collect::<Vec<_>>();
    let checks = [
        (identity(a) == identity(b), Field::Identity),
        (a.words == b.words, Field::Words),
        (keywords(a) == keywords(b), Field::Keywords),
        (a.summary == b.summary, Field::Summary),
        (neighbours(a) == neighbours(b), Field::Neighbours),
    ];
    checks.into_iter().find(|(equal, _)| !equal).map(|(_, field)| field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::corpus;

    const TEXTS: &[&str] = &[
        "# Leases\n\nA lease is temporary ownership of an agent by a node. A lease has a rising term.",
        "# Fencing\n\nA fencing term refuses a stale owner of a lease. The term of a lease rises.",
        "# Bananas\n\nBananas ripen slowly in the dark of a wooden drawer.",
    ];

    #[test]
    fn documents_on_one_subject_are_neighbours() {
        // Property: a digest has keywords, a summary and the nearest document first.
        let digests = digest_all(&corpus(TEXTS));
        assert_eq!(digests[0].neighbours[0].0, 1);
        assert_eq!(digests[1].neighbours[0].0, 0);
        assert!(digests[2].neighbours.is_empty());
        assert_eq!(digests[2].summary, ["Bananas ripen slowly in the dark of a wooden drawer."]);
        assert!(digests[0].keywords.iter().any(|(word, _)| word.to_lowercase().starts_with("lease")));
    }

    #[test]
    fn a_difference_is_named() {
        // Property: same() finds a changed bit and says where.
        let digests = digest_all(&corpus(TEXTS));
        assert_eq!(same(&digests, &digests.clone()), Ok(()));
        assert_eq!(same(&digests, &digests[1..]), Err(Difference::Length(3, 2)));
        let mut other = digests.clone();
        other[1].keywords[0].1 += 1e-6;
        assert_eq!(same(&digests, &other), Err(Difference::Document { index: 1, field: Field::Keywords }));
    }

    proptest! {
        #[test]
        fn the_order_of_work_does_not_matter(order in Just((0..TEXTS.len()).collect::<Vec<_>>()).prop_shuffle()) {
            // Property: tasks may run in any order and more than once; the result is the same to the bit.
            let documents = corpus(TEXTS);
            let mut gathering = Gathering::default();
            for index in order.iter().chain(&order) {
                gathering.add(*index, terms::count(&documents[*index]));
            }
            let knowledge = Knowledge::from(gathering);
            let mut digests: Vec<_> = order.iter().map(|index| digest(&documents[*index], &knowledge)).collect();
            digests.sort_by_key(|it| it.index);
            prop_assert_eq!(same(&digests, &digest_all(&documents)), Ok(()));
        }
    }
}
