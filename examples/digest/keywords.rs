//! The terms that tell a document from the others: its highest TF-IDF weights, phrases before their words.

use std::collections::HashMap;

use crate::idf::Vocabulary;
use crate::terms::{Tallied, Tally};

/// How many keywords a document has: two lines of a page.
pub const KEYWORDS_MAX: usize = 10;

/// A word this often within one phrase, in parts of its count, is told by the phrase.
const TOLD_BY_PHRASE: f32 = 0.5;

/// How much rarer than its words a phrase may count.
const PHRASE_RARITY_MAX: f32 = 1.3;

/// In how many keywords the same word may occur: variety tells more than `index size`, `index build`, `index
/// x`.
const SAME_WORD_MAX: usize = 2;

/// A document's keywords as they are written in it, weightiest first; equals by term.
pub fn keywords(tally: &Tally<'_>, vocabulary: &Vocabulary) -> Vec<(String, f32)> {
    let told = told_by_phrases(&tally.terms);
    let mut weighed: Vec<(&Tallied<'_>, f32)> = tally
        .terms
        .iter()
        .filter(|it| {
            told.get(it.term.as_str())
                .is_none_or(|phrase| (*phrase as f32) < it.count as f32 * TOLD_BY_PHRASE)
        })
        .map(|it| (it, (it.count as f32).sqrt() * rarity(&it.term, vocabulary)))
        .collect();
    weighed.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.term.cmp(&b.0.term)));
    choose(&weighed)
}

/// How rare a term is. A phrase is always rarer than its words, so theirs bound it.
fn rarity(term: &str, vocabulary: &Vocabulary) -> f32 {
    let Some((first, second)) = term.split_once(' ') else {
        return vocabulary.idf(term);
    };
    let of_words = (vocabulary.idf(first) + vocabulary.idf(second)) / 2.0;
    vocabulary.idf(term).min(of_words * PHRASE_RARITY_MAX)
}

/// For each word, the count of the most frequent phrase that holds it.
fn told_by_phrases<'t>(terms: &'t [Tallied<'_>]) -> HashMap<&'t str, u32> {
    let mut told = HashMap::new();
    for phrase in terms.iter().filter(|it| it.term.contains(' ')) {
        for word in phrase.term.split(' ') {
            let count = told.entry(word).or_insert(0);
            *count = phrase.count.max(*count);
        }
    }
    told
}

fn choose(weighed: &[(&Tallied<'_>, f32)]) -> Vec<(String, f32)> {
    let mut uses = HashMap::<&str, usize>::new();
    let mut chosen = Vec::new();
    for (tallied, weight) in weighed {
        let is_new = tallied.term.split(' ').any(|word| !uses.contains_key(word));
        let is_worn =
            tallied.term.split(' ').any(|word| uses.get(word).is_some_and(|it| *it >= SAME_WORD_MAX));
        if !is_new || is_worn {
            continue;
        }
        for word in tallied.term.split(' ') {
            *uses.entry(word).or_default() += 1;
        }
        chosen.push((tallied.written.to_owned(), *weight));
        if chosen.len() == KEYWORDS_MAX {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks;
    use crate::idf::Gathering;
    use crate::terms::count;
    use crate::testing::corpus;

    fn keywords_of(texts: &[&str]) -> Vec<Vec<String>> {
        let documents = corpus(texts);
        let mut gathering = Gathering::default();
        assert!(documents.iter().all(|document| gathering.add(document.index, count(document))));
        let (vocabulary, _) = gathering.finish();
        let names = |document| {
            let blocks = blocks::blocks(document);
            keywords(&Tally::of(document, &blocks), &vocabulary).into_iter().map(|it| it.0).collect()
        };
        documents.iter().map(names).collect()
    }

    #[test]
    fn what_all_say_is_no_keyword_before_what_one_says() {
        // Property: a word peculiar to the document comes before one that every document has as often.
        let found = keywords_of(&["agent lease agent lease.", "agent mailbox agent mailbox.", "agent tide."]);
        assert_eq!(found[0][0], "agent lease");
        assert_eq!(found[2], ["tide", "agent"]);
    }

    #[test]
    fn a_phrase_stands_for_its_words() {
        // Property: words that mostly occur in a phrase are not repeated beside it; equals are by term.
        let found = keywords_of(&["The work queue. A work queue! Zebra. Ant."]);
        assert_eq!(found[0], ["work queue", "Ant", "Zebra"]);
    }
}
