//! An instant, as a protocol knows it.

use std::ops::Add;
use std::time::Duration;

/// Time since an origin of the caller's choosing: the start of the process, the epoch of a simulation.
///
/// Only differences mean anything. A caller's clock never runs backwards; if it does all the same, differences
/// are zero rather than negative.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::Now;
///
/// let later = Now::ZERO + Duration::from_secs(3);
/// assert_eq!(later.since(Now::ZERO), Duration::from_secs(3));
/// assert_eq!(Now::ZERO.since(later), Duration::ZERO);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now(Duration);

impl Now {
    /// The origin.
    pub const ZERO: Now = Now(Duration::ZERO);

    /// The instant this long after the origin.
    pub const fn new(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn since(self, earlier: Now) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long after the origin this is.
    pub const fn since_origin(self) -> Duration {
        self.0
    }
}

/// Saturates at the end of time rather than panic.
impl Add<Duration> for Now {
    type Output = Now;

    fn add(self, wait: Duration) -> Now {
        Now(self.0.saturating_add(wait))
    }
}
