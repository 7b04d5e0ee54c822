//! A store whose consumers take no faster than they may. The servers of pull consumers can't hold back, so this does.
//!
//! Each consumer that a node opens has the rate to itself; another node that opens the same one has its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{Consumer, ConsumerInfo, Delivery, DeliveryTag, Stored, StreamError};
use connectome_actors::protocol::Now;
use connectome_actors::protocol::ratelimit::RateLimit;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A consumer and its rate.
pub(crate) struct Limited {
    consumer: Box<dyn Consumer>,
    limit: Arc<Mutex<RateLimit>>,
    began: Instant,
}

impl Limited {
    /// Lets `per_second` messages through each second.
    pub(crate) fn new(consumer: Box<dyn Consumer>, per_second: u64) -> Limited {
        let limit = Arc::new(Mutex::new(RateLimit::per_second(per_second, Now::ZERO)));
        Limited { consumer, limit, began: Instant::now() }
    }

    fn now(&self) -> Now {
        Now::new(self.began.elapsed())
    }

    /// Waits until one may be taken, and says how many may; none when that is later than `end`.
    async fn allowed(&self, end: Instant) -> usize {
        loop {
            let wait = self.limit.lock().wait(self.now());
            if wait.is_zero() {
                let available = self.limit.lock().available(self.now());
                return usize::try_from(available).unwrap_or(usize::MAX);
            }
            let at = Instant::now() + wait;
            if at > end {
                tokio::time::sleep_until(end).await;
                return 0;
            }
            tokio::time::sleep_until(at).await;
        }
    }
}

#[async_trait]
impl Consumer for Limited {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let end = super::embedded::sleeper::later(Instant::now(), wait);
        let allowed = self.allowed(end).await;
        if allowed == 0 {
            return Ok(Vec::new());
        }
        let left = end.saturating_duration_since(Instant::now());
        let taken = self.consumer.fetch(max.min(allowed), left).await?;
        self.limit.lock().take(taken.len() as u64);
        Ok(taken)
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.ack(tag).await
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        self.consumer.nak(tag, delay).await
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.in_progress(tag).await
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.consumer.terminate(tag).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        self.consumer.exhausted().await
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        self.consumer.info().await
    }
}
