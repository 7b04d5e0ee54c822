//! A task's record: what its owner alone may read of it, sealed under the root.

use connectome_codecs::{Refusal, TaskRecord, message};

use super::Seals;
use crate::port::StreamError;

/// What the key of all records is for.
const PURPOSE: &str = "task";

impl Seals {
    /// The record as it is kept.
    pub(crate) fn seal_record(&self, record: TaskRecord) -> TaskRecord {
        if !self.enabled {
            return record;
        }
        record.seal(&self.keys.store_key(PURPOSE), &mut self.entropy())
    }

    /// An error as others may read it.
    pub(crate) fn words_of(&self, error: message::Error) -> message::Error {
        if self.enabled { error.without_words() } else { error }
    }

    /// The record as its owner reads it.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when nodes with another root have written it, or it does not fit together.
    pub fn open_record(&self, record: TaskRecord) -> Result<TaskRecord, StreamError> {
        let what = format!("the record of task {}", record.id);
        if record.sealed.is_none() && (!self.enabled || !record.is_open()) {
            return Ok(record);
        }
        record.open(&self.keys.store_key(PURPOSE)).map_err(|refusal| {
            let is_older = matches!(refusal, Refusal::RolledBack { .. });
            if is_older { self.rolled_back(&what) } else { self.foreign(&what) }
        })
    }
}
