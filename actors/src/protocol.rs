//! Every decision of the runtime, made where nothing can interfere with it.
//!
//! A protocol is a value that is told things and asks for things. It does not wait, look at a clock, roll dice that
//! it was not given, open a socket or iterate a hash map: the same inputs at the same instants give the same actions,
//! in a test, in the simulator and in production. All have one shape:
//!
//! ```text
//!   world ──► actor ──(now, Input)──► protocol.handle ──(Action, Action, …)──► actor ──► world
//!             one `match` on Action
//! ```
//!
//! * [`delivery`]: one agent's lane of durable messages.
//! * [`lease`]: ownership that is taken, renewed, lost and fenced.
//! * [`membership`]: who is in the cluster, and which agents live where.
//! * [`ownership`]: which of the names that a node offers it owns, and when it takes one.
//! * [`ratelimit`]: how fast a consumer may take.
//! * [`registration`]: who is registered, what a registrar accepts, and who sweeps.
//! * [`restart`]: what a supervisor does when a child starts, fails or ends.
//! * [`routing`]: to whom a message goes, and by which path.
//! * [`secrecy`]: the sealed conversation with another node.
//! * [`shard`]: the partition that a name is in.
//! * [`task`]: the life of a task, from its submission to one of its ends.
//!
//! Shared by them: [`Now`], [`Dice`] and [`Backoff`].

mod backoff;
pub mod delivery;
mod dice;
pub mod lease;
pub mod membership;
mod now;
pub mod ownership;
pub mod ratelimit;
pub mod registration;
pub mod restart;
pub mod routing;
pub mod secrecy;
pub mod shard;
pub mod task;

pub use backoff::Backoff;
pub use dice::Dice;
pub use now::Now;
