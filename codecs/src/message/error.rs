//! `ERROR`: why there is no answer, who must act, and whether anything may have happened.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, at_most, ensure, label};
use super::{Body, Kind};
use crate::limits::{AGENT_NAME_MAX, CODE_MAX, DETAIL_MAX};
use crate::text::{bounded_text, shorten};

/// Why there is no answer.
///
/// ```
/// use connectome_codecs::message::{Blame, Effect, Error, ErrorCode};
///
/// let error = Error::new(ErrorCode::MAILBOX_FULL, Blame::Peer, Effect::None, "1024 messages wait already");
/// assert_eq!(error.to_string(), "mailbox_full: 1024 messages wait already");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// What a program looks at.
    pub code: ErrorCode,
    /// Who must act.
    pub blame: Blame,
    /// Whether anything may have happened.
    pub effect: Effect,
    /// What a person reads: what was wrong, and what would be right.
    pub message: String,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Error {
    /// An error that names no field. A message that is too long is cut.
    pub fn new(code: ErrorCode, blame: Blame, effect: Effect, message: &str) -> Self {
        Self { code, blame, effect, message: shorten(message, DETAIL_MAX).to_owned(), field: None }
    }

    /// Names the field of the request that is wrong. A name that is too long is cut.
    #[must_use]
    pub fn in_field(mut self, field: &str) -> Self {
        self.field = Some(shorten(field, FIELD_MAX).to_owned());
        self
    }

    /// The same without its words, which may repeat what was asked: for those who carry or keep it.
    #[must_use]
    pub fn without_words(&self) -> Self {
        let Self { code, blame, effect, .. } = self.clone();
        Self { code, blame, effect, message: SEALED.to_owned(), field: None }
    }

    pub(crate) fn has_words(&self) -> bool {
        self.message != SEALED || self.field.is_some()
    }
}

/// What stands where the words of an error were.
const SEALED: &str = "its words are sealed";

/// The longest name of a field: a path of a few names.
const FIELD_MAX: usize = AGENT_NAME_MAX;

impl Body for Error {
    const KIND: Kind = Kind::Error;

    fn validate(&self) -> Result<(), Invalid> {
        ensure(!self.message.is_empty(), "message", || "it is empty; say what was wrong".into())?;
        at_most("message", "bytes", self.message.len(), DETAIL_MAX)?;
        label("field", self.field.as_deref(), FIELD_MAX)
    }
}

impl From<Invalid> for Error {
    /// What a receiver answers to a message that breaks the rules: the caller must act, and nothing has happened.
    fn from(invalid: Invalid) -> Self {
        Self::new(ErrorCode::INVALID, Blame::Caller, Effect::None, &invalid.problem).in_field(invalid.field)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

bounded_text! {
    /// What a program looks at to tell errors apart; a code keeps its meaning for ever.
    ErrorCode, "error code", CODE_MAX, Dotted, "write 1 to 64 of A-Z a-z 0-9 . _ -"
}

impl ErrorCode {
    /// The message breaks the rules of its type.
    pub const INVALID: Self = Self::from_static("invalid");
    /// Nobody has this address.
    pub const NOT_FOUND: Self = Self::from_static("not_found");
    /// The receiver does not handle this type of message.
    pub const UNHANDLED: Self = Self::from_static("unhandled");
    /// The receiver's mailbox is full.
    pub const MAILBOX_FULL: Self = Self::from_static("mailbox_full");
    /// The deadline passed.
    pub const TIMEOUT: Self = Self::from_static("timeout");
    /// The caller took it back.
    pub const CANCELLED: Self = Self::from_static("cancelled");
    /// The call would wait for itself.
    pub const CYCLE: Self = Self::from_static("cycle");
    /// The receiver stopped or crashed before it answered.
    pub const STOPPED: Self = Self::from_static("stopped");
    /// The handler failed.
    pub const HANDLER: Self = Self::from_static("handler");
    /// The caller may not do this.
    pub const FORBIDDEN: Self = Self::from_static("forbidden");
    /// A transport or a store does not work at present.
    pub const UNAVAILABLE: Self = Self::from_static("unavailable");
    /// A newer owner holds a higher term.
    pub const FENCED: Self = Self::from_static("fenced");
}

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Whoever sent the request: it was wrong, and sending it again will not help.
    Caller,
    /// Whoever received it.
    Peer,
    /// Whoever runs what lies between them, or nobody: trying again later may help.
    Environment,
}

impl Blame {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Peer => "peer",
            Self::Environment => "environment",
        }
    }
}

/// Whether the request had an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It certainly had none: sending it again is safe.
    None,
    /// It may have had one: send it again only with the same idempotency key.
    Possible,
}

impl Effect {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Possible => "possible",
        }
    }
}

/// Serde by a code; a code from a later version reads as the cautious choice.
macro_rules! closed_code {
    ($name:ident, cautious: $cautious:ident, $($variant:ident),+) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let code: ErrorCode = Deserialize::deserialize(deserializer)?;
                let known = [$(Self::$variant),+].into_iter().find(|known| code == known.as_str());
                Ok(known.unwrap_or(Self::$cautious))
            }
        }
    };
}

closed_code!(Blame, cautious: Environment, Caller, Peer, Environment);
closed_code!(Effect, cautious: Possible, None, Possible);
