//! Reading the stream by the agent's subject, as far as there is room; and removing what is done with.

use std::sync::Arc;

use connectome_codecs::{MessageId, Sequence, UnixMillis};
use tokio::time::sleep;

use super::super::credit::{Ahead, Credit};
use super::super::{AGENT_MESSAGES, subject_of};
use super::{Event, RETRY, Work};
use crate::port::{Stored, StreamError};
use crate::protocol::delivery::{IN_HAND_MAX, Input};

/// Where a lane stands in its stream.
pub(super) struct Reading {
    next: Sequence,
    /// The newest message that the lane was told of.
    newest: Sequence,
    /// What it was when the read that is under way began, and how many messages that may bring.
    under_way: Option<(Sequence, usize)>,
    /// Whether there may be more, as far as was read.
    more: bool,
    ahead: Ahead,
}

impl Reading {
    pub(super) fn new(credit: Arc<Credit>) -> Reading {
        let (next, newest) = (Sequence(1), Sequence(0));
        Reading { next, newest, under_way: None, more: true, ahead: Ahead::new(credit) }
    }

    /// Begins after the cursor with a page that was read already, and says how many messages of it are taken; `is_whole`: there
    /// were no more.
    pub(super) fn begin(&mut self, cursor: Sequence, waiting: usize, is_whole: bool) -> usize {
        self.next = cursor.next();
        let waiting = waiting.min(IN_HAND_MAX);
        let taken = waiting.min(1) + self.ahead.take(waiting.saturating_sub(1));
        self.under_way = Some((self.newest, taken + usize::from(is_whole && taken == waiting)));
        taken
    }

    pub(super) fn arrived(&mut self, newest: Sequence) {
        self.newest = self.newest.max(newest);
    }

    /// How many messages to read now, with so many in hand and room for so many more.
    fn wants(&mut self, in_hand: usize, room: usize) -> usize {
        if self.under_way.is_some() || room == 0 || !(self.more || self.newest >= self.next) {
            return 0;
        }
        let first = usize::from(in_hand == 0);
        first + self.ahead.take(room - first)
    }

    /// Notes what a read has brought.
    fn took(&mut self, read: &[Stored]) {
        let Some((told, wanted)) = self.under_way.take() else { return };
        self.more = read.len() >= wanted;
        if let Some(last) = read.last() {
            self.next = last.sequence.next();
        }
        if !self.more && told == self.newest {
            // Whoever told of it was right at the time: it is here, or somebody else has removed it.
            self.newest = Sequence(0);
        }
    }
}

impl Work {
    /// Begins to read on, where there is something to read and room for it.
    pub(super) fn read_on(&mut self) {
        let room = self.protocol.room().saturating_sub(self.removing);
        let wanted = self.reading.wants(self.messages.len(), room);
        if wanted == 0 {
            return;
        }
        self.reading.under_way = Some((self.reading.newest, wanted));
        let (router, from) = (self.router.clone(), self.reading.next);
        let subject = subject_of(&router, &self.cell.name);
        self.begin(async move {
            let read = router.streams().read(AGENT_MESSAGES, &subject, from, wanted).await;
            if read.is_err() {
                sleep(RETRY).await;
            }
            Event::Read(read)
        });
    }

    #[cfg_attr(not(feature = "planted-bugs"), expect(unused_mut, reason = "only a planted bug changes it"))]
    pub(super) fn read(&mut self, read: Result<Vec<Stored>, StreamError>) {
        let mut read = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(agent = %self.cell.name, %error, "the mail could not be read; trying again");
                (self.reading.under_way, self.reading.more) = (None, true);
                return self.release();
            }
        };
        self.reading.took(&read);
        #[cfg(feature = "planted-bugs")]
        if self.router.has_bug(crate::planted::Planted::Reorders) {
            read.reverse();
        }
        for stored in read {
            let (sequence, id) = (stored.sequence, id_of(&stored));
            self.messages.insert(sequence, stored);
            self.tell(Input::Read { sequence, id });
        }
        self.release();
    }

    /// Gives back the credit for what is not in hand.
    fn release(&mut self) {
        self.reading.ahead.keep(self.messages.len().saturating_sub(1));
    }

    pub(super) fn remove(&mut self, sequence: Sequence) {
        let stored = self.messages.remove(&sequence);
        let letter = self.letters.remove(&sequence);
        if self.reading.under_way.is_none() {
            self.release();
        }
        self.removing += 1;
        let (router, credit, stop) = (self.router.clone(), self.credit.clone(), self.stop.clone());
        let opener = self.opener.clone();
        self.begin(async move {
            if !opener.used_up(letter, stored).await {
                return Event::Removed;
            }
            let _turn = credit.removal().await;
            // What a lane that is told to stop can't remove is removed by the next one.
            while let Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) =
                router.streams().delete(AGENT_MESSAGES, sequence).await
                && !stop.is_cancelled()
            {
                sleep(RETRY).await;
            }
            Event::Removed
        });
    }
}

/// A message without an id, from a foreign hand, is known by its place.
pub(super) fn id_of(stored: &Stored) -> MessageId {
    stored.id.unwrap_or_else(|| MessageId::from_parts(UnixMillis(0), u128::from(stored.sequence.0)))
}
