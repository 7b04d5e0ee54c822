//! Bounded texts: names, keys and codes that are checked once, where they enter, and cannot be wrong inside.
//!
//! [`ParseError`] is what every text form of this crate fails with: it names the thing, the character, its position
//! and what would be right. The macros in `types` make
//! the types, by the rules in `rule`; they are used in `address`, `envelope`, `message`.

mod rule;
mod types;

use std::fmt;
use std::sync::Arc;

pub(crate) use rule::{Alphabet, Rule, check_code};
pub(crate) use types::{bounded_text, open_enum, text_traits};

/// Why a text is not the thing it was read as.
///
/// ```
/// let error = "gree ter".parse::<connectome_codecs::AgentName>().unwrap_err();
/// assert_eq!(error.position(), Some(4));
/// assert!(error.to_string().contains("' ' at position 4"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    what: &'static str,
    input: Box<str>,
    position: Option<usize>,
    problem: String,
    right: &'static str,
}

impl ParseError {
    /// How much of a wrong text is shown: enough to find it, too little to fill a log.
    const SHOWN_MAX: usize = 64;

    pub(crate) fn new(
        what: &'static str,
        input: &str,
        problem: impl Into<String>,
        right: &'static str,
    ) -> Self {
        let input = shorten(input, Self::SHOWN_MAX).into();
        Self { what, input, position: None, problem: problem.into(), right }
    }

    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// The thing that the text should have been, such as `agent name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The byte position of the first wrong character, where one character is to blame.
    pub fn position(&self) -> Option<usize> {
        self.position
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a valid {}: {}", self.input, self.what, self.problem)?;
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        write!(f, "; {}", self.right)
    }
}

impl std::error::Error for ParseError {}

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub(crate) fn shorten(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// The storage of a bounded text: a constant costs nothing, anything else is shared by its clones.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// Reads a type by its text form, without an intermediate `String`.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = ParseError>,
{
    deserializer.deserialize_str(TextVisitor(std::marker::PhantomData))
}

struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T: std::str::FromStr<Err = ParseError>> serde::de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
