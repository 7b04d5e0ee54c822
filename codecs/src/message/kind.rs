//! The kinds of message, one number each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of message an envelope carries. A number that this version does not know is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Kind {
    /// Something for a person or a model to read.
    Text,
    /// Work to do.
    Task,
    /// The answer to a call, or a part of one.
    Response,
    /// How an agent is.
    Status,
    /// Why there is no answer.
    Error,
    /// Who lives on a node.
    Discovery,
    /// A node is alive.
    Heartbeat,
    /// A type that a user defined; the envelope's `name` names it.
    Typed,
    /// What calls, streams and monitors need.
    Control,
    /// One from a later version.
    Unknown(u8),
}

impl Kind {
    /// All that this version knows.
    pub const KNOWN: &'static [Self] = &[
        Self::Text,
        Self::Task,
        Self::Response,
        Self::Status,
        Self::Error,
        Self::Discovery,
        Self::Heartbeat,
        Self::Typed,
        Self::Control,
    ];

    /// The number on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Task => 2,
            Self::Response => 3,
            Self::Status => 4,
            Self::Error => 5,
            Self::Discovery => 6,
            Self::Heartbeat => 7,
            Self::Typed => 8,
            Self::Control => 9,
            Self::Unknown(code) => code,
        }
    }
}

impl From<u8> for Kind {
    fn from(code: u8) -> Self {
        Self::KNOWN.iter().copied().find(|kind| kind.code() == code).unwrap_or(Self::Unknown(code))
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        kind.code()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "TEXT",
            Self::Task => "TASK",
            Self::Response => "RESPONSE",
            Self::Status => "STATUS",
            Self::Error => "ERROR",
            Self::Discovery => "DISCOVERY",
            Self::Heartbeat => "HEARTBEAT",
            Self::Typed => "TYPED",
            Self::Control => "CONTROL",
            Self::Unknown(code) => return write!(f, "KIND {code}"),
        })
    }
}
