//! What of a record is for the task's owner alone: its result, the words of its error, and its notes.
//!
//! ```text
//! sealed  = a record of a store, named by the task's id, of the generation that is the record's term
//! content = [ 1, result: bin or nil, error: nil or [ message: str, field: str or nil ], [ note: str ... ] ]
//! ```
//!
//! There are as many notes as steps. The state, the terms, and the error's code, blame and effect stay readable: whoever
//! delivers tasks needs them.

use bytes::Bytes;

use super::TaskRecord;
use crate::key::Entropy;
use crate::limits::TASK_HISTORY_MAX;
use crate::message;
use crate::refusal::Refusal;
use crate::seal::StoreKey;
use crate::wire::{DecodeError, Reader, Writer};

const WHAT: &str = "secrets of a task record";

struct Secrets {
    result: Option<Bytes>,
    error: Option<(String, Option<String>)>,
    notes: Vec<String>,
}

impl TaskRecord {
    /// Seals what is for the owner alone. `key` is the owner's.
    #[must_use]
    pub fn seal(mut self, key: &StoreKey, entropy: &mut dyn Entropy) -> Self {
        if self.is_open() {
            let secrets = Secrets::take(&mut self).encode();
            let sealed = key.seal(&self.id.to_string(), self.term.0, &secrets, entropy);
            self.sealed = Some(sealed.into());
        }
        self
    }

    /// Opens what [`seal`](Self::seal) sealed.
    ///
    /// # Errors
    /// When another key sealed it, nobody did, or it is of another term than the rest.
    pub fn open(mut self, key: &StoreKey) -> Result<Self, Refusal> {
        if self.is_open() {
            let open = DecodeError::field("result, error or note", "in the open; seal it");
            return Err(Refusal::malformed(WHAT)(open));
        }
        let Some(sealed) = self.sealed.take() else { return Ok(self) };
        let secrets = key.open(&self.id.to_string(), self.term.0, &sealed)?;
        if StoreKey::generation(&sealed) != Some(self.term.0) {
            return Err(Refusal::RolledBack { what: WHAT });
        }
        Secrets::decode(&secrets).and_then(|secrets| secrets.put(self)).map_err(Refusal::malformed(WHAT))
    }

    /// Whether it says anything that is for the owner alone.
    pub fn is_open(&self) -> bool {
        self.result.is_some()
            || self.error.as_ref().is_some_and(message::Error::has_words)
            || self.history.iter().any(|step| !step.note.is_empty())
    }
}

impl Secrets {
    fn take(record: &mut TaskRecord) -> Self {
        let error = record.error.take();
        record.error = error.as_ref().map(message::Error::without_words);
        Self {
            result: record.result.take(),
            error: error.map(|error| (error.message, error.field)),
            notes: record.history.iter_mut().map(|step| std::mem::take(&mut step.note)).collect(),
        }
    }

    fn put(self, mut record: TaskRecord) -> Result<TaskRecord, DecodeError> {
        let misfit = |field| DecodeError::field(field, "does not fit the rest of the record");
        record.result = self.result;
        match (&mut record.error, self.error) {
            (Some(error), Some((message, field))) => (error.message, error.field) = (message, field),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => return Err(misfit("error")),
        }
        if record.history.len() != self.notes.len() {
            return Err(misfit("notes"));
        }
        record.history.iter_mut().zip(self.notes).for_each(|(step, note)| step.note = note);
        Ok(record)
    }

    fn encode(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(256 + self.result.as_ref().map_or(0, Bytes::len));
        out.array(4);
        out.uint(1);
        match &self.result {
            Some(result) => out.bytes(result),
            None => out.nil(),
        }
        match &self.error {
            Some((message, field)) => {
                out.array(2);
                out.text(message);
                match field {
                    Some(field) => out.text(field),
                    None => out.nil(),
                }
            }
            None => out.nil(),
        }
        out.array(self.notes.len());
        self.notes.iter().for_each(|note| out.text(note));
        zeroize::Zeroizing::new(out.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let later = reader.open(WHAT, 4)?;
        if reader.uint("version")? != 1 {
            return Err(DecodeError::field("version", "not 1; update this node"));
        }
        let secrets = Self {
            result: match reader.nil("result")? {
                true => None,
                false => Some(Bytes::copy_from_slice(reader.bytes("result")?)),
            },
            error: match reader.nil("error")? {
                true => None,
                false => Some(read_error(&mut reader)?),
            },
            notes: (0..reader.items("notes", TASK_HISTORY_MAX)?)
                .map(|_| reader.text("note").map(str::to_owned))
                .collect::<Result<_, _>>()?,
        };
        reader.close(later)?;
        Ok(secrets)
    }
}

fn read_error(reader: &mut Reader<'_>) -> Result<(String, Option<String>), DecodeError> {
    reader.list("error", 2)?;
    let message = reader.text("message")?.to_owned();
    let field = match reader.nil("field")? {
        true => None,
        false => Some(reader.text("field")?.to_owned()),
    };
    Ok((message, field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{TaskId, Term, UnixMillis};
    use crate::key::Secret;
    use crate::message::{Blame, Effect, Error, ErrorCode, Task};
    use crate::task::TaskState;

    fn key(byte: u8) -> StoreKey {
        StoreKey::new(Secret::read(&[byte; 32]).unwrap())
    }

    fn failed() -> TaskRecord {
        let task = Task {
            id: TaskId::from_parts(UnixMillis(1), 1),
            capability: "work".parse().unwrap(),
            input: Bytes::new(),
            content_type: Default::default(),
            deadline: None,
            attempts_max: 3,
            idempotency_key: None,
        };
        let mut record = TaskRecord::submitted(&task, UnixMillis(1));
        record.term = Term(2);
        record.result = Some(Bytes::from("the secret result"));
        let error = Error::new(ErrorCode::HANDLER, Blame::Peer, Effect::Possible, "the secret error");
        record.error = Some(error.in_field("secret"));
        record.step(TaskState::Failed, UnixMillis(2), "the secret note");
        record
    }

    /// What is sealed is nowhere in the record, and comes back whole; the codes stay.
    #[test]
    fn secrets_are_sealed_and_opened() {
        let mut entropy = |bytes: &mut [u8]| bytes.fill(7);
        let sealed = failed().seal(&key(1), &mut entropy);
        let bytes = sealed.encode().unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
        assert_eq!(sealed.error.as_ref().unwrap().code, ErrorCode::HANDLER);
        let read = TaskRecord::decode(&bytes).unwrap();
        assert_eq!(read.open(&key(1)).unwrap(), failed());
    }

    /// Another key, another term, another task, or nothing sealed at all is refused.
    #[test]
    fn what_the_owner_did_not_seal_is_refused() {
        let mut entropy = |bytes: &mut [u8]| bytes.fill(7);
        let sealed = failed().seal(&key(1), &mut entropy);
        assert_eq!(sealed.clone().open(&key(2)), Err(Refusal::BadTag));
        let terms = [1, 3].map(|term| TaskRecord { term: Term(term), ..sealed.clone() }.open(&key(1)));
        assert!(terms.iter().all(|opened| matches!(opened, Err(Refusal::RolledBack { .. }))), "{terms:?}");
        let other = TaskRecord { id: TaskId::from_parts(UnixMillis(1), 2), ..sealed };
        assert_eq!(other.open(&key(1)), Err(Refusal::BadTag));
        assert!(matches!(failed().open(&key(1)), Err(Refusal::Malformed { .. })));
    }

    /// A record that says nothing yet is as it was.
    #[test]
    fn nothing_is_sealed_where_nothing_is_secret() {
        let mut entropy = |bytes: &mut [u8]| bytes.fill(7);
        let mut record = failed();
        (record.result, record.error) = (None, None);
        record.history.clear();
        assert_eq!(record.clone().seal(&key(1), &mut entropy), record);
        assert_eq!(record.clone().open(&key(1)), Ok(record));
    }
}
