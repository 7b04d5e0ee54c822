//! A handle to a consumer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{Consumer, ConsumerInfo, Delivery, DeliveryTag, Stored, StreamError};
use connectome_codecs::Sequence;
use tokio::time::Instant;

use super::commit::{Ticket, Urgency};
use super::core::effects::{Bell, Effects};
use super::core::record::{ConsumerNumber, Place};
use super::core::{Handed, Now, Stream, Taken};
use super::sleeper::{Sleeper, later};
use super::store::Store;
use super::stored;

/// A handle to a consumer.
pub(in crate::streams) struct Handle {
    store: Arc<Store>,
    sleeper: Arc<Sleeper>,
    place: Place,
    number: ConsumerNumber,
    name: String,
}

impl Handle {
    pub(super) fn new(
        store: Arc<Store>,
        place: Place,
        number: ConsumerNumber,
        bell: Bell,
        name: String,
    ) -> Self {
        let sleeper = store.sleeper(bell);
        Self { store, sleeper, place, number, name }
    }

    /// Runs an operation of this consumer's stream; `None` means that the consumer is gone.
    fn apply<T>(
        &self,
        operation: impl FnOnce(&mut Stream, ConsumerNumber, Now, &mut Effects) -> Option<T>,
    ) -> Result<(T, Ticket), StreamError> {
        self.store.apply(Urgency::Written, |core, now, effects| {
            let answer = operation(core.stream_at(self.place), self.number, now, effects);
            answer.ok_or_else(|| StreamError::NotFound { what: "consumer", name: self.name.clone() })
        })
    }

    /// Takes deliveries back that have not arrived where they were to go, as if they had not been made.
    pub(in crate::streams) fn take_back(&self, tags: &[DeliveryTag]) {
        let back: Vec<(u64, u32)> = tags.iter().map(|tag| (tag.sequence.0, tag.attempt)).collect();
        // A store that has failed takes nothing back: it gives nothing out either.
        let _ = self.apply(|stream, number, _, effects| {
            stream.take_back(number, &back, effects);
            Some(())
        });
    }

    /// Tells these exhausted messages again, as far as they are still kept.
    pub(in crate::streams) fn untell(&self, sequences: &[u64]) {
        // As above.
        let _ = self.apply(|stream, number, _, _| {
            stream.untell_exhausted(number, sequences);
            Some(())
        });
    }

    /// Waits for something to take. Returns early with nothing when a message ran out of deliveries.
    async fn take(&self, max: usize, deadline: Instant) -> Result<(Vec<Handed>, Ticket), StreamError> {
        let turn = self.sleeper.turn(deadline).await;
        loop {
            let (taken, ticket) = self.apply(|stream, number, now, effects| {
                let max = if turn.is_some() { max } else { 0 };
                stream.take(number, max, now, effects)
            })?;
            let Taken { handed, deadline: due, exhausted } = taken;
            if !handed.is_empty() || exhausted || turn.is_none() || Instant::now() >= deadline {
                return Ok((handed, ticket));
            }
            let due = due.map(|tick| self.store.instant(tick));
            self.sleeper.sleep(Some(due.map_or(deadline, |due| due.min(deadline)))).await;
        }
    }

    /// The deliveries with their bodies; those removed meanwhile are left out.
    fn deliveries(&self, handed: &[Handed]) -> Result<Vec<Delivery>, StreamError> {
        let mut deliveries = Vec::with_capacity(handed.len());
        for Handed { seen, attempt } in handed {
            let tag = DeliveryTag { sequence: Sequence(seen.sequence), attempt: *attempt };
            if let Some(message) = stored(&self.store, seen.clone())? {
                deliveries.push(Delivery { message, attempt: *attempt, tag });
            }
        }
        Ok(deliveries)
    }
}

#[async_trait]
impl Consumer for Handle {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let (handed, ticket) = self.take(max, later(Instant::now(), wait)).await?;
        if handed.is_empty() {
            return Ok(Vec::new());
        }
        let held = Held { handle: self, handed };
        self.store.settled(ticket).await?;
        let deliveries = self.deliveries(&held.handed)?;
        held.arrived();
        Ok(deliveries)
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.apply(|stream, number, _, effects| stream.settle(number, tag.sequence.0, effects)).map(|_| ())
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        let refused = self
            .apply(|stream, number, now, effects| stream.refuse(number, tag.sequence.0, delay, now, effects));
        refused.map(|_| ())
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.apply(|stream, number, now, effects| stream.extend(number, tag.sequence.0, now, effects))
            .map(|_| ())
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.ack(tag).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        let (seen, _) =
            self.apply(|stream, number, now, effects| stream.tell_exhausted(number, now, effects))?;
        let sequences: Vec<u64> = seen.iter().map(|seen| seen.sequence).collect();
        let told: Result<Vec<Stored>, StreamError> =
            seen.into_iter().filter_map(|seen| stored(&self.store, seen).transpose()).collect();
        if told.is_err() {
            self.untell(&sequences);
        }
        told
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        let info = self.apply(|stream, number, now, effects| {
            stream.expire(now, effects);
            stream.consumer_info(number, now, effects)
        });
        info.map(|(info, _)| info)
    }
}

/// Deliveries on their way to a worker. Dropped before they arrived, they go back, as if they had not been taken.
struct Held<'a> {
    handle: &'a Handle,
    handed: Vec<Handed>,
}

impl Held<'_> {
    fn arrived(mut self) {
        self.handed.clear();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.handed.is_empty() {
            return;
        }
        let tag = |handed: &Handed| DeliveryTag {
            sequence: Sequence(handed.seen.sequence),
            attempt: handed.attempt,
        };
        self.handle.take_back(&self.handed.iter().map(tag).collect::<Vec<_>>());
    }
}
