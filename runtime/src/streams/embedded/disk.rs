//! The disk below the core: rows as bytes in two ordered tables, and what is said of a directory that is not ours.
//!
//! | file | what |
//! |---|---|
//! | `tables` | the two tables, in fjall |
//! | `codec` | records as bytes |
//! | `marker` | whose directory this is, in which format, and who has it open |
//!
//! # Why fjall
//!
//! Measured on a machine of two cores, 256 B a message, every commit forced to the disk, against redb 4.5 and against
//! a bare file as the floor (two runs):
//!
//! | | one writer | 64 writers, group commit |
//! |---|---|---|
//! | bare append and `fdatasync` | 5.0-6.1 k/s | 59-87 k/s |
//! | fjall 3.1 | 5.8-6.2 k/s | 63-100 k/s |
//! | redb 4.5 | 3.2-3.7 k/s | 28-30 k/s |
//! | redb 4.5, two-phase commit | 2.2-2.5 k/s | 23-30 k/s |
//!
//! A log-structured store writes a message once and in order, which is what a stream is; it can also hand rows to the
//! operating system without forcing them, which acknowledgements want; and after `kill -9` it reads a journal back,
//! where redb reads its whole file. What it costs: a directory instead of a file, two threads of its own, and point
//! reads at 1-3 million a second where redb has 3-6.

pub(super) mod codec;
mod marker;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use connectome_actors::port::World;

use super::core::record::{Place, Write};
use super::store::Store;
use tables::Tables;

/// Where the core's rows are kept.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Writes all of it or nothing, and forces it to the disk if it is to be durable.
    ///
    /// # Errors
    /// What went wrong, in words; from then on the disk is not to be used.
    fn commit(&self, writes: &[Write], durable: bool) -> Result<(), String>;

    /// A body; `None` when there is none.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn body(&self, place: Place, number: u64) -> Result<Option<Bytes>, String>;
}

/// Why a store did not open. The text names the path and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another handle in this one, has it open.
    #[error(
        "the store in {path:?} is in use by another process: stop that one, or give this one a directory of its own"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The path is not a store.
    #[error(
        "{path:?} is not a Connectome store ({found}), and nothing in it was changed: give an empty or a new directory"
    )]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// The store was written by a version that we can't read.
    #[error(
        "the store in {path:?} has format {found:?}, this version reads {ours:?}: use the version that wrote it, or a new directory"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// The format of the store.
        found: String,
        /// The format that would be right.
        ours: &'static str,
    },
    /// The store can't be read back whole.
    #[error(
        "the store in {path:?} is damaged ({problem}): put a copy in its place, or move it away to begin anew"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The operating system refused.
    #[error("the store in {path:?} can't be opened: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// Opens the store in a directory, and reads everything but the bodies.
pub(super) fn open(path: &Path, world: Arc<dyn World>) -> Result<Store, OpenError> {
    let tables = Tables::open(path)?;
    let records = tables.records()?;
    let loaded = Store::on_disk(Box::new(tables), world, |core, now| -> Result<(), Trouble> {
        for record in records {
            core.restore(record.map_err(Trouble::Damage)?, now).map_err(Trouble::Damage)?;
        }
        core.restored();
        Ok(())
    });
    loaded.map_err(|trouble| trouble.at(path))
}

/// Whether a directory is marked as ours.
pub(super) fn is_store(path: &Path) -> bool {
    marker::is_in(path)
}

/// What can go wrong while a store is read, before it is said where.
#[derive(Debug)]
enum Trouble {
    Damage(String),
    Io(std::io::Error),
}

impl Trouble {
    fn at(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Damage(problem) => OpenError::Damaged { path, problem },
            Self::Io(source) => OpenError::Io { path, source },
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
