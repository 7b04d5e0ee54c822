//! Why something sealed or signed was not believed: one type for every check of `cxr/1`.
//!
//! Each has a code for counters and events, says what becomes of the message on its stream ([`Verdict`]), and what its
//! sender is asked for ([`Ask`]). None of it goes to the peer: whoever sent a message learns at most that it could not
//! be opened.

use std::time::Duration;

use crate::key::Label;
use crate::wire::DecodeError;

/// What becomes of a message that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was handled before: acknowledge it and count it.
    Acknowledge,
    /// It may be opened later, at the latest after [`RETRY_MAX`]: give it back.
    Retry,
    /// It will never be opened: set it aside.
    SetAside,
}

/// The longest that a message which may open later waits between two tries: what it waits for, an earlier message or a
/// clock, comes within seconds or not at all.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// What the sender of a message that was refused is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To begin a new session.
    Reset,
    /// To send the message again, under a new key.
    Resend,
}

/// Why something sealed or signed was not believed. Nothing changed by looking at it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not what they should be.
    #[error("{what}: {problem}")]
    Malformed {
        /// What they should be.
        what: &'static str,
        /// What is wrong with them.
        problem: DecodeError,
    },
    /// A version of the protocol that this one does not know.
    #[error("{what} of version {version}; this node speaks version 1: update it")]
    UnsupportedVersion {
        /// What has that version.
        what: &'static str,
        /// The version.
        version: u64,
    },
    /// A suite that this version does not know, or that does not fit what stands beside it.
    #[error("suite {suite:#06x} is not one that fits; a peer must use one that this node lists")]
    UnsupportedSuite {
        /// The suite.
        suite: u16,
    },
    /// The best suite that both have is below what this node's policy asks for.
    #[error("the best common suite is {suite:#06x}, below this node's least; the peer must offer ML-KEM-768")]
    SuiteTooWeak {
        /// The best that both have.
        suite: u16,
    },
    /// A key that anyone could sign for, or that gives away what it should hide.
    #[error("the {what} is weak; its owner must make a new one")]
    WeakKey {
        /// Which key.
        what: &'static str,
    },
    /// A signature that is not by the key, or not over the bytes, that it stands for.
    #[error("the signature for {label:?} does not hold; its signer must be asked for the original")]
    BadSignature {
        /// What it was for.
        label: Label,
    },
    /// A message without the signature that this node asks for.
    #[error("the message is not signed; its sender must sign, or this node's policy must allow it")]
    Unsigned,
    /// A message that nobody sealed.
    #[error("the message is not sealed; its node must seal, or both must be told not to")]
    Unsealed,
    /// Two things that must be the same agent's, instance's or pool's are not.
    #[error("the {what} is somebody else's; check who was meant")]
    IdentityMismatch {
        /// Which of them.
        what: &'static str,
    },
    /// A certificate whose time is over.
    #[error("the certificate has expired; its agent must issue another")]
    CertificateExpired,
    /// A certificate that its agent took back.
    #[error("the certificate was revoked; talk to the agent's other instances")]
    Revoked,
    /// A bundle whose time is over.
    #[error("the bundle has expired; its instance must publish another")]
    BundleExpired,
    /// A bundle, roster or log that is older than one that was seen before, or another one of the same age.
    #[error("the {what} is older than one that was seen before; whoever stores it went back in time")]
    RolledBack {
        /// What it is.
        what: &'static str,
    },
    /// A moment that is in the future, or too long ago.
    #[error("the {what} is from another time; compare the clocks of both sides")]
    ClockSkew {
        /// What it is.
        what: &'static str,
    },
    /// A prekey that this instance never had, or has erased.
    #[error("it was sealed to a prekey that is not here; its sender must fetch the current bundle")]
    PrekeyUnknown,
    /// A one-time prekey that somebody used before.
    #[error("its one-time prekey was used before; its sender must claim another")]
    PrekeyConsumed,
    /// Another suite than the best that both sides list.
    #[error("the suite is not the best that both sides list; somebody between them changed a list")]
    DowngradeDetected,
    /// A key agreement that everyone could have computed.
    #[error("the peer's key gives the same secret to everyone; it must make a new one")]
    NonContributory,
    /// One's own message, come back.
    #[error("the peer shows this instance's own certificate; somebody sent its message back")]
    Reflected,
    /// A session that is not here.
    #[error("the session is not known here; its first message may be on the way")]
    UnknownSession,
    /// The very message that was handled before.
    #[error("the message was handled before")]
    Duplicate,
    /// Another message under a key that was used before: the sender's state went back in time.
    #[error("the sender used a key twice: its store went back in time, and the session must begin anew")]
    CounterReuse,
    /// A new ratchet key of the peer's, under which the message does not open: it was damaged, or one of the two states
    /// went back in time.
    #[error(
        "the peer's new key does not fit this state: the message was damaged, or a store went back in time"
    )]
    Diverged,
    /// Further ahead than a message can be.
    #[error("the message is further ahead than {max} messages; its sender must send it again")]
    TooFarAhead {
        /// How far is allowed.
        max: u32,
    },
    /// A message so late that its key is gone.
    #[error("the message came too late, and its key is gone; its sender must send it again")]
    KeyEvicted,
    /// A header that the peer did not write.
    #[error("the header was forged or damaged")]
    BadHeaderMac,
    /// A message that the peer did not write, or that was damaged.
    #[error("the message was forged or damaged")]
    BadTag,
    /// A message, request or first message that was seen before.
    #[error("it was seen before, and is not taken twice")]
    Replayed,
    /// Somebody whom this node does not talk to.
    #[error(
        "it is of none that this node accepts; list its key in sealing.allow, or have an organisation of \
         sealing.organisations vouch for it"
    )]
    NotAccepted,
    /// Somebody who is not a member spoke or was spoken to.
    #[error("not a member of the group at this epoch")]
    NotAMember,
    /// A sender key that has not come.
    #[error("the sender's key for this group has not come yet")]
    UnknownSenderKey,
    /// A table that has no room.
    #[error("no room for another {what}, of which there may be {max}; the peer must wait")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

impl Refusal {
    /// What becomes of the message on its stream.
    pub fn verdict(&self) -> Verdict {
        self.row().1
    }

    /// What the sender is asked for, once the message is set aside.
    pub fn ask(&self) -> Option<Ask> {
        self.row().2
    }

    /// A short name for counters and events.
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    fn row(&self) -> (&'static str, Verdict, Option<Ask>) {
        use Verdict::{Acknowledge, Retry, SetAside};
        match self {
            Self::Malformed { .. } => ("malformed", SetAside, None),
            Self::UnsupportedVersion { .. } => ("unsupported-version", SetAside, None),
            Self::UnsupportedSuite { .. } => ("unsupported-suite", SetAside, None),
            Self::SuiteTooWeak { .. } => ("suite-too-weak", SetAside, None),
            Self::WeakKey { .. } => ("weak-key", SetAside, None),
            Self::BadSignature { .. } => ("bad-signature", SetAside, None),
            Self::Unsigned => ("unsigned", SetAside, None),
            Self::Unsealed => ("unsealed", SetAside, None),
            Self::IdentityMismatch { .. } => ("identity-mismatch", SetAside, None),
            Self::CertificateExpired => ("certificate-expired", SetAside, None),
            Self::Revoked => ("revoked", SetAside, None),
            Self::BundleExpired => ("bundle-expired", SetAside, None),
            Self::RolledBack { .. } => ("rolled-back", SetAside, None),
            Self::ClockSkew { .. } => ("clock-skew", Retry, None),
            Self::PrekeyUnknown => ("prekey-unknown", SetAside, Some(Ask::Reset)),
            Self::PrekeyConsumed => ("prekey-consumed", SetAside, Some(Ask::Reset)),
            Self::DowngradeDetected => ("downgrade-detected", SetAside, None),
            Self::NonContributory => ("non-contributory", SetAside, None),
            Self::Reflected => ("reflected", SetAside, None),
            Self::UnknownSession => ("unknown-session", Retry, Some(Ask::Reset)),
            Self::Duplicate => ("duplicate", Acknowledge, None),
            Self::CounterReuse => ("counter-reuse", SetAside, Some(Ask::Reset)),
            Self::Diverged => ("diverged", SetAside, Some(Ask::Reset)),
            Self::TooFarAhead { .. } => ("too-far-ahead", SetAside, Some(Ask::Resend)),
            Self::KeyEvicted => ("key-evicted", SetAside, Some(Ask::Resend)),
            Self::BadHeaderMac => ("bad-header-mac", SetAside, None),
            Self::BadTag => ("bad-tag", SetAside, None),
            Self::Replayed => ("replayed", Acknowledge, None),
            Self::NotAccepted => ("not-accepted", SetAside, None),
            Self::NotAMember => ("not-a-member", SetAside, None),
            Self::UnknownSenderKey => ("unknown-sender-key", Retry, None),
            Self::Full { .. } => ("full", Retry, None),
        }
    }

    /// Says what the bytes should have been.
    pub(crate) fn malformed(what: &'static str) -> impl Fn(DecodeError) -> Self {
        move |problem| Self::Malformed { what, problem }
    }
}
