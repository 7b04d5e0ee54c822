//! The live readers of a stream.

use connectome_actors::port::{Start, StreamError};
use connectome_codecs::Sequence;

use super::super::effects::Bell;
use super::super::follower::{Follower, Gap};
use super::super::reading::Seen;
use super::Stream;
use crate::streams::subject::Filter;

/// Messages a live reader takes from the store at once; it asks for more when it has given these out.
const CHUNK: usize = 64;

impl Stream {
    /// Adds a live reader under its bell.
    pub(crate) fn follow(&mut self, filter: Filter, start: Start, bell: Bell) {
        let first = self.first();
        let (next, missed) = match start {
            Start::First => (first, None),
            Start::New => (self.last + 1, None),
            Start::At(sequence) => (sequence.0, gap_before(sequence.0.max(1), first)),
        };
        self.followers.insert(bell, Follower::new(filter, next, missed));
    }

    /// Removes a live reader.
    pub(crate) fn unfollow(&mut self, bell: Bell) {
        self.followers.remove(&bell);
    }

    /// The next messages for a live reader; none when it has seen all there are.
    pub(crate) fn read_on(&mut self, bell: Bell) -> Result<Vec<Seen>, StreamError> {
        let Some(follower) = self.followers.get_mut(&bell) else {
            return Ok(Vec::new());
        };
        let found = follower.read(&self.messages, self.visible, CHUNK).map_err(told)?;
        let messages = found.into_iter().filter_map(|s| self.messages.get(s).map(|message| (s, message)));
        Ok(messages.map(|(sequence, message)| self.see(sequence, message)).collect())
    }
}

/// What a reader that wants to begin at `wanted` has missed.
fn gap_before(wanted: u64, first: u64) -> Option<Gap> {
    (wanted < first).then(|| Gap { from: wanted, to: first - 1 })
}

fn told(gap: Gap) -> StreamError {
    StreamError::Gap { from: Sequence(gap.from), to: Sequence(gap.to) }
}
