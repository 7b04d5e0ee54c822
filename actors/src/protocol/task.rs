//! The life of a task: who may take it, what its worker may say, and how it ends.
//!
//! A task is one record in a key-value bucket. [`apply`] makes the next record of the present one; the caller writes
//! it by compare-and-set, and on a conflict reads and decides again. So of two who decide at once, one has decided
//! in vain. It does not store, deliver or run anything, and it trusts no clock with safety: a lease that ends too
//! early lets another worker start, and the term decides whose result counts.
//!
//! ```text
//!                 claim (term + 1)             complete
//!   submitted ───────────────────────► working ──────────► completed
//!    ▲  │  ▲                           │ │ │ │
//!    │  │  └── release · fail, retry · expire ┘ fail, final ► failed
//!    │  └───────────── reject ► rejected   │                    ▲
//!    │                                     ├── last attempt over┘
//!    └── resume ── input-required ◄── ask ─┘
//!   cancel leads from every state that is not an end to canceled, with a new term
//! ```
//!
//! Promises:
//! * Terms strictly rise: with each claim, and with each step that takes a task from its worker.
//! * Whatever a worker says under an older term is refused, and the refusal says which term is newer.
//! * A task is completed at most once. Ends are ends.
//! * It is started at most as often as allowed (a release gives its attempt back).
//! * A task that has not ended can be claimed, is being worked on until a moment that is written down, or waits for
//!   the one who submitted it.
//!
//! Next: `step.rs` (the words), `apply.rs` (the rules), `work.rs` (the worker's side: extend, or stop).

mod apply;
mod step;
mod work;

use std::time::Duration;

pub use apply::apply;
pub use step::{Failure, Outcome, Question, Refusal, Step};
pub use work::{Action, Input, Stopped, Work};

use super::Backoff;

/// How tasks are leased and retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a worker may be silent before its task is another's.
    pub lease: Duration,
    /// Waits before a failed task is tried again.
    pub backoff: Backoff,
    /// How long one attempt may take, however alive its worker is. `None`: as long as it extends its lease.
    pub attempt_max: Option<Duration>,
}

impl Default for Policy {
    /// A lease of 30 s (a worker that dies costs its task half a minute at the most; the worker extends it every
    /// 10 s), retries after 1 s, 2 s, 4 s … up to a minute, and no bound on an attempt.
    fn default() -> Self {
        let backoff =
            Backoff { initial: Duration::from_secs(1), cap: Duration::from_secs(60), jitter_percent: 20 };
        Self { lease: Duration::from_secs(30), backoff, attempt_max: None }
    }
}
