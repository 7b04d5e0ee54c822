//! The file that says whose directory this is and in which format, and that one process locks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::OpenError;

const NAME: &str = "CONNECTOME_STORE";

/// The format of this version. A new format gets a new line; an old one is refused, or read with care.
const FORMAT: &str = "connectome store, format 1\n";

/// The longest marker that is read, in bytes: a format has a line.
const FORMAT_MAX: u64 = 256;

/// A directory that is ours alone while this lives.
#[derive(Debug)]
pub(super) struct Marker {
    _locked: File,
}

impl Marker {
    /// Makes the directory if it is not there, and claims it.
    ///
    /// # Errors
    /// [`OpenError`]; a directory of somebody else's is left as it is.
    pub(super) fn claim(path: &Path) -> Result<Self, OpenError> {
        check_ours(path)?;
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(path.join(NAME)).map_err(io)?;
        lock(&file, path)?;
        let mut found = String::new();
        Read::take(&mut file, FORMAT_MAX).read_to_string(&mut found).map_err(io)?;
        if found.is_empty() {
            write(&mut file, path).map_err(io)?;
        } else if found != FORMAT {
            let (path, found) = (path.to_owned(), found.trim_end().to_owned());
            return Err(OpenError::Format { path, found, ours: FORMAT.trim_ascii_end() });
        }
        Ok(Self { _locked: file })
    }
}

/// Whether a directory has the marker.
pub(super) fn is_in(path: &Path) -> bool {
    path.join(NAME).is_file()
}

/// Refuses a file, and a directory with things in it but no marker.
fn check_ours(path: &Path) -> Result<(), OpenError> {
    let foreign = |found: &str| Err(OpenError::Foreign { path: path.to_owned(), found: found.to_owned() });
    match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => foreign("it is a file"),
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
        Ok(_) if is_in(path) => Ok(()),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => foreign("a directory with other things in it"),
        },
    }
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// Writes the format, and forces it and the names that lead to it to the disk.
fn write(file: &mut File, path: &Path) -> std::io::Result<()> {
    file.write_all(FORMAT.as_bytes())?;
    file.sync_all()?;
    if cfg!(unix) {
        let path = path.canonicalize()?;
        for directory in path.ancestors().take(2) {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(())
}
