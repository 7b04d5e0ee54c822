//! Splits text into words that can be counted: `message_handler` is two, `agents` and `agent` are one.
//!
//! Words are Unicode's, cut further at case and underscores, lower-cased, plurals folded. Grammar, numbers
//! and noise are passed over. Counting is in `terms`, with the help of `numbers`.

use unicode_segmentation::UnicodeSegmentation;

use crate::stop_words;

/// The longest word that is counted, in bytes: beyond it are keys, paths and encoded data.
const WORD_BYTES_MAX: usize = 40;

/// The shortest plural that is folded, in bytes: `gas` and `bus` are no plurals.
const PLURAL_BYTES_MIN: usize = 4;

/// From this length, in bytes, a word of hexadecimal digits with a decimal one among them is a hash.
const HASH_BYTES_MIN: usize = 6;

/// What stands between two words that still belong together: `work queue`, `work_queue`, `work::queue`.
const JOINTS: &[&str] = &["", " ", "_", "-", "::"];

/// Whether `gap`, the text between two words, leaves them one phrase.
pub fn joins(gap: &str) -> bool {
    JOINTS.contains(&gap)
}

/// The words of `text` as they are written, each with its place in bytes, in order.
pub fn words(text: &str, is_source: bool) -> impl Iterator<Item = (usize, &str)> {
    let runs = chunks(text)
        .flat_map(|(at, chunk)| chunk.unicode_word_indices().map(move |(from, run)| (at + from, run)));
    runs.flat_map(move |(at, run)| pieces(run, is_source).map(move |(from, piece)| (at + from, piece)))
}

/// What stands between white space, without addresses of pages and people: they are not words.
fn chunks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let offset = |chunk: &str| chunk.as_ptr() as usize - text.as_ptr() as usize;
    let chunks = text.split_whitespace().map(move |chunk| (offset(chunk), chunk));
    chunks
        .filter(|(_, chunk)| !chunk.contains("://") && !chunk.trim_start_matches(['(', '[']).starts_with('@'))
}

/// The parts of one Unicode word, cut at what is neither letter, digit nor apostrophe; in source also where
/// case rises. Prose writes `GitHub` and means one thing.
fn pieces(run: &str, at_case: bool) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = run;
    std::iter::from_fn(move || {
        let trimmed = rest.trim_start_matches(is_separator);
        let end = piece_end(trimmed, at_case)?;
        let at = run.len() - trimmed.len();
        rest = &trimmed[end..];
        Some((at, &trimmed[..end]))
    })
}

fn piece_end(text: &str, at_case: bool) -> Option<usize> {
    let mut before = text.chars().next()?;
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|(_, next)| next.is_lowercase());
        let case_rises =
            letter.is_uppercase() && (before.is_lowercase() || (before.is_uppercase() && next_is_lower));
        if is_separator(letter) || (at_case && case_rises) {
            return Some(at);
        }
        before = letter;
    }
    Some(text.len())
}

fn is_separator(letter: char) -> bool {
    !letter.is_alphanumeric() && letter != '\'' && letter != '’'
}

/// What a written word is counted as, or `None` when it says nothing. In source code the languages' reserved
/// words say nothing either.
pub fn term_of(written: &str, is_source: bool) -> Option<String> {
    if written.len() > WORD_BYTES_MAX || !written.contains(char::is_alphabetic) {
        return None;
    }
    let word = written.to_lowercase().replace('’', "'");
    if stop_words::is_english(&word) || (is_source && stop_words::is_reserved(&word)) || is_noise(&word) {
        return None;
    }
    Some(singular(word))
}

/// Single letters, hashes, versions, and words that are mostly digits.
fn is_noise(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let is_hash =
        digits > 0 && word.len() >= HASH_BYTES_MIN && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_version = word.starts_with('v') && digits + 1 == word.len();
    word.len() == 1 || is_hash || is_version || digits * 2 > word.len()
}

/// Folds English plurals and possessives. It may leave what is no word (`boxe`): readers see the written
/// form.
fn singular(mut word: String) -> String {
    if let Some(owner) = word.strip_suffix("'s") {
        word.truncate(owner.len());
    }
    if word.len() < PLURAL_BYTES_MIN
        || !word.ends_with('s')
        || ["ss", "us", "is"].iter().any(|end| word.ends_with(end))
    {
        return word;
    }
    word.pop();
    if word.len() > PLURAL_BYTES_MIN && word.ends_with("ie") {
        word.truncate(word.len() - 2);
        word.push('y');
    }
    word
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str, is_source: bool) -> Vec<String> {
        words(text, is_source).filter_map(|(_, word)| term_of(word, is_source)).collect()
    }

    #[test]
    fn identifiers_are_split_and_plurals_folded() {
        // Property: one idea is one term, however it is written.
        assert_eq!(
            terms("MessageHandlers message_handler TCPServer", true).join(" "),
            "message handler message handler tcp server"
        );
        assert_eq!(
            terms("queries boxes status class node's", false).join(" "),
            "query boxe status class node"
        );
    }

    #[test]
    fn grammar_numbers_and_noise_are_passed_over() {
        // Property: what is left says something; reserved words count in prose and not in source.
        assert_eq!(terms("the 3.14 of a 9f8e7d6c x 1234ab v0", false), Vec::<String>::new());
        assert_eq!(terms("fn send(&mut self)", true), ["send"]);
        assert_eq!(terms("a string theory", false), ["string", "theory"]);
        assert_eq!(terms("read (https://example.com/page) by @someone", false), ["read"]);
    }

    #[test]
    fn scripts_without_spaces_have_words_too() {
        // Property: an ideograph is a word, and neighbours may form a phrase.
        let found: Vec<_> = words("消息队列", false).collect();
        assert_eq!(found.len(), 4);
        assert!(found.windows(2).all(|pair| pair[0].0 + pair[0].1.len() == pair[1].0) && joins(""));
    }

    proptest! {
        #[test]
        fn any_text_can_be_split(text in any::<String>(), is_source in any::<bool>()) {
            // Property: words lie in the text, in order, and none is empty.
            let mut before = 0;
            for (start, word) in words(&text, is_source) {
                prop_assert!(start >= before && !word.is_empty());
                prop_assert!(term_of(word, is_source).is_none_or(|term| !term.is_empty()));
                before = start + word.len();
                prop_assert_eq!(&text[start..before], word);
            }
        }
    }
}
