//! Themes: groups of documents that are each other's neighbours, named by the keywords they share.
//!
//! Groups grow along the strongest links first, and stop at a size a reader can take in; a chain of weak
//! likenesses does not swallow the corpus. Everything is decided by cosine, then by index.

use std::collections::HashMap;

use crate::analysis::DocumentDigest;

/// Two documents are on one theme when they are at least this share as near as neighbours usually are: in a
/// few long texts all cosines are low, in many files of one program high.
const USUAL_SHARE_MIN: f32 = 0.6;

/// The most documents of a theme, in tenths of the square root of the corpus and within two bounds: the
/// themes of 300 documents have a dozen, and a theme of more than 40 is two.
const ROOT_TENTHS_MAX: usize = 7;
const MEMBERS_MAX: (usize, usize) = (4, 40);

/// The keywords that name a theme.
const NAME_WORDS: usize = 3;

/// Documents on one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// What they have in common: a few keywords, the most shared first.
    pub name: Vec<String>,
    /// How much they have in common: what the keywords of its name weigh in all of them.
    pub weight: f32,
    /// The documents by index, the most typical first; at least two.
    pub members: Vec<usize>,
}

/// The themes of a corpus, those with most in common first. A group without a keyword in common has no name,
/// and is none.
pub fn themes(digests: &[DocumentDigest]) -> Vec<Theme> {
    let mut groups = Groups::new(digests.len());
    let members_max = (digests.len().isqrt() * ROOT_TENTHS_MAX / 10).clamp(MEMBERS_MAX.0, MEMBERS_MAX.1);
    for (a, b, _) in links(digests) {
        groups.join(a, b, members_max);
    }
    let mut themes: Vec<Theme> =
        groups.members().into_iter().map(|members| theme(members, digests)).collect();
    themes.retain(|theme| !theme.name.is_empty());
    themes.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.members[0].cmp(&b.members[0])));
    themes
}

/// A keyword with what it weighs in many documents together.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// As it is mostly written.
    pub written: String,
    /// The sum of its weights, each as a share of the weightiest of its document: a long document has one
    /// voice.
    pub weight: f32,
    /// The greatest of its weights.
    pub heaviest: f32,
    /// How many documents have it among their keywords.
    pub documents: usize,
}

/// The keywords of `digests` together: those that several have by their sum, then the others by themselves.
pub fn shared_keywords<'d>(digests: impl Iterator<Item = &'d DocumentDigest>) -> Vec<Shared> {
    let mut found = HashMap::<String, Shared>::new();
    for digest in digests {
        let first = digest.keywords.first().map_or(1.0, |(_, weight)| weight.max(f32::MIN_POSITIVE));
        for (written, weight) in &digest.keywords {
            let blank = Shared { written: written.clone(), weight: 0.0, heaviest: 0.0, documents: 0 };
            let shared = found.entry(folded(written)).or_insert(blank);
            shared.weight += weight / first;
            shared.heaviest = shared.heaviest.max(*weight);
            shared.documents += 1;
        }
    }
    let mut all: Vec<Shared> = found.into_values().collect();
    all.sort_by(|a, b| {
        let by_sharing = (b.documents > 1).cmp(&(a.documents > 1));
        let by_weight =
            if a.documents > 1 { b.weight.total_cmp(&a.weight) } else { b.heaviest.total_cmp(&a.heaviest) };
        by_sharing.then(by_weight).then_with(|| a.written.cmp(&b.written))
    });
    all
}

/// `Leases`, `lease` and `LEASE` are one keyword.
fn folded(written: &str) -> String {
    written.to_lowercase().trim_end_matches('s').replace(['_', '-'], " ")
}

/// Links between documents that are each among the other's nearest, strongest first.
fn links(digests: &[DocumentDigest]) -> Vec<(usize, usize, f32)> {
    let knows = |a: usize, b: usize| {
        digests.get(a).is_some_and(|it| it.neighbours.iter().any(|(other, _)| *other == b))
    };
    let cosine_min = usual_cosine(digests) * USUAL_SHARE_MIN;
    let mut links: Vec<_> = digests
        .iter()
        .enumerate()
        .flat_map(|(a, digest)| digest.neighbours.iter().map(move |(b, cosine)| (a, *b, *cosine)))
        .filter(|(a, b, cosine)| a < b && *cosine >= cosine_min && knows(*b, *a))
        .collect();
    links.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
    links
}

/// The median, over all documents that have a neighbour, of how near the nearest is.
fn usual_cosine(digests: &[DocumentDigest]) -> f32 {
    let mut nearest: Vec<f32> =
        digests.iter().filter_map(|it| it.neighbours.first()).map(|(_, cosine)| *cosine).collect();
    nearest.sort_by(f32::total_cmp);
    nearest.get(nearest.len() / 2).copied().unwrap_or_default()
}

fn theme(mut members: Vec<usize>, digests: &[DocumentDigest]) -> Theme {
    let typical = |member: usize| -> f32 {
        digests[member]
            .neighbours
            .iter()
            .filter(|(other, _)| members.contains(other))
            .map(|(_, cosine)| cosine)
            .sum()
    };
    let mut ranked: Vec<(usize, f32)> = members.iter().map(|member| (*member, typical(*member))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    members = ranked.into_iter().map(|(member, _)| member).collect();
    let keywords = shared_keywords(members.iter().map(|member| &digests[*member]));
    let shared: Vec<_> = keywords.into_iter().take_while(|it| it.documents > 1).take(NAME_WORDS).collect();
    let weight = shared.iter().map(|it| it.weight).sum();
    let name = shared.into_iter().map(|it| it.written).collect();
    Theme { name, weight, members }
}

/// Disjoint groups of documents that can be joined.
struct Groups {
    parents: Vec<usize>,
    sizes: Vec<usize>,
}

impl Groups {
    fn new(documents: usize) -> Self {
        Self { parents: (0..documents).collect(), sizes: vec![1; documents] }
    }

    fn root(&mut self, mut document: usize) -> usize {
        while self.parents[document] != document {
            self.parents[document] = self.parents[self.parents[document]];
            document = self.parents[document];
        }
        document
    }

    fn join(&mut self, a: usize, b: usize, members_max: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (a.min(b), a.max(b));
        if a != b && self.sizes[a] + self.sizes[b] <= members_max {
            self.parents[second] = first;
            self.sizes[first] += self.sizes[second];
        }
    }

    /// The groups of two and more, each by index.
    fn members(mut self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.parents.len()];
        for document in 0..self.parents.len() {
            let root = self.root(document);
            groups[root].push(document);
        }
        groups.retain(|members| members.len() > 1);
        groups
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::digest;

    #[test]
    fn mutual_neighbours_are_a_theme_named_by_what_they_share() {
        // Property: strangers and one-sided links make no theme; the name is shared keywords, folded.
        let themes = themes(&[
            digest(0, &["Leases", "sky"], &[(1, 0.5)]),
            digest(1, &["sea", "lease"], &[(0, 0.5)]),
            digest(2, &["bananas"], &[(0, 0.4)]),
            digest(3, &["far"], &[(4, 0.01)]),
            digest(4, &["far"], &[(3, 0.01)]),
        ]);
        assert_eq!(themes.len(), 1);
        assert_eq!((themes[0].members.as_slice(), themes[0].name[0].as_str()), ([0, 1].as_slice(), "Leases"));
    }

    proptest! {
        #[test]
        fn a_document_has_one_theme_at_most(
            links in prop::collection::vec(prop::collection::vec((0usize..60, 0.0f32..1.0), 0..5), 60),
        ) {
            // Property: themes are disjoint, of bounded size, and do not depend on chance.
            let digests: Vec<_> = links.iter().enumerate().map(|(index, near)| digest(index, &["word"], near)).collect();
            let found = themes(&digests);
            let mut members: Vec<usize> = found.iter().flat_map(|it| it.members.clone()).collect();
            let all = members.len();
            members.sort_unstable();
            members.dedup();
            prop_assert_eq!(members.len(), all);
            prop_assert!(found.iter().all(|it| (2..=MEMBERS_MAX.1).contains(&it.members.len())));
            prop_assert_eq!(themes(&digests), found);
        }
    }
}
