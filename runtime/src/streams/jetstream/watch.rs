//! Following a bucket: an ephemeral consumer of its stream, made again whenever it is lost.
//!
//! Of each key only the newest message is kept, so a watch that is behind sees the newest. When its consumer is lost it goes
//! on behind what it has seen; keys whose marks are gone by then it finds by comparing.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use async_nats::Message;
use async_trait::async_trait;
use connectome_actors::port::{Entry, StreamError, Watch};
use connectome_codecs::{Revision, UnixMillis};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::acknowledge::Place;
use super::attempts::Repeat;
use super::bucket;
use super::config::nanos;
use super::names;
use super::pull::{Manner, Pulled, Pulls};
use super::requests::Request;
use crate::streams::embedded::sleeper::later;

/// Entries taken at once; they are the only ones that a watch holds.
const CHUNK: usize = 256;

/// A consumer that nobody has pulled from for so long is removed by the server.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The pause before a consumer that was lost is made again.
const LOST_PAUSE: Duration = Duration::from_millis(20);

/// How long leaving may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// A handle to a watch.
#[derive(Debug)]
pub(super) struct Handle {
    bucket: bucket::Handle,
    prefix: String,
    following: Option<Following>,
    /// Whether it was lost since it last compared.
    was_lost: bool,
    /// The newest revision that was seen.
    seen: u64,
    /// The keys that were told with a value.
    present: BTreeSet<String>,
    changes: VecDeque<Entry>,
}

/// The consumer.
#[derive(Debug)]
struct Following {
    pulls: Pulls,
    name: String,
    /// Deliveries so far: the next one is one more, or one was lost on its way.
    deliveries: u64,
}

/// Begins to follow the keys that begin with `prefix`.
pub(super) async fn open(bucket: bucket::Handle, prefix: &str) -> Result<Handle, StreamError> {
    let (prefix, changes, present) = (prefix.to_owned(), VecDeque::new(), BTreeSet::new());
    let mut watch = Handle { bucket, prefix, following: None, was_lost: false, seen: 0, present, changes };
    watch.follow().await?;
    Ok(watch)
}

impl Handle {
    /// Makes the consumer, behind what was seen.
    async fn follow(&mut self) -> Result<(), StreamError> {
        if self.was_lost {
            self.look_whether_it_began_anew().await?;
        }
        let store = self.bucket.store();
        let there = self.bucket.there();
        let name = store.requests.connection().client().new_inbox().replace('.', "-");
        let call = format!("CONSUMER.CREATE.{there}.{name}");
        let filter = self.bucket.subject(&names::keys_filter(&self.prefix));
        let body = json!({ "stream_name": there, "config": {
            "name": name,
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self.seen + 1,
            "filter_subject": filter,
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanos(IDLE_MAX),
        }});
        let made = store.api::<Value>(Repeat::Same, &call, &body).await?;
        made.map_err(|refusal| refusal.of_stream(there))?;
        let manner = Manner { start: 0, give_back: None, is_replicated: false };
        let pulls = Pulls::new(store.requests.connection(), there, &name, manner);
        self.following = Some(Following { pulls, name, deliveries: 0 });
        Ok(())
    }

    /// A server that was away may have come back without the bucket, and somebody who does not count as we do have made it
    /// again. Then everything in it is news.
    async fn look_whether_it_began_anew(&mut self) -> Result<(), StreamError> {
        if self.bucket.newest().await? < self.seen {
            self.seen = 0;
        }
        Ok(())
    }

    /// Takes what there is, or waits for it.
    async fn look(&mut self) -> Result<(), StreamError> {
        if self.following.is_none() {
            self.follow_again().await?;
        }
        if self.was_lost {
            self.compare().await?;
        }
        let Some(following) = &mut self.following else { return Ok(()) };
        match following.pulls.pull(CHUNK, later(Instant::now(), IDLE_MAX)).await? {
            Pulled::Messages(messages) => messages.into_iter().for_each(|message| self.came(message)),
            Pulled::Nothing => {}
            Pulled::Nobody | Pulled::Deleted | Pulled::Lost => self.lose(),
        }
        Ok(())
    }

    async fn follow_again(&mut self) -> Result<(), StreamError> {
        tokio::time::sleep(LOST_PAUSE).await;
        self.bucket.store().counters.resumed.add(1);
        self.follow().await
    }

    fn lose(&mut self) {
        self.following = None;
        self.was_lost = true;
    }

    /// Finds the keys that were removed while nobody followed, and whose marks are gone.
    async fn compare(&mut self) -> Result<(), StreamError> {
        // Asked before the entries are: what is not among them was removed by then.
        let last = self.bucket.newest().await?;
        let there = self.bucket.entries(&self.prefix).await?;
        let known: BTreeSet<&str> = there.iter().map(|entry| entry.key.as_str()).collect();
        let gone: Vec<String> =
            self.present.iter().filter(|key| !known.contains(key.as_str())).cloned().collect();
        for key in gone {
            self.present.remove(&key);
            let (revision, at) = (Revision(last.max(self.seen)), UnixMillis::default());
            self.changes.push_back(Entry { key, value: None, revision, at });
        }
        self.was_lost = false;
        Ok(())
    }

    fn came(&mut self, message: Message) {
        let (Some(place), Some(following)) = (Place::of(&message), &mut self.following) else { return };
        if place.delivery != following.deliveries + 1 {
            // One was lost on its way.
            return self.lose();
        }
        following.deliveries = place.delivery;
        self.seen = place.sequence;
        let is_mark = message.headers.as_ref().is_some_and(bucket::is_mark);
        let key = self.bucket.key(&message.subject);
        if !key.starts_with(&self.prefix) {
            return;
        }
        let was_present = if is_mark { self.present.remove(&key) } else { !self.present.insert(key.clone()) };
        if !is_mark || was_present {
            let value = (!is_mark).then_some(message.payload);
            let (revision, at) = (Revision(place.sequence), UnixMillis(place.at_ns / 1_000_000));
            self.changes.push_back(Entry { key, value, revision, at });
        }
    }
}

#[async_trait]
impl Watch for Handle {
    async fn next(&mut self) -> Result<Entry, StreamError> {
        loop {
            if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            match self.look().await {
                // A watch outlives its servers: it goes on when they are back.
                Ok(()) | Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(following) = self.following.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let store = std::sync::Arc::clone(self.bucket.store());
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.bucket.there(), following.name);
        runtime.spawn(async move {
            // The server removes it by itself later.
            drop(store.requests.tell(Request { subject, ..Request::default() }, LEAVE_MAX).await);
        });
    }
}
