//! Seals without a session: once to a prekey, to a pool, and to one's own store.
//!
//! A session moves its keys on with each message; here a key lives as long as its prekey or its store. So sessions are
//! for conversations, and this is for what can't have one: a task for whoever of a pool comes first ([`pool`](PoolMessage)),
//! a request to begin a session anew, a record at rest ([`StoreKey`]).
//!
//! It does not sign by itself: what must be somebody's is signed inside.

mod body;
mod once;
mod pool;
mod store;

pub use body::SealedBody;
pub(crate) use once::{Opener, Target};
pub use pool::{OpenedForPool, PoolMessage};
pub use store::StoreKey;
