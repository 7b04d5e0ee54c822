//! What nodes of a wide network tell each other of who is where: a distributed hash table (Kademlia) of the protocol
//! `/connectome/kad/1`, in which nodes announce themselves and what their agents are called and can do.
//!
//! It is for finding nodes that nobody here knows, across a network where not everybody knows everybody. It is not a cluster's
//! registry: an agent of a node that is linked is looked up in memory, and no message waits for this table.
//!
//! # Records
//!
//! What is announced of one [`Subject`] stands under one key. A record is a list of announcements by different nodes, each signed
//! by its node for this key, and valid until a moment that it names. Whoever keeps records checks what comes, keeps the newest
//! announcement of each node, and adds what is new to what it has, so that nodes that announce the same thing do not displace
//! each other. Numbers are big-endian.
//!
//! ```text
//! key       = SHA-256(subject), or HMAC-SHA256(secret, subject) where the cluster has a secret
//! subject   = "connectome/libp2p/subject/v1" ‖ 0x00 ‖ kind: 1 ‖ length of the namespace: 1 ‖ namespace ‖ name
//! kind        1 an agent of this name, 2 a capability, 3 the cluster (no name)
//!
//! record    = announcement ...                            at most 16
//! announcement
//!           = length of the rest: 2 ‖ body ‖ signature: 64      the rest at most 1,024
//! body      = node id: 32 ‖ signed at: 8 ‖ until: 8 ‖ flags: 1 ‖ proof: 32 if flag 1 ‖ addresses
//! flags       1 a proof of membership follows, 2 the node takes back what it announced
//! addresses = how many: 1 (at most 8) ‖ for each its length: 2 (at most 300) and its bytes
//! signature = Ed25519 of the node over 0xff ‖ "connectome/cxr1/announcement" ‖ key ‖ body
//! proof     = HMAC-SHA256(secret, "connectome/libp2p/announcer/v1" ‖ 0x00 ‖ key ‖ node id ‖ signed at ‖ until)
//! ```
//!
//! Moments are milliseconds since 1970. An announcement is refused when it is over, was signed more than a minute in the
//! future, or lasts longer than an hour.
//!
//! | file | what |
//! |---|---|
//! | `subject` | what is looked for, and its key |
//! | `announcement` | one announcement, made, read and checked |
//! | `record` | lists of them: merged by those who keep them, read by those who look |
//! | `kept` | the part of the swarm: what is kept for others, and queries |
//! | `keeper` | the loop that announces this node and looks for its cluster |

mod announcement;
mod keeper;
mod kept;
mod record;
mod subject;

pub(super) use keeper::{Keeper, find, keep, take_back};
pub(super) use kept::{Finding, KADEMLIA, Kademlia, Kept, kademlia};
pub(super) use subject::Key;

pub use announcement::ANNOUNCED_FOR_MAX;
pub use keeper::{ANNOUNCED_MAX, FindError, Found};
pub use kept::{FINDS_MAX, RECORDS_MAX};
pub use record::ANNOUNCEMENTS_PER_KEY_MAX;
pub use subject::Subject;
