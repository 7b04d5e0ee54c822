//! The requester's side of a task: its result, its record, its cancellation.

use std::marker::PhantomData;

use connectome_codecs::{TaskId, TaskRecord, TaskState, wire};

use super::record::{self, Stepped};
use crate::message::Message;
use crate::port::StreamError;
use crate::protocol::task::Step;
use crate::router::Router;
use crate::scope;

/// A task that was handed over. Cheap to clone; dropping it changes nothing about the task.
pub struct TaskHandle<M> {
    router: Router,
    id: TaskId,
    kind: PhantomData<fn() -> M>,
}

/// Why a task has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It failed for good; the text is its last error.
    #[error("the task failed after {attempts} attempts: {problem}")]
    Failed {
        /// Attempts that were made.
        attempts: u32,
        /// The last error.
        problem: String,
    },
    /// It was cancelled.
    #[error("the task was cancelled")]
    Cancelled,
    /// Its result is not of the type that was asked for.
    #[error("the task's result can't be read: {0}")]
    BadResult(String),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StreamError),
}

impl<M: Message> TaskHandle<M> {
    pub(crate) fn new(router: Router, id: TaskId) -> TaskHandle<M> {
        TaskHandle { router, id, kind: PhantomData }
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Waits for the task's end, however long that takes and wherever it happens.
    ///
    /// # Errors
    /// [`TaskError`].
    pub async fn result(&self) -> Result<M::Reply, TaskError> {
        let record = self.ended().await?;
        let problem =
            || record.error.as_ref().map_or_else(|| "no reason was given".to_owned(), |e| e.message.clone());
        match record.state {
            TaskState::Completed => {
                let body = record.result.clone().unwrap_or_default();
                let read = scope::binding(&self.router, || wire::decode(&body));
                read.map_err(|error| TaskError::BadResult(error.to_string()))
            }
            TaskState::Canceled => Err(TaskError::Cancelled),
            _ => Err(TaskError::Failed { attempts: record.attempt.0, problem: problem() }),
        }
    }

    /// Waits for the task's end, and gives its record.
    ///
    /// # Errors
    /// The store's.
    pub async fn ended(&self) -> Result<TaskRecord, StreamError> {
        let listening = self.router.inner().tasks.listen(self.id);
        loop {
            // Listened to before the record is read, so that no change falls in between.
            let changed = listening.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let newest = match listening.newest() {
                Some(record) => Some(record),
                None => self.record().await?,
            };
            if let Some(record) = newest.filter(|record| record.state.is_terminal()) {
                return Ok(record);
            }
            changed.await;
        }
    }

    /// The task's record as it is now; `None` until a worker has begun.
    ///
    /// # Errors
    /// The store's.
    pub async fn record(&self) -> Result<Option<TaskRecord>, StreamError> {
        Ok(record::load(&self.router, self.id).await?.map(|(record, _)| record))
    }

    /// Cancels the task: it is not begun any more, and a worker that is at work on it is told. Says whether it did;
    /// a task that has ended stays as it ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn cancel(&self) -> Result<bool, StreamError> {
        let cancel = Step::Cancel { note: "cancelled by its requester".to_owned() };
        let cancelled = record::step(&self.router, self.id, &cancel, None).await?;
        Ok(matches!(cancelled, Stepped::Done(..)))
    }
}

impl<M> Clone for TaskHandle<M> {
    fn clone(&self) -> Self {
        TaskHandle { router: self.router.clone(), id: self.id, kind: PhantomData }
    }
}

impl<M> std::fmt::Debug for TaskHandle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskHandle({})", self.id)
    }
}
