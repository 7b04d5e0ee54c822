//! What a handle knows of a task because it was the one that submitted it.

use connectome_codecs::{MessageId, Sequence, TaskRecord};

use super::TASK_ROUTING;
use super::waiting::Listening;
use crate::port::StreamError;
use crate::router::Router;

/// A task as it was handed over.
pub(super) struct Submitted {
    pub(super) record: TaskRecord,
    /// Where it stands in the queue.
    pub(super) subject: String,
    pub(super) sequence: Sequence,
    /// Whether its id was made for it, so that nobody can have submitted it before.
    pub(super) is_new: bool,
    /// Since before the queue had it: what was not heard of did not happen.
    pub(super) _listening: Listening,
}

impl Submitted {
    /// Whether the queue has it still: waiting, in a worker's hand, or to be tried again. It leaves when its end is recorded.
    pub(super) async fn is_queued(&self, router: &Router) -> Result<bool, StreamError> {
        let found = router.streams().read(TASK_ROUTING, &self.subject, self.sequence, 1).await?;
        let id = Some(MessageId::from_bytes(self.record.id.to_bytes()));
        Ok(found.first().is_some_and(|stored| stored.sequence == self.sequence && stored.id == id))
    }
}
