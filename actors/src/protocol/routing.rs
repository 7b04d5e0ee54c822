//! Where a message goes: to which of those who can do it, and by which path.
//!
//! Two questions, asked one after the other. [`pick`] chooses among candidates by the power of two choices; [`Route`]
//! orders the paths to the one chosen, and says what to try when one fails. It sends nothing and measures nothing:
//! the figures are the registry's.
//!
//! ```text
//!   can:summarise ── pick ──► agent on node B ── Route ──► Peer ── not sent ──► Broker ── taken
//! ```
//!
//! Promises:
//! * `pick` never chooses what is not there, and nobody who is suspected while somebody is not.
//! * With equal candidates that finish nothing, the busiest has at most 4 more than the average.
//! * A message that may have arrived is not sent by another path: what is promised at most once is sent at most once.
//! * Nothing is tried past the deadline, and each path at most once.

mod pick;
mod route;

pub use pick::{Candidate, pick};
pub use route::{Failure, Next, Path, Reach, Route, Stop, Verb};
