//! Bugs on purpose: a test of the tests. Whoever plants one must find it again.
//!
//! Compiled only with the feature `planted-bugs`, which nothing but the workspace's own tests turns on; then still none is
//! active unless `RouterConfig::planted` names it.

use crate::router::Router;

/// A bug that a simulation must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// Now and then `send` says that a message is stored, and drops it.
    LosesAcknowledged,
    /// A claim of a task does not raise its term.
    ReusesTerm,
    /// A lane that is opened again has forgotten the last message that was applied.
    AppliesTwice,
    /// A lane takes what it fetched last things first.
    Reorders,
}

impl Router {
    pub(crate) fn has_bug(&self, bug: Planted) -> bool {
        self.inner().config.planted == Some(bug)
    }
}
