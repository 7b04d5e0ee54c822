//! Sentences by Unicode's rules, with the abbreviations of technical English put together again.

use unicode_segmentation::UnicodeSegmentation;

/// A full stop after one of these does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "approx.", "cf.", "Dr.", "e.g.", "eg.", "etc.", "Fig.", "fig.", "i.e.", "ie.", "Inc.", "Mr.", "Mrs.",
    "Ms.", "No.", "Prof.", "resp.", "Sec.", "St.", "U.S.", "v.", "viz.", "vs.",
];

/// The sentences of a block of prose on one line, trimmed, in order.
pub fn sentences(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for piece in text.split_sentence_bounds() {
        match found.last_mut() {
            Some(sentence) if open || !begins(piece) => sentence.push_str(piece),
            _ => found.push(piece.to_owned()),
        }
        open = found.last().is_some_and(|sentence| ends_open(sentence));
    }
    found.iter().map(|sentence| sentence.trim().to_owned()).filter(|sentence| !sentence.is_empty()).collect()
}

/// A sentence begins with a capital, a digit, a quotation, or in a script without case. `is_ready!` ends
/// none.
fn begins(piece: &str) -> bool {
    let first = piece.trim_start().chars().next();
    first.is_some_and(|it| {
        it.is_numeric() || (it.is_alphabetic() && !it.is_lowercase()) || "\"'“‘(`".contains(it)
    })
}

fn ends_open(sentence: &str) -> bool {
    let last = sentence.trim_end().rsplit(' ').next().unwrap_or_default().trim_start_matches(['(', '[', '"']);
    ABBREVIATIONS.contains(&last) || is_initial(last)
}

/// The `J.` of `J. Doe`.
fn is_initial(word: &str) -> bool {
    let mut chars = word.chars();
    matches!((chars.next(), chars.next(), chars.next()), (Some(letter), Some('.'), None) if letter.is_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn abbreviations_do_not_end_a_sentence() {
        // Property: a sentence ends where a reader ends it.
        let text = "Use it, e.g. Tokio's timers. Version 1.2 is fine! See J. Doe (cf. Fig. 3). Is it? Yes.";
        assert_eq!(
            sentences(text),
            [
                "Use it, e.g. Tokio's timers.",
                "Version 1.2 is fine!",
                "See J. Doe (cf. Fig. 3).",
                "Is it?",
                "Yes."
            ]
        );
    }

    #[test]
    fn the_name_of_a_macro_does_not_end_a_sentence() {
        // Property: what follows a sentence begins like one.
        assert_eq!(
            sentences("Use cfg_select! where you can. Or #![no_std] there."),
            ["Use cfg_select! where you can.", "Or #![no_std] there."]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[a-zA-Z.!? ]{0,200}") {
            // Property: the sentences hold every character that is not white space, in order.
            let joined: String = sentences(&text).concat();
            let bare = |text: &str| text.chars().filter(|it| !it.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&joined), bare(&text));
        }
    }
}
