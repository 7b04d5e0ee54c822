//! Following a bucket of the store that is served. In another session what it knows is compared with what is there.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use connectome_actors::port::{BucketConfig, Entry, StreamError, Watch};
use connectome_codecs::{Revision, UnixMillis};

use super::asking::{Client, Repeat};
use super::follower::{Follower, Heard};
use crate::streams::served::mirror::BucketHead;
use crate::streams::served::said::Ask;

/// A handle to a watch.
pub(super) struct Handle {
    follower: Follower,
    prefix: String,
    /// The newest revision that was told.
    seen: u64,
    /// The keys that were told with a value.
    present: BTreeSet<String>,
    /// Whether keys may have been removed unseen.
    compares: bool,
    ready: VecDeque<Result<Entry, StreamError>>,
}

/// Begins to follow the keys that begin with `prefix`.
pub(super) async fn open(
    client: &Arc<Client>,
    config: &BucketConfig,
    prefix: &str,
) -> Result<Handle, StreamError> {
    let (config, wanted) = (BucketHead::from(config.clone()), prefix.to_owned());
    let opening = move |handle| Ask::OpenWatch { handle, config: config.clone(), prefix: wanted.clone() };
    let (follower, _) = Follower::open(client, opening).await?;
    let (prefix, present, ready) = (prefix.to_owned(), BTreeSet::new(), VecDeque::new());
    Ok(Handle { follower, prefix, seen: 0, present, compares: false, ready })
}

impl Handle {
    /// Finds the keys that were removed while nobody followed.
    async fn compare(&mut self) -> Result<(), StreamError> {
        let keys = |handle| Ask::Keys { handle, prefix: self.prefix.clone() };
        let there: BTreeSet<String> =
            self.follower.place.ask(Repeat::Reads, keys).await?.names().into_iter().collect();
        // Each was removed behind all that was seen; and what comes under its key afterwards, behind that.
        let revision = Revision(self.seen + 1);
        for key in self.present.difference(&there).cloned().collect::<Vec<_>>() {
            self.present.remove(&key);
            let at = UnixMillis::default();
            self.ready.push_back(Ok(Entry { key, value: None, revision, at }));
        }
        self.compares = false;
        Ok(())
    }

    /// Takes a change, unless it was told before.
    fn came(&mut self, entry: Entry) {
        if entry.revision.0 <= self.seen {
            return;
        }
        self.seen = entry.revision.0;
        let is_news = match &entry.value {
            Some(_) => {
                self.present.insert(entry.key.clone());
                true
            }
            None => self.present.remove(&entry.key),
        };
        if is_news {
            self.ready.push_back(Ok(entry));
        }
    }
}

#[async_trait]
impl Watch for Handle {
    async fn next(&mut self) -> Result<Entry, StreamError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return next;
            }
            if self.compares {
                match self.compare().await {
                    // A watch outlives the node that serves: it goes on when that is back.
                    Ok(()) | Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => continue,
                    Err(error) => return Err(error),
                }
            }
            match self.follower.hear().await? {
                Heard::Anew => self.compares = true,
                Heard::Came(answered) => {
                    let trouble = answered.trouble();
                    answered.entries().into_iter().for_each(|entry| self.came(entry));
                    self.ready.extend(trouble.map(Err));
                }
            }
        }
    }
}
