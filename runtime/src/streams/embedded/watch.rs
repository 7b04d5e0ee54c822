//! A handle to a watch of a bucket.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{Entry, StreamError, Watch};
use connectome_codecs::{Revision, UnixMillis};
use tokio::time::Instant;

use super::bucket::value;
use super::commit::Urgency;
use super::core::effects::Bell;
use super::core::record::Place;
use super::core::{Change, Now};
use super::sleeper::{Sleeper, later};
use super::store::Store;

/// A handle to a watch.
pub(super) struct Handle {
    store: Arc<Store>,
    sleeper: Arc<Sleeper>,
    place: Place,
    bell: Bell,
}

impl Handle {
    pub(super) fn new(store: Arc<Store>, place: Place, bell: Bell) -> Self {
        let sleeper = store.sleeper(bell);
        Self { store, sleeper, place, bell }
    }

    /// The next change, or when time alone will bring one.
    fn look(&self) -> Result<(Option<Change>, Option<Instant>), StreamError> {
        let looked = self.store.apply(Urgency::Written, |core, now, effects| {
            let bucket = core.bucket_at(self.place);
            bucket.expire(now, effects);
            let change = bucket.next_change(self.bell)?;
            Ok((change, bucket.deadline().map(|at| moment(at, now))))
        });
        looked.map(|(looked, _)| looked)
    }

    /// The change with its value; `None` when the key was written again meanwhile, which is a change to come.
    fn bring(&self, change: Change) -> Result<Option<Entry>, StreamError> {
        let Change { key, head, found } = change;
        let value = match found {
            Some(found) => match value(&self.store, &found)? {
                Some(value) => Some(value),
                None => return Ok(None),
            },
            None => None,
        };
        let revision = Revision(head.revision);
        Ok(Some(Entry { key: key.as_ref().to_owned(), value, revision, at: head.at }))
    }
}

#[async_trait]
impl Watch for Handle {
    async fn next(&mut self) -> Result<Entry, StreamError> {
        loop {
            let (change, deadline) = self.look()?;
            let Some(change) = change else {
                self.sleeper.sleep(deadline).await;
                continue;
            };
            if let Some(entry) = self.bring(change)? {
                return Ok(entry);
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.store.forget_sleeper(self.bell);
        // A store that has failed needs no tidying.
        let _ = self.store.apply(Urgency::Written, |core, _, _| {
            core.bucket_at(self.place).unwatch(self.bell);
            Ok(())
        });
    }
}

/// When the wall clock will show `at`; never at once, since it may tick more coarsely than the timer.
fn moment(at: UnixMillis, now: Now) -> Instant {
    later(Instant::now(), at.since(now.wall).max(Duration::from_millis(1)))
}
