//! Rust as text: what of it is code, what of that is shipped, and where its functions begin and end.
//!
//! Everything that is taken out is replaced by blanks, so that lines and columns stay where they were.

use std::ops::Range;

/// Blanks comments, and what stands between the quotes of strings and characters.
pub(super) fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + length_of_token(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        if end > at + 1 {
            blank(&mut kept, at..end);
        }
        at = end;
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// How long the comment, string or character is that begins here; one byte of anything else.
fn length_of_token(rest: &[u8], before: Option<u8>) -> usize {
    let in_word = before.is_some_and(is_word);
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => length_of_block_comment(rest),
        [b'r', b'"' | b'#', ..] if !in_word => length_of_raw_string(rest).unwrap_or(1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => {
            length_of_raw_string(&rest[1..]).map_or(1, |length| length + 1)
        }
        [b'"', ..] => length_of_quoted(rest, b'"'),
        [b'\'', b'\\', ..] => length_of_quoted(rest, b'\''),
        [b'\'', ..] => length_of_character(rest),
        _ => 1,
    }
}

fn length_of_block_comment(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn length_of_raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let body = 2 + hashes;
    let length = rest[body..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| body + length + end.len()))
}

fn length_of_quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `'x'` is a character, of at most four bytes; `'x` alone is a lifetime.
fn length_of_character(rest: &[u8]) -> usize {
    let close = rest.iter().skip(2).take(4).position(|&byte| byte == b'\'');
    match close {
        Some(0) => 3,
        Some(length) if !rest[1].is_ascii() => 3 + length,
        _ => 1,
    }
}

/// Blanks every item that stands under `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    let mut kept = code.as_bytes().to_vec();
    for (start, item) in items_for_tests(code) {
        blank(&mut kept, start..item.end);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The names of `mod name;` under `#[cfg(test)]`.
pub(super) fn modules_for_tests(code: &str) -> Vec<String> {
    let items = items_for_tests(code).into_iter();
    let declared = items.filter_map(|(_, item)| code[item].trim().strip_suffix(';').map(str::to_owned));
    declared.filter_map(|item| item.rsplit_once("mod ").map(|(_, name)| name.trim().to_owned())).collect()
}

/// Where `#[cfg(test)]` stands, and the item below it.
fn items_for_tests(code: &str) -> Vec<(usize, Range<usize>)> {
    const MARK: &str = "#[cfg(test)]";
    let marks = code.match_indices(MARK);
    marks.map(|(start, _)| (start, start + MARK.len()..end_of_item(code, start + MARK.len()))).collect()
}

/// The end of the item that begins at `from`: its `;`, or the `}` that closes its body.
fn end_of_item(code: &str, from: usize) -> usize {
    match code[from..].find([';', '{']) {
        Some(length) if code.as_bytes()[from + length] == b'{' => closing(code, from + length),
        Some(length) => from + length + 1,
        None => code.len(),
    }
}

/// Past the bracket that closes the one at `open`.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// Where a word or a path stands as a whole word.
pub(super) fn places_of(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let whole = |at: usize| {
        let before = at.checked_sub(1).map(|before| bytes[before]);
        let after = bytes.get(at + word.len()).copied();
        let goes_on = word.bytes().last().is_some_and(is_word) && after.is_some_and(is_word);
        !before.is_some_and(is_word) && !goes_on
    };
    code.match_indices(word).map(|(at, _)| at).filter(|&at| whole(at)).collect()
}

/// A function with a body.
pub(super) struct Function {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) lines: usize,
}

/// The functions of some code, with those inside others.
pub(super) fn functions(code: &str) -> Vec<Function> {
    places_of(code, "fn ").into_iter().filter_map(|at| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let name: String = code[at + 3..].bytes().take_while(|&byte| is_word(byte)).map(char::from).collect();
    let arguments = at + code[at..].find('(')?;
    let after = closing(code, arguments);
    let body = after + code[after..].find([';', '{'])?;
    let has_body = code.as_bytes()[body] == b'{' && !name.is_empty();
    has_body.then(|| Function { at, name, lines: code[at..closing(code, body)].lines().count() })
}

/// The number of the line of a byte, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}

pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comments and strings of every kind are blanked; lifetimes and names that begin like strings are not.
    #[test]
    fn only_code_is_left() {
        let text = "a(\"x \\\" y\"); // no\n/* n /* o */ */ r#\"no \" no\"# b'x' '\\'' br\"no\" &'a str r#type 'ü' '}'";
        let left = without_comments_and_strings(text);
        assert_eq!(left.len(), text.len());
        assert_eq!(left.split_whitespace().collect::<Vec<_>>(), ["a(", ");", "b", "&'a", "str", "r#type"]);
    }

    /// Code below a module for tests stays shipped.
    #[test]
    fn tests_are_cut_out() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nmod far;\n";
        let names = functions(&without_tests(code)).into_iter().map(|function| function.name);
        assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(modules_for_tests(code), ["far"]);
    }

    /// A word is not found in a longer one.
    #[test]
    fn words_are_whole() {
        assert_eq!(places_of("std::fs std::fsx my_std::fs(std::fs::File)", "std::fs"), [0, 28]);
    }
}
