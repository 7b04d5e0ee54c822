//! What stands at a key: a value, or the mark of a removed one; and what a lookup finds.

use bytes::Bytes;

use super::super::record::{EntryHead, Place};

/// What stands at a key.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) head: EntryHead,
    pub(super) value: Value,
}

/// Where the value is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// In memory.
    Held(Bytes),
    /// On disk.
    Kept,
    /// Removed: this is a mark.
    Gone,
}

/// An entry that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) head: EntryHead,
    /// `None`: the disk has it.
    pub(crate) value: Option<Bytes>,
}

/// What a bucket says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// It has a value.
    Found(Found),
    /// It has none.
    Absent,
    /// Its newest change is being written: ask again when it is.
    InFlight,
}

impl Slot {
    pub(super) fn is_mark(&self) -> bool {
        match self.value {
            Value::Gone => true,
            Value::Held(_) | Value::Kept => false,
        }
    }
}
