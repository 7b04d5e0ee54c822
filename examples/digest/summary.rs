//! A summary of three sentences, taken from the document as they stand and in their order.
//!
//! TextRank (`rank`) says which sentences the text agrees on, `worth` which of them read well by themselves;
//! of those that say the same, one is taken. Nothing is invented, so nothing can be wrong that was right.

use crate::blocks::{Block, Role, shorten};
use crate::idf::Vocabulary;
use crate::rank::{self, Weighed};
use crate::sentences::sentences;
use crate::worth::{self, Place, worth};

/// The sentences of a summary.
pub const SUMMARY_MAX: usize = 3;

/// The longest sentence that is shown, in characters: four lines of a page.
pub const SENTENCE_CHARS_MAX: usize = 360;

/// How many sentences are ranked. Ranking is quadratic: 200 cost about a millisecond, and a longer text is
/// thinned to its 200 most central sentences by a linear measure first, which drops no contender.
pub const RANKED_MAX: usize = 200;

/// The fewest words of a sentence that can stand alone.
const WORDS_MIN: usize = 5;

/// The least share of letters and spaces among the characters: below it is code or a table.
const LETTERS_MIN: f32 = 0.8;

/// A sentence that scores less than this share of the best would only pad.
const SCORE_SHARE_MIN: f32 = 0.03;

/// Two sentences nearer than this say the same.
const COSINE_SAME: f32 = 0.55;

/// The sentences that sum up `blocks`, at most [`SUMMARY_MAX`]; none when there is no prose.
pub fn summary(blocks: &[Block], vocabulary: &Vocabulary) -> Vec<String> {
    let mut candidates = candidates(blocks);
    let texts: Vec<&str> = candidates.iter().map(|it| it.text.as_str()).collect();
    let mut weighed = rank::weigh(&texts, vocabulary);
    thin(&mut candidates, &mut weighed);
    let scores: Vec<f32> =
        rank::rank(&weighed).iter().zip(&candidates).map(|(rank, it)| rank * it.worth).collect();
    let mut chosen = choose(&scores, &weighed);
    chosen.sort_unstable();
    chosen.into_iter().map(|it| shorten(&candidates[it].text, SENTENCE_CHARS_MAX)).collect()
}

struct Candidate {
    text: String,
    worth: f32,
}

fn candidates(blocks: &[Block]) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut aside = false;
    for block in blocks {
        match block.role {
            Role::Heading => aside = worth::is_aside(&block.text),
            Role::Cell => {}
            Role::Paragraph | Role::Item => read_block(block, aside, &mut found),
        }
    }
    found
}

fn read_block(block: &Block, aside: bool, found: &mut Vec<Candidate>) {
    for (in_block, text) in sentences(&block.text).into_iter().enumerate() {
        if can_stand_alone(&text) {
            let place = Place { in_document: found.len(), in_block, role: block.role, aside };
            found.push(Candidate { worth: worth(&text, place), text });
        }
    }
}

/// Long enough, made of words, and not the half of something: what ends with a colon announces a list.
fn can_stand_alone(text: &str) -> bool {
    let words = text.split(' ').count();
    let letters = text.chars().filter(|it| it.is_alphabetic() || *it == ' ').count();
    let is_unspaced_script =
        words == 1 && text.chars().filter(|it| it.is_alphabetic() && !it.is_ascii()).count() > WORDS_MIN;
    let is_prose = letters as f32 >= text.chars().count() as f32 * LETTERS_MIN;
    let begins = text.starts_with(|letter: char| letter.is_alphanumeric() || "\"'“‘(`[".contains(letter));
    (words >= WORDS_MIN || is_unspaced_script) && is_prose && begins && !text.ends_with(':')
}

/// Leaves the [`RANKED_MAX`] sentences that are most central and best placed, in their order.
fn thin(candidates: &mut Vec<Candidate>, weighed: &mut Vec<Weighed>) {
    if candidates.len() <= RANKED_MAX {
        return;
    }
    let scores: Vec<f32> =
        rank::centrality(weighed).iter().zip(&*candidates).map(|(it, other)| it * other.worth).collect();
    let mut best: Vec<usize> = (0..scores.len()).collect();
    best.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let mut keep = vec![false; scores.len()];
    best.iter().take(RANKED_MAX).for_each(|it| keep[*it] = true);
    let mut kept = keep.iter();
    candidates.retain(|_| kept.next() == Some(&true));
    let mut kept = keep.iter();
    weighed.retain(|_| kept.next() == Some(&true));
}

/// The best sentences that do not repeat each other, best first.
fn choose(scores: &[f32], weighed: &[Weighed]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    let enough = order.first().map_or(0.0, |best| scores[*best] * SCORE_SHARE_MIN);
    let mut chosen: Vec<usize> = Vec::new();
    for one in order.into_iter().filter(|one| scores[*one] >= enough) {
        let repeats = chosen.iter().any(|other| weighed[one].cosine(&weighed[*other]) > COSINE_SAME);
        if !repeats {
            chosen.push(one);
        }
        if chosen.len() == SUMMARY_MAX {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::idf::Gathering;
    use crate::markdown;

    fn summary_of(text: &str) -> Vec<String> {
        summary(&markdown::blocks(text), &Gathering::default().finish().0)
    }

    #[test]
    fn a_summary_says_what_it_is_about() {
        // Property: the opening and what the text returns to are taken; licence, steps, code and headings are not.
        let text = "# Lease\n\nA lease is temporary ownership of an agent by one node.\n\n## Installation\n\nRun the \
            installer and wait for it to finish its work.\n\n## How\n\nThe node that holds the lease renews it before it ends. \
            It says so here once more.\n\n```\nlet code = is_not_a_sentence_at_all(1, 2, 3);\n```\n\nA node that loses its \
            lease stops the agent and tells the supervisor.\n\n## License\n\nThis project is licensed under the MIT license by its authors.\n";
        assert_eq!(
            summary_of(text),
            [
                "A lease is temporary ownership of an agent by one node.",
                "The node that holds the lease renews it before it ends.",
                "A node that loses its lease stops the agent and tells the supervisor.",
            ]
        );
    }

    #[test]
    fn what_is_said_twice_is_told_once() {
        // Property: no two sentences of a summary say the same.
        let text = "Agents never lose an accepted message.\n\nAgents never lose an accepted message!\n\nNodes may crash at any time.";
        assert_eq!(summary_of(text).len(), 2);
    }

    #[test]
    fn without_prose_there_is_no_summary() {
        // Property: headings, tables, lists of links and short fragments make no summary.
        assert_eq!(
            summary_of("# A heading that is long enough to read\n\n| a | b |\n|---|---|\n\nToo short."),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_boilerplate_document_is_still_summed_up() {
        // Property: when all there is is boilerplate, it is the summary.
        assert_eq!(summary_of("Permission is hereby granted, free of charge, to any person.").len(), 1);
    }

    proptest! {
        #[test]
        fn sentences_are_quoted_in_order(words in prop::collection::vec("[a-z]{2,7}", 0..1500), every in 5usize..15) {
            // Property: at most three sentences, each from the text, in the order of the text, however long it is.
            let text: String = words.chunks(every).map(|it| format!("The {}. ", it.join(" "))).collect();
            let summary = summary_of(&text);
            prop_assert!(summary.len() <= SUMMARY_MAX);
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let mut from = 0;
            for sentence in &summary {
                let at = flat[from..].find(sentence.as_str());
                prop_assert!(at.is_some(), "{sentence}");
                from += at.unwrap_or_default();
            }
        }
    }
}
