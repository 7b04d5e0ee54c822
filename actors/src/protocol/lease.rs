//! Ownership that is taken, renewed, lost and fenced.
//!
//! A lease is one entry of a key-value bucket, written by compare-and-set. It decides who may try to be the owner and
//! when an owner must stop. It does not make the owner the only one who *believes* to be it: clocks differ, answers
//! are lost, processes stand still. What makes it safe is the term, which rises with every change of owner, and the
//! [`Fence`] at each place of effect, which refuses an older term once it has seen a newer one.
//!
//! ```text
//!   A (owner, term 3)        bucket                B (suspects A)          place of effect
//!   │ ✗ hangs                 │ ◄── read ─────────── │                        │
//!   │                         │ ─── A, term 3 ─────► │                        │
//!   │                         │ ◄── B, term 4 if r7 ─│                        │
//!   │                         │ ─── written, r8 ───► │ ── effect, term 4 ───► │ yes
//!   │ ── effect, term 3 ──────────────────────────────────────────────────►   │ no: 4 was seen
//!   │ ── A, term 3 if r7 ───► │                      │                        │
//!   │ ◄─ conflict ─────────── │   A has lost it      │                        │
//! ```
//!
//! The entry must stay in its bucket: an owner that leaves writes that it is free, and nobody deletes it, else terms
//! would begin anew. So its bucket has no TTL.
//!
//! Promises:
//! * No term has two owners, and terms rise with each change of owner.
//! * A fence never admits an older term after a newer one.
//! * An owner stops by its own clock when two thirds of the time to live have passed since it *sent* the last renewal
//!   that was acknowledged. So while nobody is suspected and clocks differ by less than a third of it, no two nodes
//!   believe to be the owner at the same instant.
//!
//! Next: `keeper.rs` (one node's part), `tenure.rs` (how long it may believe), `record.rs` (what is written).

mod action;
mod fence;
mod input;
mod keeper;
mod record;
mod tenure;

pub use action::{Action, Loss};
pub use fence::{Fence, Stale};
pub use input::{Answer, Input, Ticket};
pub use keeper::Keeper;
pub use record::{LeaseRecord, Move, decide};
pub use tenure::Tenure;
