//! The task keeper: hears of every change of a task record and wakes whoever waits for it; writes the records of tasks that
//! were handed over here and found no worker soon.

use std::sync::Arc;

use connectome_codecs::TaskId;
use tokio_util::sync::CancellationToken;

use super::waiting::News;
use super::{record, unrecorded};
use crate::port::{Entry, StreamError};
use crate::router::Router;
use crate::service::Service;

/// One watch of the bucket for all handles and workers of a node.
pub(crate) struct TaskKeeper {
    pub(crate) router: Router,
}

impl Service for TaskKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = self.follow() => return ended.map_err(|error| error.to_string()),
            () = unrecorded::follow(&self.router) => {}
        }
        unrecorded::leave(&self.router).await;
        Ok(())
    }
}

impl TaskKeeper {
    /// Hears of every change, and ends with an error only.
    async fn follow(&self) -> Result<(), StreamError> {
        let mut watch = record::bucket(&self.router).await?.watch("").await?;
        loop {
            match watch.next().await {
                Ok(entry) => self.changed(&entry),
                // Whoever waits reads the record itself, so it is enough to wake everyone.
                Err(StreamError::Gap { .. }) => self.wake_all(),
                Err(error) => return Err(error),
            }
        }
    }

    fn changed(&self, entry: &Entry) {
        let Ok(id) = entry.key.parse::<TaskId>() else { return };
        let tasks = &self.router.inner().tasks;
        tasks.unrecorded.recorded(&id);
        if let Some(waiting) = tasks.waiting.get(&id) {
            waiting.heard(news(&self.router, entry));
        }
    }

    /// In the order of the tasks: a simulation must not see the order of a hash table.
    fn wake_all(&self) {
        let waiting = &self.router.inner().tasks.waiting;
        let mut tasks: Vec<TaskId> = waiting.iter().map(|entry| *entry.key()).collect();
        tasks.sort_unstable();
        for task in tasks {
            if let Some(waiting) = waiting.get(&task) {
                waiting.heard(News::Missed);
            }
        }
    }
}

fn news(router: &Router, entry: &Entry) -> News {
    match entry.value.as_ref().map(|value| record::decode(router, value)) {
        Some(Ok(record)) => News::Record(Arc::new(record), entry.revision),
        // Whoever reads the record itself is told why it can't be read.
        Some(Err(_)) => News::Missed,
        None => News::Gone,
    }
}
