//! Answers in pieces: the sink a handler pushes items into, and the stream its caller reads them from.
//!
//! The reader's pace is the writer's: on one node a bounded channel holds the window, between nodes the reader grants
//! credit as it reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::{CorrelationId, NodeId, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::error::{CallError, HandlerError};
use crate::router::Router;
use crate::scope;

/// Items under way to a reader at the most: enough to hide a round trip, few enough to hold in memory a thousand times.
pub const STREAM_WINDOW: usize = 32;

/// Where a handler of a streaming call puts the pieces of its answer.
pub struct ItemSink<T> {
    way: Way<T>,
}

enum Way<T> {
    Near(mpsc::Sender<T>),
    Far(RemoteItems),
    Nobody,
}

/// The way of the items of one call to the node that reads them.
#[derive(Clone)]
pub(crate) struct RemoteItems {
    pub(crate) router: Router,
    pub(crate) reader: NodeId,
    pub(crate) correlation: CorrelationId,
    pub(crate) credit: Arc<Semaphore>,
    pub(crate) number: Arc<std::sync::atomic::AtomicU64>,
}

impl<T: Serialize + Send + 'static> ItemSink<T> {
    pub(crate) fn near(items: mpsc::Sender<T>) -> ItemSink<T> {
        ItemSink { way: Way::Near(items) }
    }

    pub(crate) fn far(items: RemoteItems) -> ItemSink<T> {
        ItemSink { way: Way::Far(items) }
    }

    pub(crate) fn nobody() -> ItemSink<T> {
        ItemSink { way: Way::Nobody }
    }

    /// Gives one piece, waiting until the reader has room for it.
    ///
    /// # Errors
    /// When the reader has gone away: there is no use in going on.
    pub async fn push(&self, item: T) -> Result<(), HandlerError> {
        let gone = || HandlerError::rejected("the reader of this stream has gone away");
        match &self.way {
            Way::Near(items) => items.send(item).await.map_err(|_| gone()),
            Way::Far(items) => {
                items.credit.acquire().await.map_err(|_| gone())?.forget();
                let body = wire::encode(&item).map_err(|e| HandlerError::rejected(e.to_string()))?;
                items.router.clone().send_item(items, body).await
            }
            Way::Nobody => {
                Err(HandlerError::rejected("nobody reads: the message was not sent with `stream`"))
            }
        }
    }
}

/// The pieces of an answer, as they come.
///
/// ```no_run
/// # use connectome_actors::{AgentRef, CallError, Message};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Message, Serialize, Deserialize)]
/// # #[message(name = "count_to", item = u64, crate = connectome_actors)]
/// # struct CountTo(u64);
/// # async fn read(counter: AgentRef) -> Result<(), CallError> {
/// let mut numbers = counter.stream(CountTo(3)).await?;
/// while let Some(number) = numbers.next().await? {
///     println!("{number}");
/// }
/// # Ok(()) }
/// ```
#[must_use = "a stream that is dropped cancels the call"]
pub struct ItemStream<T, R> {
    source: Source<T, R>,
    limit: Limit,
    reply: Option<R>,
    ended: bool,
}

/// How long the whole answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) until: Instant,
    pub(crate) within: Duration,
}

enum Source<T, R> {
    Near { items: mpsc::Receiver<T>, end: oneshot::Receiver<Result<R, CallError>> },
    Far { items: mpsc::Receiver<Bytes>, end: oneshot::Receiver<Result<Bytes, CallError>>, grant: Grant },
}

/// Gives the writer on another node room for what was read.
pub(crate) struct Grant {
    pub(crate) router: Router,
    pub(crate) writer: NodeId,
    pub(crate) correlation: CorrelationId,
    pub(crate) owed: u32,
    pub(crate) ended: bool,
}

impl<T: DeserializeOwned, R: DeserializeOwned> ItemStream<T, R> {
    pub(crate) fn near(
        items: mpsc::Receiver<T>,
        end: oneshot::Receiver<Result<R, CallError>>,
        limit: Limit,
    ) -> Self {
        ItemStream { source: Source::Near { items, end }, limit, reply: None, ended: false }
    }

    pub(crate) fn far(
        items: mpsc::Receiver<Bytes>,
        end: oneshot::Receiver<Result<Bytes, CallError>>,
        grant: Grant,
        limit: Limit,
    ) -> Self {
        ItemStream { source: Source::Far { items, end, grant }, limit, reply: None, ended: false }
    }

    /// The next piece; `None` after the last one.
    ///
    /// # Errors
    /// How the call failed, once; the pieces that came before it are good.
    pub async fn next(&mut self) -> Result<Option<T>, CallError> {
        if self.ended {
            return Ok(None);
        }
        let limit = self.limit;
        let item = match timeout_at(limit.until, self.advance()).await {
            Ok(item) => item,
            Err(_) => Err(CallError::TimedOut(limit.within)),
        };
        self.ended = !matches!(item, Ok(Some(_)));
        item
    }

    async fn advance(&mut self) -> Result<Option<T>, CallError> {
        let item = match &mut self.source {
            Source::Near { items, .. } => items.recv().await,
            Source::Far { items, grant, .. } => match items.recv().await {
                Some(body) => Some(grant.decode(&body)?),
                None => None,
            },
        };
        if item.is_none() {
            self.reply = Some(self.finish().await?);
        }
        Ok(item)
    }

    /// What the handler answered at the end, once `next` has returned `None`.
    pub fn reply(&mut self) -> Option<R> {
        self.reply.take()
    }

    async fn finish(&mut self) -> Result<R, CallError> {
        let crashed = |_| CallError::Crashed("it ended without an answer".to_owned());
        match &mut self.source {
            Source::Near { end, .. } => end.await.map_err(crashed)?,
            Source::Far { end, grant, .. } => {
                let body = end.await.map_err(crashed)?;
                grant.ended = true;
                decode(&grant.router, &body?)
            }
        }
    }
}

fn decode<T: DeserializeOwned>(router: &Router, body: &[u8]) -> Result<T, CallError> {
    scope::binding(router, || wire::decode(body)).map_err(|error| CallError::BadReply(error.to_string()))
}

impl Grant {
    fn decode<T: DeserializeOwned>(&mut self, body: &[u8]) -> Result<T, CallError> {
        self.owed += 1;
        // Half a window at a time: one grant for many items, and the writer never runs dry meanwhile.
        if self.owed as usize >= STREAM_WINDOW / 2 {
            let items = std::mem::take(&mut self.owed);
            self.router.grant_credit(self.writer, self.correlation, items);
        }
        decode(&self.router, body)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if !self.ended {
            self.router.forget_call(self.correlation, self.writer);
        }
    }
}
