//! One message for many: a sender's key, given to each member in a session, and a roster that says who they are.
//!
//! ```text
//! owner                     sender                                        members
//!   Roster ──(signed)──►      GroupSender ── distribution, in a session ──► GroupKeys
//!                             seal ──────── one message for all ──────────► open, commit
//! ```
//!
//! All members have the same key, so the seal proves only that *a* member wrote a message: who did is proved by its
//! signature, which every message has. A sender makes a new chain when a member has gone, after [`MESSAGES_MAX`]
//! messages and after a day; a member that joins gets the chain as it stands, and reads nothing from before. Who was away
//! catches up from the stream.
//!
//! As in a [`session`](crate::session), opening changes nothing until it is committed, and keys are reserved before they
//! are used. Unlike there, whoever steals a member's state reads on until the chains are new.
//!
//! | file | what |
//! |---|---|
//! | `roster` | who is a member, signed, and only newer |
//! | `sender` | one's own chain, and whom it was given to |
//! | `keys` | the chains of others |
//! | `message` | the bytes |

mod keys;
mod message;
mod roster;
mod sender;

use std::fmt;
use std::time::Duration;

pub use keys::{GROUP_SKIPPED_MAX, GroupKeys, OpenedInGroup, PendingInGroup, SENDERS_MAX};
pub use roster::{MEMBERS_MAX, Roster};
pub use sender::GroupSender;

/// The most messages of one chain: what a stolen key opens.
pub const MESSAGES_MAX: u32 = 1_000;

/// The longest life of a chain: a session's rotation of prekeys.
pub const CHAIN_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Names a group: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub [u8; 16]);

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupId({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// Names one chain of one sender: 16 random bytes.
pub(crate) type ChainId = [u8; 16];
