//! What a text must look like: one check for input, at run time, and for constants, at compile time.

use super::ParseError;

/// Which characters a text may have.
#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// `A-Z a-z 0-9 _ -`, in non-empty segments joined by `/`.
    Path,
    /// `A-Z a-z 0-9 . _ -`.
    Dotted,
    /// Visible ASCII: no space, no control characters.
    Visible,
}

impl Alphabet {
    const fn admits(self, byte: u8) -> bool {
        match self {
            Self::Path => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'),
            Self::Visible => byte.is_ascii_graphic(),
        }
    }
}

/// What one kind of text must look like.
pub(crate) struct Rule {
    pub(crate) what: &'static str,
    pub(crate) max: usize,
    pub(crate) alphabet: Alphabet,
    pub(crate) right: &'static str,
}

enum Fault {
    Empty,
    TooLong,
    Character(usize),
    EmptySegment(usize),
}

impl Rule {
    /// The same check for constants, at compile time, and for input.
    const fn fault(&self, text: &str) -> Option<Fault> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Some(Fault::Empty);
        }
        if bytes.len() > self.max {
            return Some(Fault::TooLong);
        }
        let mut at = 0;
        while at < bytes.len() {
            if !self.alphabet.admits(bytes[at]) {
                return Some(Fault::Character(at));
            }
            at += 1;
        }
        match self.alphabet {
            Alphabet::Path => empty_segment(bytes),
            Alphabet::Dotted | Alphabet::Visible => None,
        }
    }

    pub(crate) const fn holds(&self, text: &str) -> bool {
        self.fault(text).is_none()
    }

    pub(crate) fn check(&self, text: &str) -> Result<(), ParseError> {
        let Some(fault) = self.fault(text) else {
            return Ok(());
        };
        let error = |problem: String| ParseError::new(self.what, text, problem, self.right);
        Err(match fault {
            Fault::Empty => error("it is empty".into()),
            Fault::TooLong => error(format!("it has {} bytes, at most {} are allowed", text.len(), self.max)),
            Fault::Character(at) => error(format!("{:?}", character(text, at))).at(at),
            Fault::EmptySegment(at) => error("an empty segment".into()).at(at),
        })
    }
}

/// The character at `at`, or what holds its place when `at` is inside one.
fn character(text: &str, at: usize) -> char {
    text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(char::REPLACEMENT_CHARACTER)
}

const fn empty_segment(bytes: &[u8]) -> Option<Fault> {
    let mut at = 0;
    while at < bytes.len() {
        let slash = bytes[at] == b'/';
        if slash && (at == 0 || at + 1 == bytes.len() || bytes[at - 1] == b'/') {
            return Some(Fault::EmptySegment(at));
        }
        at += 1;
    }
    None
}

/// What a code that this version does not know must still look like.
pub(crate) fn check_code(what: &'static str, text: &str) -> Result<(), ParseError> {
    let right = "a code is 1 to 64 of A-Z a-z 0-9 . _ -";
    Rule { what, max: crate::limits::CODE_MAX, alphabet: Alphabet::Dotted, right }.check(text)
}
