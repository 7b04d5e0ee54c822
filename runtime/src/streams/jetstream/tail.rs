//! Live readers: read on from where one stands, and wait for a sign that there is more.
//!
//! The server keeps nothing for a tail, so it outlives restarts and elections, and reads work queues as well. The sign is a
//! copy of the next message itself, which the server sends to whoever subscribes to its subject; a sign that is missed costs
//! [`LOOK_EVERY`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use connectome_actors::port::{Start, Stored, StreamError, Tail};
use connectome_codecs::Sequence;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::Store;
use super::requests::subscribe;
use crate::streams::subject::Filter;

/// Messages read at once; they are the only ones that a tail holds.
const CHUNK: usize = 64;

/// How often a tail looks without a sign.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A sign comes with the message, which is kept a moment later: how long a tail looks again and again for it, at first after
/// the shorter pause.
const KEPT_AFTER: Duration = Duration::from_millis(100);
const KEPT_FIRST: Duration = Duration::from_millis(1);

/// A handle to a live reader.
#[derive(Debug)]
pub(super) struct Handle {
    store: Arc<Store>,
    stream: String,
    /// As the server names it.
    filter: String,
    /// Whether it wants everything that its stream takes: then a sequence that is not there was removed.
    wants_all: bool,
    next: u64,
    /// The newest sequence that was known when the tail last looked at its stream.
    newest: u64,
    /// How often the connection had been made by then.
    connected: u64,
    read: VecDeque<Result<Stored, StreamError>>,
    sign: Option<Subscriber>,
}

/// Begins to follow a stream.
pub(super) async fn open(
    store: &Arc<Store>,
    stream: &str,
    filter: &str,
    start: Start,
) -> Result<Handle, StreamError> {
    let wanted = Filter::parse(filter)?;
    let info = store.find(stream).await?;
    let kept = info.kept()?.stream(&store.names, stream);
    let first = info.state.first();
    let (next, missed) = match start {
        Start::First => (first, None),
        Start::New => (info.state.last_seq + 1, None),
        Start::At(sequence) => (sequence.0.max(first), gap(sequence.0.max(1), first)),
    };
    Ok(Handle {
        store: Arc::clone(store),
        stream: stream.to_owned(),
        filter: store.names.subject(filter),
        wants_all: kept.subjects.iter().all(|subject| wanted.covers(subject)),
        next,
        newest: info.state.last_seq,
        connected: store.requests.connection().counts().connected,
        read: missed.into_iter().map(Err).collect(),
        sign: None,
    })
}

/// What a reader that stands at `from` has missed when the next there is stands at `found`.
fn gap(from: u64, found: u64) -> Option<StreamError> {
    (from < found).then(|| StreamError::Gap { from: Sequence(from), to: Sequence(found - 1) })
}

impl Handle {
    /// Reads on; whether there was something.
    async fn look(&mut self) -> Result<bool, StreamError> {
        self.look_whether_it_began_anew().await?;
        let there = self.store.names.stream(&self.stream);
        let found = self.store.batch(&there, &self.filter, self.next.max(1), CHUNK).await?;
        let Some(found) = found else {
            // Made again, or not there for good.
            self.store.find(&self.stream).await?;
            return Ok(false);
        };
        for raw in found {
            let missed = gap(self.next, raw.sequence).filter(|_| self.wants_all);
            self.read.extend(missed.map(Err));
            self.next = raw.sequence + 1;
            self.newest = self.newest.max(raw.sequence);
            self.read.push_back(Ok(self.store.stored(raw)));
        }
        Ok(!self.read.is_empty())
    }

    /// A server that was away may have come back without the stream, and the stream be there again from its beginning, made
    /// by somebody who does not count as we do. Then this place in it means nothing.
    async fn look_whether_it_began_anew(&mut self) -> Result<(), StreamError> {
        let connected = self.store.requests.connection().counts().connected;
        if connected == self.connected {
            return Ok(());
        }
        let state = self.store.find(&self.stream).await?.state;
        if state.last_seq < self.newest {
            self.read.extend(gap(self.next, self.next + 1).map(Err));
            self.next = state.first();
        }
        (self.newest, self.connected) = (state.last_seq, connected);
        Ok(())
    }

    async fn look_or_wait(&mut self) -> Result<(), StreamError> {
        if !self.look().await? {
            self.wait().await?;
        }
        Ok(())
    }

    /// Waits for a sign, or until it is time to look again.
    async fn wait(&mut self) -> Result<(), StreamError> {
        let Some(sign) = &mut self.sign else {
            let mut sign = subscribe(self.store.requests.connection(), self.filter.clone()).await?;
            // One message is enough; a connection that is closed says so at the next request.
            drop(sign.unsubscribe_after(1).await);
            self.sign = Some(sign);
            // What came before the server knew of this is not signed: look once more.
            return Ok(());
        };
        let signed = timeout(LOOK_EVERY, sign.next()).await;
        if signed.is_ok() {
            self.sign = None;
            self.look_until_kept().await?;
        }
        Ok(())
    }

    async fn look_until_kept(&mut self) -> Result<(), StreamError> {
        let mut pause = KEPT_FIRST;
        while !self.look().await? && pause < KEPT_AFTER {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }
}

#[async_trait]
impl Tail for Handle {
    async fn next(&mut self) -> Result<Stored, StreamError> {
        loop {
            if let Some(next) = self.read.pop_front() {
                return next;
            }
            match self.look_or_wait().await {
                // A tail outlives its servers: it goes on when they are back.
                Ok(()) | Err(StreamError::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
