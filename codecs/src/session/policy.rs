//! What one side asks for; the other can't talk it into less.

use std::time::Duration;

use crate::identity::{Suite, Suites};

/// Which proof a message must carry for others than its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Every message is signed, alone or in a batch: the receiver can show it to others.
    EveryMessage,
    /// A new ratchet key is signed, messages are not: the receiver alone is convinced. Signed messages are taken too.
    Checkpoint,
}

/// When signatures of messages are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Before the message is handed out.
    Now,
    /// By the caller, with [`Evidence::verify`](crate::signature::Evidence::verify): who sent it is known anyway.
    Later,
}

/// What one side asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The suites that it speaks.
    pub suites: Suites,
    /// The least that it agrees to.
    pub least: Suite,
    /// What messages must carry.
    pub signatures: Signatures,
    /// When that is verified.
    pub verify: Verify,
    /// The age that a message can reach on its stream: for so long keys for late messages are kept, and first messages
    /// are taken. One number for the stream, the prekeys and this; it is the floor of forward secrecy on disk.
    pub retention: Duration,
}

impl Default for Policy {
    /// Both suites, either is enough; every message signed, and verified at once; streams that keep a week.
    fn default() -> Self {
        Self {
            suites: Suites::of(&[Suite::Classic, Suite::Hybrid]),
            least: Suite::Classic,
            signatures: Signatures::EveryMessage,
            verify: Verify::Now,
            retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}
