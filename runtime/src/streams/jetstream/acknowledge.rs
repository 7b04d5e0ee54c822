//! Telling a consumer what became of a message: done, not done, still at work, never again.
//!
//! The subject that an acknowledgement goes to names the message, so it can be written for any tag. The server answers each,
//! so that whoever looks next sees it done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Message;
use connectome_actors::port::{ConsumerConfig, DeliveryTag, StreamError};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::api::{self, Refusal};
use super::attempts::Repeat;
use super::config::nanos;
use super::consumer::Hub;
use super::requests::{Lost, Request};

/// How long the server may take to say that a message which was refused for the last time has run out of deliveries.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(500);

/// Where a delivery stands: the numbers at the end of its reply subject,
/// `$JS.ACK.…<attempt>.<stream sequence>.<consumer sequence>.<nanoseconds>.<waiting>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) attempt: u32,
    pub(super) sequence: u64,
    pub(super) delivery: u64,
    pub(super) at_ns: u64,
    pub(super) waiting: u64,
}

impl Place {
    pub(super) fn of(message: &Message) -> Option<Place> {
        Place::read(message.reply.as_deref()?)
    }

    fn read(reply: &str) -> Option<Place> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        // Without and with a domain and an account before the stream.
        let first = match tokens.len() {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let number = |at: usize| tokens.get(first + at)?.parse::<u64>().ok();
        Some(Place {
            attempt: u32::try_from(number(0)?).ok()?,
            sequence: number(1)?,
            delivery: number(2)?,
            at_ns: number(3)?,
            waiting: number(4)?,
        })
    }
}

impl Hub {
    pub(super) async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.say(tag, "+ACK".to_owned()).await?;
        self.ended(tag).await
    }

    pub(super) async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.say(tag, "+TERM".to_owned()).await?;
        self.ended(tag).await
    }

    pub(super) async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.say(tag, "+WPI".to_owned()).await
    }

    pub(super) async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        let config = self.config.lock().clone();
        if config.max_deliver.is_some_and(|max| tag.attempt >= max) {
            return self.refuse_last(tag).await;
        }
        if delay.is_zero() {
            return self.say(tag, "-NAK".to_owned()).await;
        }
        let delay = json!({ "delay": delay_ns(&config, tag.attempt, delay) });
        self.say(tag, format!("-NAK {delay}")).await
    }

    /// Refuses the last delivery. The server finds out that it was the last when somebody pulls: so this does, for one byte,
    /// in which no message fits.
    async fn refuse_last(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.say(tag, "-NAK".to_owned()).await?;
        let (stream, consumer) = self.there();
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let pull = json!({ "batch": 1, "max_bytes": 1, "no_wait": true, "expires": nanos(EXHAUSTED_WAIT) });
        let request = Request { subject, headers: None, body: pull.to_string().into() };
        let noted = self.exhausted.wait_for(tag.sequence.0);
        let pull = async {
            drop(self.store.requests.ask(request, EXHAUSTED_WAIT).await);
            std::future::pending::<()>().await;
        };
        let either = async {
            tokio::select! { biased; () = noted => {}, () = pull => {} }
        };
        // A message that somebody has acknowledged meanwhile does not run out of deliveries.
        drop(timeout(EXHAUSTED_WAIT, either).await);
        Ok(())
    }

    async fn ended(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        if self.is_queue {
            self.leaving.begins(tag.sequence.0);
        }
        self.exhausted.ended(&self.store, tag.sequence.0).await
    }

    /// Says it, and waits until the server has heard.
    async fn say(&self, tag: DeliveryTag, word: String) -> Result<(), StreamError> {
        if tag.sequence.0 < self.begins.load(Ordering::Relaxed) {
            // Lost with the stream that it came from.
            return Ok(());
        }
        let Some(delivery) = self.delivery_of(tag).await? else { return Ok(()) };
        let (stream, consumer) = self.there();
        let DeliveryTag { sequence, attempt } = tag;
        let subject = format!("$JS.ACK.{stream}.{consumer}.{attempt}.{sequence}.{delivery}.0.0");
        let request = Request { subject, headers: None, body: word.into() };
        let said = self.store.persist(Repeat::Same, |patience| {
            let request = request.clone();
            async move {
                match self.store.requests.ask(request, patience).await {
                    Ok(message) if message.payload.is_empty() => Ok(Ok(())),
                    Ok(message) => Ok(api::read::<Value>(&message.payload)?.map(drop)),
                    Err(Lost::Nobody) => {
                        // Either the consumer is gone, or it has no leader now.
                        self.look().await?;
                        Err(Lost::Nobody.into())
                    }
                    Err(lost) => Err(lost.into()),
                }
            }
        });
        said.await?.map_err(|refusal: Refusal| refusal.of_consumer(&self.stream, &self.name))
    }

    /// A number of this consumer's deliveries that the server takes for this message; none when it was never delivered, which
    /// the server does not answer.
    async fn delivery_of(&self, tag: DeliveryTag) -> Result<Option<u64>, StreamError> {
        let newest = *self.newest.lock();
        if tag.sequence.0 <= newest.sequence {
            return Ok(Some(newest.delivery));
        }
        let delivered = self.look().await?.delivered;
        Ok((tag.sequence.0 <= delivered.stream_seq).then_some(delivered.consumer_seq))
    }
}

/// The delay to write for a wait of `delay`: the server counts it from `ack_wait`, which is the first step of a back-off, and
/// compares it with the step of the attempt.
fn delay_ns(config: &ConsumerConfig, attempt: u32, delay: Duration) -> i64 {
    let signed = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 2);
    let Some(&first) = config.backoff.first() else { return signed(delay) };
    let step = config.backoff.get(attempt.saturating_sub(1) as usize).or(config.backoff.last());
    signed(delay).saturating_add(signed(first)).saturating_sub(signed(*step.unwrap_or(&first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both forms of the subject are read, and nothing else is.
    #[test]
    fn places_are_read() {
        let place = Place { attempt: 2, sequence: 30, delivery: 41, at_ns: 5, waiting: 6 };
        assert_eq!(Place::read("$JS.ACK.S.c.2.30.41.5.6"), Some(place));
        assert_eq!(Place::read("$JS.ACK._.hash.S.c.2.30.41.5.6"), Some(place));
        assert_eq!(Place::read("$JS.ACK._.hash.S.c.2.30.41.5.6.token"), Some(place));
        for other in ["", "_INBOX.1", "$JS.ACK.S.c", "$JS.ACK.S.c.2.x.41.5.6"] {
            assert_eq!(Place::read(other), None, "{other}");
        }
    }
}
