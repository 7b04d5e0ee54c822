//! Agents that several nodes offer: one of them runs each, under a lease, and another one when that one can't.
//!
//! ```text
//!   node.offer ──► Offers (who could run what) ──► OwnershipKeeper ── lease, watch ──► bucket `leases`
//!                     ▲                                │ start under term 4, stop
//!   calls that wait ──┘                                ▼
//!                                             supervisor "offered" ──► the agent
//! ```
//!
//! What is taken when is decided in `protocol/ownership`, and `keeper.rs` does it. The lease says who may run; what keeps
//! a stale owner from doing harm is the term in the agent's kept state (`mail/inherit.rs`): whoever takes over writes
//! that first, so an older owner's next write is refused. `moving.rs` is the caller's side: a call waits for the new owner.

mod keeper;
mod lease_store;
mod moving;
mod offer;
mod table;

pub(crate) use keeper::OwnershipKeeper;
use offer::Offer;
pub(crate) use table::{News, Offers};

/// The bucket of leases. Nobody deletes from it, so that terms go on rising.
pub const LEASES: &str = "leases";
