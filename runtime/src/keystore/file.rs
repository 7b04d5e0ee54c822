//! The root in a file, readable by its owner and by nobody else: 32 bytes, or those under a passphrase (`wrapped.rs`).
//!
//! It is made on first use, whole or not at all: written beside its place, brought to the disk, and then given its name
//! if that is still free. Of two nodes that start at once, both use the root of the one that was first.
//!
//! A file that others can read, a symbolic link, or a file of another length is refused, never repaired: who put it there
//! must say what it is.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use connectome_actors::port::{KeyStore, KeyStoreError, Whose};
use connectome_codecs::identity::{
    Certificate, Claims, IdentityLog, InstanceKeys, PoolKeys, PoolPrekey, Voucher,
};
use connectome_codecs::key::Entropy;
use connectome_codecs::seal::StoreKey;
use connectome_codecs::{AgentId, AgentName, Capability, NodeId, UnixMillis};
use zeroize::Zeroizing;

use super::derive::Root;
use super::wrapped::{self, Passphrase, WRAPPED_MAX};
use super::{MemoryKeys, system_randomness};
#[cfg(feature = "libp2p")]
use crate::transport::libp2p::PeerKey;

/// The length of a root, and of a file that holds it in the open.
const ROOT_BYTES: usize = 32;

/// The keys of a node whose root is in a file. Nodes that share the file have different ids, and the same agents.
///
/// ```
/// use connectome::keystore::FileKeys;
/// use connectome_actors::port::KeyStore;
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("root.key");
/// let first = FileKeys::open(&path, "node-1")?;
/// let again = FileKeys::open(&path, "node-1")?;
/// assert_eq!(first.node_id(), again.node_id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileKeys {
    path: PathBuf,
    keys: MemoryKeys,
}

impl FileKeys {
    /// Reads the root, or makes it when there is no such file. Missing directories are made, closed to others.
    ///
    /// # Errors
    /// When the file can neither be read nor made, or is not what a root must be. The text names the path and the remedy.
    pub fn open(path: &Path, node_name: &str) -> Result<FileKeys, KeyStoreError> {
        FileKeys::open_with(path, node_name, None)
    }

    /// The same for a root under a passphrase; without one, for a root in the open.
    ///
    /// # Errors
    /// As [`FileKeys::open`]; and when the passphrase is another one, or missing, or the root is in the open.
    pub fn open_with(
        path: &Path,
        node_name: &str,
        passphrase: Option<&Passphrase>,
    ) -> Result<FileKeys, KeyStoreError> {
        let root = match read(path, passphrase)? {
            Some(root) => root,
            None => make(path, passphrase)?,
        };
        Ok(FileKeys { path: path.to_owned(), keys: MemoryKeys::from_root(root, node_name) })
    }

    /// Reads the root, where there is one: for whoever only looks, and makes none.
    ///
    /// # Errors
    /// When the file can't be read, or is not what a root must be.
    pub fn find(
        path: &Path,
        node_name: &str,
        passphrase: Option<&Passphrase>,
    ) -> Result<Option<FileKeys>, KeyStoreError> {
        let keys = |root| FileKeys { path: path.to_owned(), keys: MemoryKeys::from_root(root, node_name) };
        Ok(read(path, passphrase)?.map(keys))
    }

    /// The node's key, for the handshakes of libp2p, which makes them itself.
    #[cfg(feature = "libp2p")]
    pub fn peer_key(&self) -> PeerKey {
        self.keys.peer_key()
    }

    /// Where the root is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl KeyStore for FileKeys {
    fn node_id(&self) -> NodeId {
        self.keys.node_id()
    }

    fn agent_id(&self, name: &AgentName) -> Result<AgentId, KeyStoreError> {
        self.keys.agent_id(name)
    }

    fn sign(&self, context: &str, message: &[u8]) -> [u8; 64] {
        self.keys.sign(context, message)
    }

    fn verify(&self, node: NodeId, context: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        self.keys.verify(node, context, message, signature)
    }

    fn certify(
        &self,
        whose: Whose<'_>,
        claims: Claims,
        keys: &InstanceKeys,
    ) -> Result<Certificate, KeyStoreError> {
        self.keys.certify(whose, claims, keys)
    }

    fn take_back(
        &self,
        whose: Whose<'_>,
        before: Option<&IdentityLog>,
        serials: &[u64],
    ) -> Result<IdentityLog, KeyStoreError> {
        self.keys.take_back(whose, before, serials)
    }

    fn organisation_id(&self) -> AgentId {
        self.keys.organisation_id()
    }

    fn vouch(&self, agent: AgentId, from: UnixMillis, life: Duration) -> Voucher {
        self.keys.vouch(agent, from, life)
    }

    fn store_key(&self, purpose: &str) -> StoreKey {
        self.keys.store_key(purpose)
    }

    fn pool_id(&self, capability: &Capability) -> AgentId {
        self.keys.pool_id(capability)
    }

    fn rotate_pool(
        &self,
        capability: &Capability,
        keys: &mut PoolKeys,
        life: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> PoolPrekey {
        self.keys.rotate_pool(capability, keys, life, now, entropy)
    }
}

/// The root in the file; `None` when there is no file.
fn read(path: &Path, passphrase: Option<&Passphrase>) -> Result<Option<Root>, KeyStoreError> {
    let named = match fs::symlink_metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, "be looked at", &error)),
    };
    check_kind(path, &named)?;
    let mut file = File::open(path).map_err(|error| failed(path, "be read", &error))?;
    let opened = file.metadata().map_err(|error| failed(path, "be looked at", &error))?;
    check_same(path, &named, &opened)?;
    check_private(path, &opened)?;
    check_length(path, opened.len())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(WRAPPED_MAX));
    file.read_to_end(&mut bytes).map_err(|error| failed(path, "be read", &error))?;
    root_in(path, &bytes, passphrase).map(Some)
}

fn root_in(path: &Path, bytes: &[u8], passphrase: Option<&Passphrase>) -> Result<Root, KeyStoreError> {
    match (wrapped::is_wrapped(bytes), passphrase) {
        (true, Some(passphrase)) => wrapped::unwrap(bytes, passphrase).map_err(|KeyStoreError(problem)| {
            refused(
                path,
                &problem,
                "name the right one in key_passphrase_file, or bring the file back from a copy",
            )
        }),
        (true, None) => {
            Err(refused(path, "is under a passphrase", "name the file that holds it in key_passphrase_file"))
        }
        (false, Some(_)) => Err(refused(
            path,
            "is in the open, and a passphrase is set",
            "run connectome keys protect, or unset key_passphrase_file",
        )),
        (false, None) => {
            let root =
                <[u8; ROOT_BYTES]>::try_from(bytes).map_err(|_| wrong_length(path, bytes.len() as u64))?;
            Ok(Root::from_bytes(Zeroizing::new(root)))
        }
    }
}

/// Puts a root that is in the open under a passphrase, in its place; what it was stays on the disk until that is used again.
///
/// # Errors
/// When there is no such root, or the file can't be written. Then it is as it was.
pub fn protect(path: &Path, passphrase: &Passphrase) -> Result<(), KeyStoreError> {
    let root = read(path, None)?;
    let root = root.ok_or_else(|| refused(path, "is not there", "name the file of a root in key_file"))?;
    let beside = draft_path(path)?;
    let made =
        write_new(&beside, &wrapped::wrap(&root, passphrase)?).and_then(|()| fs::rename(&beside, path));
    if made.is_err() {
        drop(fs::remove_file(&beside));
    }
    made.and_then(|()| sync_directory(directory_of(path))).map_err(|error| failed(path, "be written", &error))
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The passphrase in a file that only its owner can read.
///
/// # Errors
/// When the file can't be read, others can read it, or it is too short.
pub fn read_passphrase(path: &Path) -> Result<Passphrase, KeyStoreError> {
    let file = File::open(path).map_err(|error| failed_passphrase(path, &error))?;
    let opened = file.metadata().map_err(|error| failed_passphrase(path, &error))?;
    check_private(path, &opened)?;
    let mut text = Zeroizing::new(Vec::with_capacity(PASSPHRASE_FILE_MAX as usize));
    let read = file.take(PASSPHRASE_FILE_MAX).read_to_end(&mut text);
    read.map_err(|error| failed_passphrase(path, &error))?;
    Passphrase::new(&text).map_err(|KeyStoreError(problem)| {
        refused(path, &problem, "write a longer one, before the root is made")
    })
}

/// Bytes of a passphrase's file that are read: what is after that is not looked at.
const PASSPHRASE_FILE_MAX: u64 = 4096;

fn failed_passphrase(path: &Path, error: &io::Error) -> KeyStoreError {
    KeyStoreError(format!(
        "{} can't be read: {error}; name the passphrase's file in key_passphrase_file",
        path.display()
    ))
}

fn check_kind(path: &Path, named: &fs::Metadata) -> Result<(), KeyStoreError> {
    if named.is_symlink() {
        return Err(refused(path, "is a symbolic link", "name the file that it leads to"));
    }
    if !named.is_file() {
        return Err(refused(path, "is not a file", "name a file, or a path where there is nothing yet"));
    }
    Ok(())
}

/// What was opened is what was looked at: nobody has put a link in its place meanwhile.
#[cfg(unix)]
fn check_same(path: &Path, named: &fs::Metadata, opened: &fs::Metadata) -> Result<(), KeyStoreError> {
    use std::os::unix::fs::MetadataExt;
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(refused(path, "was replaced while it was opened", "find out by whom, then start again"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_same(_: &Path, _: &fs::Metadata, _: &fs::Metadata) -> Result<(), KeyStoreError> {
    Ok(())
}

#[cfg(unix)]
fn check_private(path: &Path, opened: &fs::Metadata) -> Result<(), KeyStoreError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = opened.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let problem = format!("can be used by others than its owner (mode {mode:04o})");
        let remedy = format!("run: chmod 600 '{}'; if others may have read it, replace it", path.display());
        return Err(refused(path, &problem, &remedy));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), KeyStoreError> {
    Ok(())
}

fn check_length(path: &Path, length: u64) -> Result<(), KeyStoreError> {
    if length < ROOT_BYTES as u64 || length > WRAPPED_MAX as u64 {
        return Err(wrong_length(path, length));
    }
    Ok(())
}

fn wrong_length(path: &Path, length: u64) -> KeyStoreError {
    let problem = format!("has {length} bytes, not {ROOT_BYTES}: it is no root, or a damaged one");
    refused(path, &problem, "bring it back from a copy, or move it away to begin with new identities")
}

/// Makes a new root; when somebody else was faster, theirs.
fn make(path: &Path, passphrase: Option<&Passphrase>) -> Result<Root, KeyStoreError> {
    let directory = directory_of(path);
    make_directory(directory).map_err(|error| failed(directory, "be made", &error))?;
    let beside = draft_path(path)?;
    let root = Root::random()?;
    let bytes = match passphrase {
        Some(passphrase) => Zeroizing::new(wrapped::wrap(&root, passphrase)?),
        None => Zeroizing::new(root.as_bytes().to_vec()),
    };
    let made = write_new(&beside, &bytes).and_then(|()| fs::hard_link(&beside, path));
    // The draft has served, or is of no use: what remains of it in an error is for the owner alone to read.
    drop(fs::remove_file(&beside));
    match made {
        Ok(()) => {
            sync_directory(directory).map(|()| root).map_err(|error| failed(directory, "be synced", &error))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => theirs(path, passphrase),
        Err(error) => Err(failed(path, "be made", &error)),
    }
}

fn theirs(path: &Path, passphrase: Option<&Passphrase>) -> Result<Root, KeyStoreError> {
    read(path, passphrase)?
        .ok_or_else(|| refused(path, "was made and removed while this node started", "start again"))
}

/// A path that no other start uses.
fn draft_path(path: &Path) -> Result<PathBuf, KeyStoreError> {
    let Some(name) = path.file_name() else {
        return Err(refused(path, "does not name a file", "name one, such as root.key"));
    };
    let random = system_randomness()?;
    let mut draft = name.to_owned();
    draft.push(random[..8].iter().fold(String::from(".new-"), |text, byte| format!("{text}{byte:02x}")));
    Ok(path.with_file_name(draft))
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn make_directory(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A new name is on the disk when its directory is.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(path: &Path, what: &str, error: &io::Error) -> KeyStoreError {
    let path = path.display();
    KeyStoreError(format!(
        "{path} can't {what}: {error}; give this user access to it, or set another key_file"
    ))
}

fn refused(path: &Path, problem: &str, remedy: &str) -> KeyStoreError {
    KeyStoreError(format!("{} {problem}: {remedy}", path.display()))
}
