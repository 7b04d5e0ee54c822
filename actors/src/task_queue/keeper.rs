//! The task keeper: hears of every change of a task record and wakes whoever waits for it.

use connectome_codecs::TaskId;
use tokio_util::sync::CancellationToken;

use super::record;
use crate::port::{Entry, StreamError};
use crate::router::Router;
use crate::service::Service;

/// One watch of the bucket for all handles and workers of a node.
pub(crate) struct TaskKeeper {
    pub(crate) router: Router,
}

impl Service for TaskKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let bucket = record::bucket(&self.router).await.map_err(|error| error.to_string())?;
        let mut watch = bucket.watch("").await.map_err(|error| error.to_string())?;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                entry = watch.next() => match entry {
                    Ok(entry) => self.changed(&entry),
                    // Whoever waits reads the record itself, so it is enough to wake everyone.
                    Err(StreamError::Gap { .. }) => self.wake_all(),
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}

impl TaskKeeper {
    fn changed(&self, entry: &Entry) {
        let Ok(id) = entry.key.parse::<TaskId>() else { return };
        if let Some(waiting) = self.router.inner().tasks.waiting.get(&id) {
            // A record that can't be read is told by whoever reads it itself.
            let record = entry.value.as_ref().and_then(|value| record::decode(value).ok());
            waiting.heard(record.map(|record| (record, entry.revision)));
        }
    }

    /// In the order of the tasks: a simulation must not see the order of a hash table.
    fn wake_all(&self) {
        let waiting = &self.router.inner().tasks.waiting;
        let mut tasks: Vec<TaskId> = waiting.iter().map(|entry| *entry.key()).collect();
        tasks.sort_unstable();
        for task in tasks {
            if let Some(waiting) = waiting.get(&task) {
                waiting.heard(None);
            }
        }
    }
}
