//! Which ids a stream has taken lately, so that each is stored once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use connectome_codecs::{MessageId, UnixMillis};

/// The ids of one window. Its size is bounded by what is published in that time; each costs under 100 bytes.
#[derive(Debug, Default)]
pub(crate) struct Duplicates {
    sequences: BTreeMap<MessageId, u64>,
    by_age: VecDeque<(UnixMillis, u64, MessageId)>,
}

impl Duplicates {
    /// The sequence this id was given.
    pub(crate) fn find(&self, id: MessageId) -> Option<u64> {
        self.sequences.get(&id).copied()
    }

    /// Remembers an id. Moments must not fall; [`Duplicates::sort`] puts restored ones in order.
    pub(crate) fn remember(&mut self, id: MessageId, sequence: u64, at: UnixMillis) {
        self.sequences.insert(id, sequence);
        self.by_age.push_back((at, sequence, id));
    }

    /// Puts ids that were restored in any order into the order of their moments.
    pub(crate) fn sort(&mut self) {
        self.by_age.make_contiguous().sort_unstable();
    }

    /// Forgets the oldest id that has left the window, and gives it with its sequence.
    pub(crate) fn forget_one(&mut self, window: Duration, now: UnixMillis) -> Option<(MessageId, u64)> {
        let &(at, sequence, id) = self.by_age.front()?;
        if at.after(window) > now {
            return None;
        }
        self.by_age.pop_front();
        if self.find(id) == Some(sequence) {
            self.sequences.remove(&id);
        }
        Some((id, sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> MessageId {
        MessageId::from_parts(UnixMillis(1), n)
    }

    #[test]
    fn an_id_is_known_for_exactly_its_window() {
        let window = Duration::from_millis(10);
        let mut ids = Duplicates::default();
        ids.remember(id(1), 7, UnixMillis(100));
        assert_eq!(ids.forget_one(window, UnixMillis(109)), None);
        assert_eq!(ids.find(id(1)), Some(7));
        assert_eq!(ids.forget_one(window, UnixMillis(110)), Some((id(1), 7)));
        assert_eq!(ids.find(id(1)), None);
    }
}
