//! Why a command did not do what it was asked.

use connectome::config::ConfigError;
use connectome::port::{KeyStoreError, StreamError};
use connectome::streams::OpenError;
use connectome::{KeysError, NodeError, telemetry::TelemetryError};

use crate::doc::Doc;

/// What the shell is told when a command did not do what it was asked.
const FAILED: u8 = 1;

/// What the shell is told when the command line makes no sense.
pub(crate) const USAGE: u8 = 2;

/// What went wrong, in words that also say what would be right.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    text: String,
    /// What the shell is told.
    pub(crate) code: u8,
    /// What a script may want to read of it.
    pub(crate) details: Doc,
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: FAILED, details: Doc::Nothing }
    }

    /// The command line itself makes no sense.
    pub(crate) fn usage(text: &str) -> Failure {
        Failure { code: USAGE, ..Failure::new(text) }
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

speaks_for_itself!(ConfigError, KeyStoreError, KeysError, NodeError, OpenError, StreamError, TelemetryError);
#[cfg(feature = "libp2p")]
speaks_for_itself!(connectome::transport::libp2p::Libp2pError);
#[cfg(feature = "nats")]
speaks_for_itself!(connectome::transport::nats::NatsError);
