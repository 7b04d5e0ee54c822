//! A live reader of a stream of the store that is served. In another session it goes on behind what it has read.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_actors::port::{Start, Stored, StreamError, Tail};
use connectome_codecs::Sequence;
use parking_lot::Mutex;

use super::asking::Client;
use super::follower::{Follower, Heard};
use crate::streams::served::said::{Ask, Begin};

/// A handle to a live reader.
pub(super) struct Handle {
    follower: Follower,
    /// Where it begins in the next session.
    next: Arc<Mutex<Start>>,
    ready: VecDeque<Result<Stored, StreamError>>,
}

/// Begins to follow.
pub(super) async fn open(
    client: &Arc<Client>,
    stream: &str,
    filter: &str,
    start: Start,
) -> Result<Handle, StreamError> {
    let next = Arc::new(Mutex::new(start));
    let (stream, filter, from) = (stream.to_owned(), filter.to_owned(), next.clone());
    let opening = move |handle| {
        let (stream, filter, start) = (stream.clone(), filter.clone(), Begin::from(*from.lock()));
        Ask::OpenTail { handle, stream, filter, start }
    };
    let (follower, begins) = Follower::open(client, opening).await?;
    if start == Start::New {
        *next.lock() = Start::At(Sequence(begins));
    }
    Ok(Handle { follower, next, ready: VecDeque::new() })
}

impl Handle {
    fn read_to(&self, sequence: Sequence) {
        *self.next.lock() = Start::At(sequence.next());
    }
}

#[async_trait]
impl Tail for Handle {
    async fn next(&mut self) -> Result<Stored, StreamError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return next;
            }
            let Heard::Came(answered) = self.follower.hear().await? else { continue };
            let trouble = answered.trouble();
            for stored in answered.messages() {
                self.read_to(stored.sequence);
                self.ready.push_back(Ok(stored));
            }
            if let Some(error) = trouble {
                if let StreamError::Gap { to, .. } = &error {
                    self.read_to(*to);
                }
                self.ready.push_back(Err(error));
            }
        }
    }
}
