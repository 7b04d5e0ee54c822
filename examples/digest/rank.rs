//! TextRank: which sentences the others of a text agree with.
//!
//! Sentences vote for each other by the cosine of their words' weights, and votes of those with many votes
//! count more (a PageRank over sentences). It knows nothing of language or position; `summary` adds that.

use crate::idf::Vocabulary;
use crate::numbers::Numbers;
use crate::words;

/// The share of a sentence's rank that comes from votes; the rest it has by itself. PageRank's own number.
const DAMPING: f32 = 0.85;

/// Rounds of voting: each shrinks the error by [`DAMPING`], so 40 leave a thousandth.
const ROUNDS_MAX: usize = 40;

/// When no rank changes by more than this share, voting is over.
const CHANGE_MIN: f32 = 1e-4;

/// A sentence as the weights of its terms, of length one, by term number.
#[derive(Clone, Debug, Default)]
pub struct Weighed(Vec<(usize, f32)>);

impl Weighed {
    /// The cosine of two sentences: 0 with no term in common, 1 with the same terms.
    pub fn cosine(&self, other: &Self) -> f32 {
        let (mut a, mut b, mut sum) = (0, 0, 0.0);
        while let (Some((left, x)), Some((right, y))) = (self.0.get(a), other.0.get(b)) {
            sum += if left == right { x * y } else { 0.0 };
            (a, b) = (a + usize::from(left <= right), b + usize::from(right <= left));
        }
        sum
    }
}

/// Weighs sentences by the rarity of their terms; a term has the same number in each of them.
pub fn weigh(sentences: &[&str], vocabulary: &Vocabulary) -> Vec<Weighed> {
    let mut numbers = Numbers::new(false);
    let mut number_all =
        |text| words::words(text, false).filter_map(|(_, word)| numbers.number(word)).collect();
    let numbered: Vec<Vec<usize>> = sentences.iter().map(|text| number_all(text)).collect();
    let rarities: Vec<f32> = numbers.terms().iter().map(|term| vocabulary.idf(term)).collect();
    numbered
        .into_iter()
        .map(|terms| unit(terms.into_iter().map(|number| (number, rarities[number])).collect()))
        .collect()
}

fn unit(mut terms: Vec<(usize, f32)>) -> Weighed {
    terms.sort_unstable_by_key(|(number, _)| *number);
    terms.dedup_by_key(|(number, _)| *number);
    let length = terms.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt();
    terms.iter_mut().for_each(|(_, weight)| *weight /= length);
    Weighed(terms)
}

/// How much each sentence says of what all of them say: its cosine with their sum. Linear in their length.
pub fn centrality(sentences: &[Weighed]) -> Vec<f32> {
    let terms = sentences.iter().flat_map(|it| &it.0).map(|(number, _)| number + 1).max().unwrap_or_default();
    let mut sum = vec![0.0; terms];
    for (number, weight) in sentences.iter().flat_map(|it| &it.0) {
        sum[*number] += weight;
    }
    let length = sum.iter().map(|weight: &f32| weight * weight).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sentences
        .iter()
        .map(|it| it.0.iter().map(|(number, weight)| weight * sum[*number]).sum::<f32>() / length)
        .collect()
}

/// The rank of each sentence; 1 on average. The work is quadratic in their number.
pub fn rank(sentences: &[Weighed]) -> Vec<f32> {
    let votes = votes(sentences);
    let mut ranks = vec![1.0; sentences.len()];
    for _ in 0..ROUNDS_MAX {
        let next = vote(&votes, &ranks);
        let change = ranks.iter().zip(&next).map(|(old, new)| (old - new).abs()).fold(0.0, f32::max);
        ranks = next;
        if change < CHANGE_MIN {
            break;
        }
    }
    ranks
}

/// For each sentence, whom it votes for and with what share.
fn votes(sentences: &[Weighed]) -> Vec<Vec<(usize, f32)>> {
    let mut votes = vec![Vec::new(); sentences.len()];
    for (a, sentence) in sentences.iter().enumerate() {
        for (b, other) in sentences.iter().enumerate().skip(a + 1) {
            let cosine = sentence.cosine(other);
            if cosine > 0.0 {
                votes[a].push((b, cosine));
                votes[b].push((a, cosine));
            }
        }
    }
    for voter in &mut votes {
        let total: f32 = voter.iter().map(|(_, cosine)| cosine).sum();
        voter.iter_mut().for_each(|(_, cosine)| *cosine /= total);
    }
    votes
}

fn vote(votes: &[Vec<(usize, f32)>], ranks: &[f32]) -> Vec<f32> {
    let mut next = vec![1.0 - DAMPING; ranks.len()];
    for (voter, rank) in votes.iter().zip(ranks) {
        for (candidate, share) in voter {
            next[*candidate] += DAMPING * rank * share;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::idf::Gathering;

    fn weighed(sentences: &[&str]) -> Vec<Weighed> {
        weigh(sentences, &Gathering::default().finish().0)
    }

    #[test]
    fn the_sentence_that_shares_most_ranks_highest() {
        // Property: agreement with many beats agreement with none, by both measures.
        let sentences = weighed(&["agents send messages", "agents sleep", "messages wait", "bananas ripen"]);
        for scores in [rank(&sentences), centrality(&sentences)] {
            assert!(scores[0] > scores[1] && scores[1] > scores[3], "{scores:?}");
        }
    }

    proptest! {
        #[test]
        fn ranks_are_finite_for_any_text(sentences in prop::collection::vec("[a-d ]{0,20}", 0..20)) {
            // Property: no text gives a rank that is not a number, nor one below what each has by itself.
            let sentences = weighed(&sentences.iter().map(String::as_str).collect::<Vec<_>>());
            let ranks = rank(&sentences);
            prop_assert_eq!(ranks.len(), sentences.len());
            prop_assert!(ranks.iter().all(|rank| rank.is_finite() && *rank >= 1.0 - DAMPING - 1e-6));
            prop_assert!(centrality(&sentences).iter().all(|it| it.is_finite()));
        }
    }
}
