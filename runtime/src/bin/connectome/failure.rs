//! Why a command did not do what it was asked.

use connectome::config::ConfigError;
use connectome::port::StreamError;
use connectome::streams::OpenError;
use connectome::{NodeError, telemetry::TelemetryError};

use crate::doc::Doc;

/// What went wrong, in words that also say what would be right; the exit code is 1.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    text: String,
    /// What a script may want to read of it.
    pub(crate) details: Doc,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), details: Doc::Nothing }
    }

    pub(crate) fn with(mut self, details: Doc) -> Failure {
        self.details = details;
        self
    }
}

/// These errors say themselves what was wrong and what would be right.
macro_rules! speaks_for_itself {
    ($($error:ty),+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::new(error.to_string())
            }
        })+
    };
}

speaks_for_itself!(ConfigError, NodeError, OpenError, StreamError, TelemetryError);
