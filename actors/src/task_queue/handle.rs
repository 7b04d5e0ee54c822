//! The requester's side of a task: its result, its record, its cancellation.
//!
//! A handle that submitted its task hears of the record from the first word on, and knows where the task stands in the queue.
//! One that was made of an id asks the store.

use std::marker::PhantomData;
use std::sync::Arc;

use connectome_codecs::{TaskId, TaskRecord, TaskState, wire};
use tokio::time::timeout;

use super::record::{self, Known, Stepped};
use super::submitted::Submitted;
use super::waiting::{Listening, News};
use crate::message::Message;
use crate::port::StreamError;
use crate::protocol::task::Step;
use crate::router::Router;
use crate::scope;

/// A task that was handed over. Cheap to clone; dropping it changes nothing about the task.
pub struct TaskHandle<M> {
    router: Router,
    id: TaskId,
    /// The task as this handle, or the one it was cloned from, submitted it.
    submitted: Option<Arc<Submitted>>,
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
    /// The store has lost it, or somebody removed it: it is neither waiting nor ended there. It may have been done.
    #[error(
        "task {0} is lost: the store has it neither waiting nor ended any more, and it may have been done; see why the store \
         lost what it kept (its disk, or who removed it), look at the task's effects, and submit it again where they are missing"
    )]
    Lost(TaskId),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StreamError),
}

impl<M: Message> TaskHandle<M> {
    pub(super) fn new(router: Router, id: TaskId, submitted: Option<Submitted>) -> TaskHandle<M> {
        TaskHandle { router, id, submitted: submitted.map(Arc::new), kind: PhantomData }
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
    /// [`TaskError::Lost`] when the store has lost the task, found out within a task's lease of the last that was heard of it; a
    /// handle made of an id knows of a loss only if there was a record. Otherwise the store's.
    pub async fn ended(&self) -> Result<TaskRecord, TaskError> {
        let listening = Listening::begin(&self.router, self.id);
        let silence = self.router.inner().config.task_lease;
        let (mut why, mut was_there) = (Why::First, false);
        loop {
            // Listened to before the news are read, so that no change falls in between.
            let changed = listening.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let news = listening.news();
            was_there |= matches!(news, News::Record(..) | News::Gone);
            let found = match (why, news) {
                (Why::Silence, _) | (_, News::Gone | News::Missed) => self.look(was_there, why).await?,
                (Why::First | Why::News, News::Record(record, _)) => Some(Arc::unwrap_or_clone(record)),
                (Why::First, News::Nothing) if !self.hears_all() => self.load().await?,
                (Why::First | Why::News, News::Nothing) => None,
            };
            was_there |= found.is_some();
            if let Some(record) = found.filter(|record| record.state.is_terminal()) {
                return Ok(record);
            }
            why = if timeout(silence, changed).await.is_ok() { Why::News } else { Why::Silence };
        }
    }

    /// Whether nothing can have happened to the record that was not heard of.
    fn hears_all(&self) -> bool {
        self.submitted.as_ref().is_some_and(|submitted| submitted.is_new)
    }

    /// Looks how it stands, and whether it is lost. The queue is asked first: what has left it has ended by then. A store that
    /// is away has lost nothing yet.
    async fn look(&self, was_there: bool, why: Why) -> Result<Option<TaskRecord>, TaskError> {
        let queued = match &self.submitted {
            Some(submitted) => submitted.is_queued(&self.router).await.map(Some),
            None => Ok(None),
        };
        let looked = match queued {
            Ok(queued) => self.load().await.map(|record| (queued, record)),
            Err(error) => Err(error),
        };
        match looked {
            Ok((_, Some(record))) if record.state.is_terminal() => Ok(Some(record)),
            Ok((Some(false), _)) => Err(TaskError::Lost(self.id)),
            // A worker that still had it would have written it anew by now.
            Ok((None, None)) if was_there && why == Why::Silence => Err(TaskError::Lost(self.id)),
            Ok((_, record)) => Ok(record),
            Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self) -> Result<Option<TaskRecord>, StreamError> {
        Ok(record::load(&self.router, self.id).await?.map(|(record, _)| record))
    }

    /// The task's record as it is now. Before a worker has begun, only the handle that submitted the task knows it at once; for
    /// all others it is `None` for up to a second, until the requester's node has written it.
    ///
    /// # Errors
    /// The store's.
    pub async fn record(&self) -> Result<Option<TaskRecord>, StreamError> {
        if let Some(record) = self.load().await? {
            return Ok(Some(record));
        }
        match &self.submitted {
            Some(submitted) if submitted.is_queued(&self.router).await? => Ok(Some(submitted.record.clone())),
            // It may have ended between the two looks.
            Some(_) => self.load().await,
            None => Ok(None),
        }
    }

    /// Cancels the task: it is not begun any more, and a worker that is at work on it is told. Says whether it did;
    /// a task that has ended stays as it ended, and one without a [record](TaskHandle::record) is not known.
    ///
    /// # Errors
    /// The store's.
    pub async fn cancel(&self) -> Result<bool, StreamError> {
        let cancel = Step::Cancel { note: "cancelled by its requester".to_owned() };
        let mut cancelled = record::step(&self.router, self.id, &cancel, Known::Nothing).await?;
        if let (Stepped::Unknown, Some(submitted)) = (&cancelled, &self.submitted) {
            // The worker that finds this record does not begin.
            let begins = Known::Absent(submitted.record.clone());
            cancelled = record::step(&self.router, self.id, &cancel, begins).await?;
        }
        Ok(matches!(cancelled, Stepped::Done(..)))
    }
}

/// Why a waiting handle looks how its task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It has just begun to wait.
    First,
    /// Something was heard.
    News,
    /// Nothing was heard for as long as a worker may be silent.
    Silence,
}

impl<M> Clone for TaskHandle<M> {
    fn clone(&self) -> Self {
        let (router, submitted) = (self.router.clone(), self.submitted.clone());
        TaskHandle { router, id: self.id, submitted, kind: PhantomData }
    }
}

impl<M> std::fmt::Debug for TaskHandle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskHandle({})", self.id)
    }
}
