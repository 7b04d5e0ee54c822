//! Two ordered tables in a directory, with atomic batches over both: records, and bodies.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use super::marker::Marker;
use super::{Disk, OpenError, codec};
use crate::streams::embedded::core::record::{Place, Record, Write};

/// Blocks of the tables held in memory, in bytes: the newest bodies are held above, the records are never read again.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// New rows of one table held in memory until they are sorted into files, in bytes.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;

/// The journal's length, in bytes: what is read back after `kill -9`, in about a second. It is the least that fjall
/// allows.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Threads that sort rows into files: one writes while another merges.
const WORKERS: usize = 2;

/// Two tables in a directory. The lock goes last.
pub(super) struct Tables {
    records: Keyspace,
    bodies: Keyspace,
    database: Database,
    _marker: Marker,
}

impl Tables {
    /// Opens the tables in `path`, making them if they are not there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let marker = Marker::claim(path)?;
        let opened = catch_unwind(AssertUnwindSafe(|| open_database(&path.join("tables"))));
        let opened = opened.unwrap_or_else(|_| Err(fjall::Error::Unrecoverable));
        let (database, records, bodies) = opened.map_err(|error| explain(error, path))?;
        Ok(Self { records, bodies, database, _marker: marker })
    }

    /// All records, in the order of their keys.
    pub(super) fn records(&self) -> Result<impl Iterator<Item = Result<Record, String>> + use<>, OpenError> {
        Ok(self.records.iter().map(|row| {
            let (key, value) = row.into_inner().map_err(|error| describe(&error))?;
            codec::decode(&key, &value)
        }))
    }
}

impl Disk for Tables {
    fn commit(&self, writes: &[Write], durable: bool) -> Result<(), String> {
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        let mut batch = self.database.batch().durability(Some(mode));
        for write in writes {
            match write {
                Write::Put(record) => {
                    batch.insert(&self.records, codec::key_of(record), codec::value_of(record))
                }
                Write::Remove(key) => batch.remove(&self.records, codec::key(key)),
                Write::PutBody(place, number, body) => {
                    batch.insert(&self.bodies, codec::body_key(*place, *number), body.as_ref());
                }
                Write::RemoveBody(place, number) => {
                    batch.remove(&self.bodies, codec::body_key(*place, *number))
                }
            }
        }
        batch.commit().map_err(|error| {
            format!("writing failed ({}); free space or repair the disk, then reopen", describe(&error))
        })
    }

    fn body(&self, place: Place, number: u64) -> Result<Option<Bytes>, String> {
        let body = self.bodies.get(codec::body_key(place, number));
        let body = body.map_err(|error| format!("reading failed ({})", describe(&error)))?;
        Ok(body.map(|body| Bytes::copy_from_slice(&body)))
    }
}

fn open_database(path: &Path) -> fjall::Result<(Database, Keyspace, Keyspace)> {
    let database = Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(WORKERS)
        .open()?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
    let records = database.keyspace("records", options)?;
    let bodies =
        database.keyspace("bodies", || options().with_kv_separation(Some(KvSeparationOptions::default())))?;
    Ok((database, records, bodies))
}

fn explain(error: fjall::Error, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => OpenError::InUse { path },
        fjall::Error::Io(source) => OpenError::Io { path, source },
        other => OpenError::Damaged { path, problem: describe(&other) },
    }
}

fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(source) => source.to_string(),
        fjall::Error::Poisoned => "a write in the background failed: the disk is full or broken".to_owned(),
        other => format!("{other:?}"),
    }
}
