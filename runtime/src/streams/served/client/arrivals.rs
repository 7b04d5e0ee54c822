//! Hearing of what arrives in a stream of the store that is served. In another session it may have missed something, and says so.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_actors::port::{Arrival, Arrivals, StreamError};
use connectome_codecs::Sequence;

use super::asking::{Client, Repeat};
use super::follower::{Follower, Heard};
use crate::streams::served::said::Ask;
use crate::streams::subject::Filter;

/// A handle to what arrives.
pub(super) struct Handle {
    follower: Follower,
    filters: Vec<String>,
    /// One past the newest sequence that was told of.
    next: u64,
    /// Whether the node that serves has yet to be told what is listened to.
    is_deaf: bool,
    ready: VecDeque<Result<Arrival, StreamError>>,
}

/// Begins to hear of a stream.
pub(super) async fn open(client: &Arc<Client>, stream: &str) -> Result<Handle, StreamError> {
    let stream = stream.to_owned();
    let opening = move |handle| Ask::OpenArrivals { handle, stream: stream.clone() };
    let (follower, next) = Follower::open(client, opening).await?;
    Ok(Handle { follower, filters: Vec::new(), next, is_deaf: false, ready: VecDeque::new() })
}

impl Handle {
    async fn say(&self, filter: &str) -> Result<(), StreamError> {
        let listen = |handle| Ask::Listen { handle, filter: filter.to_owned() };
        self.follower.place.ask(Repeat::Same, listen).await.map(drop)
    }

    /// Says again what is listened to.
    async fn say_all(&mut self) -> Result<(), StreamError> {
        for filter in &self.filters {
            self.say(filter).await?;
        }
        self.is_deaf = false;
        self.ready.push_back(Ok(Arrival::Missed { from: Sequence(self.next) }));
        Ok(())
    }
}

#[async_trait]
impl Arrivals for Handle {
    async fn listen(&mut self, filter: &str) -> Result<(), StreamError> {
        Filter::parse(filter)?;
        self.say(filter).await?;
        self.filters.push(filter.to_owned());
        Ok(())
    }

    async fn next(&mut self) -> Result<Arrival, StreamError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return next;
            }
            if self.is_deaf {
                match self.say_all().await {
                    Ok(()) | Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            match self.follower.hear().await? {
                Heard::Anew => self.is_deaf = true,
                Heard::Came(answered) => {
                    let trouble = answered.trouble();
                    for arrival in answered.arrivals() {
                        if let Arrival::Stored { sequence, .. } = &arrival {
                            self.next = self.next.max(sequence.0 + 1);
                        }
                        self.ready.push_back(Ok(arrival));
                    }
                    self.ready.extend(trouble.map(Err));
                }
            }
        }
    }
}
