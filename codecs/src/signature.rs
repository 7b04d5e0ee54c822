//! Signatures inside the seal: what a receiver can show to others.
//!
//! The seal proves to its receiver who sent a message. A signature proves it to everybody, and is kept from onlookers by
//! the seal. It costs thirty times what the seal costs, so many messages can share one: [`Batch`] signs the root of a
//! tree over up to 64, and each message carries its way to the root.
//!
//! ```text
//! statement = SHA-256( "statement" ‖ hash of the sender's certificate ‖ hash of the receiver's certificate ‖ session id
//!                      ‖ header ‖ digest of the context ‖ SHA-256(payload) )
//!
//! signed:     signature: 64                                      over  msg-sig ‖ statement
//! in a batch: size: 1 ‖ index: 1 ‖ way: 32 each ‖ signature: 64  over  batch-sig ‖ size: 1 ‖ root
//! of a step:  signature: 64                                      over  step-sig ‖ session id ‖ header[20..56]
//! ```
//!
//! Whether a message must have one is a [`Policy`](crate::session::Policy); where the keys come from is
//! [`identity`](crate::identity).
//!
//! | file | what |
//! |---|---|
//! | `proof` | the three forms |
//! | `tree` | a root over many statements, and the ways to it |
//! | `batch` | messages that share a signature |
//! | `evidence` | a message with all that is needed to prove it, offline |

mod batch;
mod evidence;
mod proof;
mod tree;

pub use batch::{Batch, BatchFull};
pub use evidence::{Evidence, Proved};
pub(crate) use proof::{Proof, SignedBatch, Statement};
pub use tree::BATCH_MAX;
