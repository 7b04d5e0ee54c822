//! A stream's state after a restart, row by row; rows of one kind may come in any order.

use connectome_actors::port::ConsumerConfig;
use connectome_codecs::{MessageId, UnixMillis};

use super::super::Now;
use super::super::consumer::ConsumerState;
use super::super::effects::Bell;
use super::super::messages::Message;
use super::super::record::{ConsumerNumber, MessageHead, PendingRecord};
use super::Stream;
use crate::streams::subject::Filter;

impl Stream {
    pub(crate) fn restore_last(&mut self, last: u64) {
        self.last = self.last.max(last);
        self.visible = self.last;
    }

    pub(crate) fn restore_message(&mut self, sequence: u64, mut head: MessageHead, now: Now) {
        self.restore_last(sequence);
        self.newest_at = self.newest_at.max(head.at);
        head.subject = self.messages.share(&head.subject);
        let remembered = head.at.after(self.config.duplicate_window) > now.wall;
        if let Some(id) = head.id.filter(|_| remembered) {
            self.duplicates.remember(id, sequence, head.at);
        }
        self.messages.insert(sequence, Message { head, body: None });
    }

    pub(crate) fn restore_id(&mut self, id: MessageId, sequence: u64, at: UnixMillis) {
        self.newest_at = self.newest_at.max(at);
        self.duplicates.remember(id, sequence, at);
    }

    /// # Errors
    /// What does not fit, in words.
    pub(crate) fn restore_consumer(
        &mut self,
        number: ConsumerNumber,
        config: ConsumerConfig,
        bell: Bell,
    ) -> Result<(), String> {
        let filter = Filter::parse(&config.filter).map_err(|error| error.to_string())?;
        self.list(ConsumerState::new(number, bell, config, filter, 1));
        Ok(())
    }

    pub(crate) fn restore_cursor(&mut self, number: ConsumerNumber, next: u64) {
        if let Some(consumer) = self.consumers.get_mut(&number) {
            consumer.looked_up_to(next);
        }
    }

    pub(crate) fn restore_pending(
        &mut self,
        number: ConsumerNumber,
        sequence: u64,
        record: PendingRecord,
        now: Now,
    ) {
        let Some(consumer) = self.consumers.get_mut(&number) else {
            return;
        };
        if self.messages.get(sequence).is_some() {
            consumer.restore(sequence, record, now);
        }
    }

    /// After the last row.
    pub(crate) fn restored(&mut self) {
        self.duplicates.sort();
    }
}
