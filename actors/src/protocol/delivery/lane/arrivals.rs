//! What comes in, what there is no room for, and what is acknowledged.

use connectome_codecs::Sequence;

use super::super::{Action, EXPECTED_MAX, IN_HAND_MAX};
use super::{Held, Lane, Mark, Step};

impl Lane {
    pub(super) fn arrived(&mut self, sequence: Sequence, message: Held) {
        self.fetching.take_if(|fetching| *fetching == sequence);
        let delivered = message.delivered;
        if sequence <= self.saved.min(self.applied) {
            return self.ack(sequence, delivered);
        }
        if self.detached {
            return self.nak(sequence, delivered);
        }
        if let Some(held) = self.hand.get_mut(&sequence) {
            held.delivered |= delivered;
        } else if self.hand.len() < IN_HAND_MAX || self.make_room(sequence) {
            self.expected.remove(&sequence);
            self.hand.insert(sequence, message);
        } else {
            self.give_back(sequence, delivered);
        }
    }

    /// What may have been delivered to nobody comes before anything newer, like what was waiting when the lane was
    /// opened.
    pub(super) fn missed(&mut self, waiting: Vec<Sequence>) {
        let unknown = waiting.into_iter().filter(|s| *s > self.applied && !self.hand.contains_key(s));
        self.expected
            .extend(unknown.take(EXPECTED_MAX.saturating_sub(self.expected.len())).collect::<Vec<_>>());
    }

    /// Gives back the newest message in hand for an older one, if it is newer.
    pub(super) fn make_room(&mut self, sequence: Sequence) -> bool {
        let needed = match self.step {
            Step::Handling(head) | Step::SettingAside(head) => sequence.max(head),
            Step::Idle => sequence.max(self.applied),
        };
        let newest = self.hand.last_entry().filter(|newest| *newest.key() > needed);
        let Some(newest) = newest else { return false };
        let (newest, held) = newest.remove_entry();
        self.give_back(newest, held.delivered);
        true
    }

    /// Past [`EXPECTED_MAX`] a message is given back and not remembered: its consumer has a larger bound than it may.
    pub(super) fn give_back(&mut self, sequence: Sequence, delivered: bool) {
        if self.expected.len() < EXPECTED_MAX {
            self.expected.insert(sequence);
        }
        self.nak(sequence, delivered);
    }

    pub(super) fn gone(&mut self, sequence: Sequence) {
        self.fetching.take_if(|fetching| *fetching == sequence);
        self.expected.remove(&sequence);
    }

    pub(super) fn saved(&mut self, cursor: Sequence) {
        let Some(saving) = self.saving.take_if(|saving| saving.cursor == cursor) else {
            return;
        };
        self.saved = self.saved.max(cursor);
        if let Some((trial, mark)) = &mut self.trial
            && saving.trial == Some(*trial)
        {
            *mark = Mark::Saved;
        }
        self.settle();
    }

    /// Acknowledges what is both saved and in the agent's memory.
    pub(super) fn settle(&mut self) {
        let settled = self.saved.min(self.applied);
        while let Some(first) = self.hand.first_entry().filter(|first| *first.key() <= settled) {
            let (sequence, held) = first.remove_entry();
            self.ack(sequence, held.delivered);
        }
    }

    pub(super) fn ack(&mut self, sequence: Sequence, delivered: bool) {
        if delivered {
            self.actions.push(Action::Ack { sequence });
        }
    }

    pub(super) fn nak(&mut self, sequence: Sequence, delivered: bool) {
        if delivered {
            self.actions.push(Action::Nak { sequence });
        }
    }

    pub(super) fn detach(&mut self) {
        (self.up, self.detached) = (false, true);
        self.leave_agent();
        self.expected.clear();
        for (sequence, held) in std::mem::take(&mut self.hand) {
            if sequence > self.applied {
                self.nak(sequence, held.delivered);
            }
        }
    }
}
