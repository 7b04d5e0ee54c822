//! Who waits for a task: woken by every change of its record that the task keeper hears of, and by its removal.
//!
//! A waiter is told what was heard since it began, so it need not ask the store. What it makes of it is in `handle` and
//! `worker`.

use std::sync::Arc;

use connectome_codecs::{Revision, TaskId, TaskRecord};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::router::Router;

/// What was heard of a task's record since somebody here began to listen.
#[derive(Debug, Clone, Default)]
pub(super) enum News {
    /// No change.
    #[default]
    Nothing,
    /// It was written; this is the newest.
    Record(Arc<TaskRecord>, Revision),
    /// It was removed, or has expired, or its bucket was lost.
    Gone,
    /// Something that was not understood, or missed: look.
    Missed,
}

/// What those who wait for one task share.
#[derive(Default)]
pub(super) struct Waiting {
    changed: Notify,
    news: Mutex<News>,
}

impl Waiting {
    pub(super) fn heard(&self, heard: News) {
        let mut news = self.news.lock();
        let is_older = match (&*news, &heard) {
            (News::Record(_, known), News::Record(_, revision)) => known >= revision,
            _ => false,
        };
        if !is_older {
            *news = heard;
        }
        drop(news);
        self.changed.notify_waiters();
    }
}

/// Somebody who waits for a task's record to change, for as long as this lives.
pub(super) struct Listening {
    router: Router,
    task: TaskId,
    waiting: Arc<Waiting>,
}

impl Listening {
    pub(super) fn begin(router: &Router, task: TaskId) -> Listening {
        let waiting = router.inner().tasks.waiting.entry(task).or_default().clone();
        Listening { router: router.clone(), task, waiting }
    }

    pub(super) fn changed(&self) -> Notified<'_> {
        self.waiting.changed.notified()
    }

    pub(super) fn news(&self) -> News {
        self.waiting.news.lock().clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The map's own and this one: nobody else listens.
        let waiting = &self.router.inner().tasks.waiting;
        waiting.remove_if(&self.task, |_, waiting| Arc::strong_count(waiting) <= 2);
    }
}
