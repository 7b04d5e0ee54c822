//! Moments and counts: plain numbers that must not be mixed up.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01 UTC, by whoever's clock wrote it. Safety never rests on comparing two
/// clocks; deadlines do, and say so.
///
/// ```
/// use std::time::Duration;
/// use connectome_codecs::UnixMillis;
///
/// let sent = UnixMillis(1_000);
/// let expires = sent.after(Duration::from_secs(5));
/// assert_eq!(expires, UnixMillis(6_000));
/// assert_eq!(expires.since(sent), Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `duration` later, or the last moment there is.
    pub const fn after(self, duration: Duration) -> Self {
        let millis = duration.as_millis();
        let millis = if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 };
        Self(self.0.saturating_add(millis))
    }

    /// How long ago `earlier` was; nothing when it was later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

macro_rules! count {
    ($(#[$meta:meta])* $name:ident($number:ty)) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub $number);

        impl $name {
            /// The one that follows; the last one is followed by itself.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

count! {
    /// The number of an ownership: the fencing token. It only rises, and every place of effect refuses an older one.
    Term(u64)
}

count! {
    /// The version of a value in a key-value bucket; compare-and-set compares it.
    Revision(u64)
}

count! {
    /// A place in a stream or in a conversation, counted from 1.
    Sequence(u64)
}

count! {
    /// Which delivery of a message, or which run of a task, this is: the first is 1, and 0 is "not yet".
    Attempt(u32)
}

impl Attempt {
    /// The first delivery.
    pub const FIRST: Self = Self(1);
}
