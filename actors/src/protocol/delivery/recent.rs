//! The last messages that were applied, by sequence and id.

use std::collections::{BTreeMap, VecDeque};

use connectome_codecs::{MessageId, Sequence};

use super::RECENT_MAX;

/// A bounded window with a look-up by id.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    order: VecDeque<(Sequence, MessageId)>,
    ids: BTreeMap<MessageId, Sequence>,
}

impl Recent {
    pub(super) fn new(kept: Vec<(Sequence, MessageId)>) -> Self {
        let mut recent = Self::default();
        kept.into_iter().for_each(|(sequence, id)| recent.push(sequence, id));
        recent
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.ids.contains_key(id)
    }

    pub(super) fn push(&mut self, sequence: Sequence, id: MessageId) {
        if self.order.len() >= RECENT_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        self.order.push_back((sequence, id));
        self.ids.insert(id, sequence);
    }

    /// Forgets what came after `cursor`: the state that held it is lost.
    pub(super) fn rewind(&mut self, cursor: Sequence) {
        while self.order.back().is_some_and(|(sequence, _)| *sequence > cursor)
            && let Some((_, id)) = self.order.pop_back()
        {
            self.ids.remove(&id);
        }
    }

    pub(super) fn up_to(&self, cursor: Sequence) -> Vec<(Sequence, MessageId)> {
        self.order.iter().copied().filter(|(sequence, _)| *sequence <= cursor).collect()
    }
}
