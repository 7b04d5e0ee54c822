//! What is wrong with a typed value, and where: short, whatever the value was.

use std::fmt::{self, Write};

use serde::de::{Error, Expected, Unexpected};

use super::Token;
use crate::text::shorten;
use crate::wire::error::DecodeError;

/// An error on its way out of a value, which gathers the path as it goes. Boxed, since a result is handed on often.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// From the outermost field inwards.
    path: String,
    cause: DecodeError,
}

/// How much of a problem is told: a sentence.
const PROBLEM_MAX: usize = 256;

/// How much of a wrong value is quoted.
const QUOTE_MAX: usize = 48;

/// How long a path is told.
const PATH_MAX: usize = 256;

impl Problem {
    pub(super) fn in_item(self, index: u32) -> Self {
        self.inside(&format!("[{index}]"))
    }

    pub(super) fn in_field(self, key: Token<'_>) -> Self {
        match key {
            Token::Text(name) => self.inside(&String::from_utf8_lossy(&name[..name.len().min(QUOTE_MAX)])),
            Token::Natural(number) => self.inside(&number.to_string()),
            _ => self.inside("?"),
        }
    }

    fn inside(mut self, step: &str) -> Self {
        let path = &mut self.0.path;
        if path.len() < PATH_MAX {
            let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
            path.insert_str(0, dot);
            path.insert_str(0, step);
        }
        self
    }
}

impl From<DecodeError> for Problem {
    fn from(cause: DecodeError) -> Self {
        Self(Box::new(Inner { path: String::new(), cause }))
    }
}

impl From<Problem> for DecodeError {
    fn from(problem: Problem) -> Self {
        let Inner { path, cause } = *problem.0;
        match cause {
            Self::Value { problem, .. } => Self::Value { path, problem },
            other => other,
        }
    }
}

impl Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError::Value { path: String::new(), problem: first(PROBLEM_MAX, message) }.into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found {}", first(QUOTE_MAX, found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let found = shorten(variant, QUOTE_MAX);
        Self::custom(format_args!("unknown variant {found:?}, expected one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let found = shorten(field, QUOTE_MAX);
        Self::custom(format_args!("unknown field {found:?}, expected one of {}", expected.join(", ")))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.cause, f)
    }
}

impl std::error::Error for Problem {}

/// The first `max` bytes of what `value` prints; the rest is not even formatted.
fn first(max: usize, value: impl fmt::Display) -> String {
    let mut text = Bounded { text: String::new(), max };
    match write!(text, "{value}") {
        Ok(()) => text.text,
        Err(fmt::Error) => text.text + "...",
    }
}

struct Bounded {
    text: String,
    max: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let fits = shorten(piece, self.max - self.text.len());
        self.text.push_str(fits);
        if fits.len() == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
