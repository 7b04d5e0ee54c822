//! How a child ended.

use std::fmt;

use super::ChildId;

/// How an incarnation ended, or why there was none.
///
/// ```
/// use connectome_actors::protocol::restart::Exit;
///
/// assert!(!Exit::Normal.is_abnormal());
/// assert!(!Exit::GaveUp.is_abnormal()); // OTP: the reason is `shutdown`
/// assert!(Exit::Crashed("index out of bounds".into()).is_abnormal());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It had nothing more to do.
    Normal,
    /// It was asked to stop and did, or a supervisor shut itself down.
    Shutdown,
    /// It panicked or returned an error: the text says which.
    Crashed(String),
    /// It was killed: it did not stop by its deadline, or someone else did it.
    Killed,
    /// It was a supervisor whose children ended more often than its intensity allows. In OTP the reason is
    /// `shutdown`, so a transient supervisor that gave up is not restarted; make it permanent to have it restarted.
    GaveUp,
    /// It could not be started, or it was a supervisor one of whose children could not.
    StartFailed {
        /// The child whose start failed.
        child: ChildId,
        /// Why.
        reason: String,
    },
}

impl Exit {
    /// Whether a transient child that ends like this is restarted.
    pub const fn is_abnormal(&self) -> bool {
        match self {
            Exit::Normal | Exit::Shutdown | Exit::GaveUp => false,
            Exit::Crashed(_) | Exit::Killed | Exit::StartFailed { .. } => true,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Normal => f.write_str("normal"),
            Exit::Shutdown => f.write_str("shutdown"),
            Exit::Crashed(why) => write!(f, "crashed: {why}"),
            Exit::Killed => f.write_str("killed"),
            Exit::GaveUp => f.write_str("gave up: too many restarts"),
            Exit::StartFailed { child, reason } => write!(f, "{child} could not be started: {reason}"),
        }
    }
}
