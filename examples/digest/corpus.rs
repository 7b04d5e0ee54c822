//! Finds and reads the documents below a path. The only module here that touches the disk.
//!
//! A tree is walked as git sees it (`.gitignore` holds, hidden files are left out). A file that cannot be
//! read is reported and skipped; only a path that yields nothing at all is an error. What a document says
//! is the business of `blocks`, what it is called of `titles`.

use std::io;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::language::{KNOWN, Kind};
use crate::titles;

/// The largest file that is read, in bytes. A document travels in one message, and a broker's usual limit
/// for one is 1 MiB: half of it leaves room for sealing. Larger files are logs or generated.
pub const FILE_BYTES_MAX: u64 = 512 * 1024;

/// The most documents in one corpus: twice what the digest is measured with, and what a page can list.
pub const DOCUMENTS_MAX: usize = 20_000;

/// The most text held at once, in bytes: a few hundred megabytes fit any machine that can build this.
pub const CORPUS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How far a file is searched for a zero byte, which text does not have: what git looks at.
const BINARY_PROBE_BYTES: usize = 8_000;

/// Directories that hold what was made or fetched, not written.
const NOT_WRITTEN: &[&str] = &["target", "node_modules", "__pycache__"];

/// One text, ready to be handed to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its place in the corpus: `0..documents`, in the order of the paths.
    pub index: usize,
    /// Where it lies below the root, with `/` between the parts.
    pub path: String,
    /// How it is read.
    pub kind: Kind,
    /// What it calls itself, or else the name of its file.
    pub title: String,
    /// All of it, as UTF-8.
    pub text: String,
}

impl Document {
    /// The same for the same path and text, on every machine.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.path.as_bytes()).and(self.text.as_bytes())
    }
}

/// Everything that was read, and what was not.
#[derive(Debug)]
pub struct Corpus {
    /// The directory that paths are relative to.
    pub root: PathBuf,
    /// The documents; the one at `i` has index `i`. Never empty.
    pub documents: Vec<Document>,
    /// Files of a kind we read that were left out, each with its reason.
    pub skipped: Vec<Skipped>,
}

impl Corpus {
    /// One number for all the documents, to tell whether two runs saw the same ones.
    pub fn fingerprint(&self) -> Fingerprint {
        self.documents.iter().fold(Fingerprint::default(), |all, one| all.and(&one.fingerprint().to_bytes()))
    }
}

/// A file that was left out.
#[derive(Debug)]
pub struct Skipped {
    /// Where it lies.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// Why a file was left out.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The operating system did not let us read it.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is longer than [`FILE_BYTES_MAX`].
    #[error("is {0} bytes long; at most {FILE_BYTES_MAX} are read")]
    TooLong(u64),
    /// It holds zero bytes.
    #[error("is binary")]
    Binary,
    /// It is text in another encoding.
    #[error("is not UTF-8; convert it to be included")]
    NotUtf8,
    /// It has no words.
    #[error("is empty")]
    Empty,
    /// [`DOCUMENTS_MAX`] or [`CORPUS_BYTES_MAX`] was reached before it.
    #[error(
        "comes after the first {DOCUMENTS_MAX} documents or {CORPUS_BYTES_MAX} bytes; digest a smaller tree"
    )]
    CorpusFull,
}

/// Why there is no corpus. Each names the path, and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// Nothing is there.
    #[error("{} does not exist; give a directory or a file that does", .0.display())]
    Missing(PathBuf),
    /// It is there, and we may not look.
    #[error("{} cannot be read ({source}); give it read permission for this user, or choose another path", path.display())]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It was read, and nothing in it is a document.
    #[error("no documents below {}{}; looked for {KNOWN}", path.display(), left_out(*skipped))]
    NoDocuments {
        /// Where we looked.
        path: PathBuf,
        /// How many files had a kind we read, and were left out.
        skipped: usize,
    },
}

fn left_out(skipped: usize) -> String {
    if skipped == 0 { String::new() } else { format!(" ({skipped} of a known kind could not be used)") }
}

/// Reads every document at or below `path`.
///
/// # Errors
/// When `path` is not there, may not be read, or holds no document.
pub fn read(path: &Path) -> Result<Corpus, CorpusError> {
    probe(path)?;
    let mut corpus = Corpus { root: root_of(path), documents: Vec::new(), skipped: Vec::new() };
    let mut bytes = 0;
    for (file, kind) in files_below(path, &mut corpus.skipped) {
        match read_file(&corpus, bytes, &file, kind) {
            Ok(document) => {
                bytes += document.text.len();
                corpus.documents.push(document);
            }
            Err(reason) => corpus.skipped.push(Skipped { path: file, reason }),
        }
    }
    if corpus.documents.is_empty() {
        return Err(CorpusError::NoDocuments { path: path.to_owned(), skipped: corpus.skipped.len() });
    }
    titles::tell_apart(&mut corpus.documents);
    Ok(corpus)
}

fn probe(path: &Path) -> Result<(), CorpusError> {
    let looked = if path.is_dir() { path.read_dir().map(drop) } else { std::fs::File::open(path).map(drop) };
    looked.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => CorpusError::Missing(path.to_owned()),
        _ => CorpusError::Unreadable { path: path.to_owned(), source },
    })
}

fn root_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(path).to_owned() }
}

/// The files of a kind we read, sorted by path, so that a document's index depends on the tree alone.
fn files_below(path: &Path, skipped: &mut Vec<Skipped>) -> Vec<(PathBuf, Kind)> {
    let walk = WalkBuilder::new(path).require_git(false).git_global(false).filter_entry(is_written).build();
    let mut files = Vec::new();
    for entry in walk {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|it| it.is_file()) => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => skipped.push(unreadable(path, &error)),
        }
    }
    files.sort();
    files.into_iter().filter_map(|file| Kind::of(&file).map(|kind| (file, kind))).collect()
}

fn is_written(entry: &DirEntry) -> bool {
    let given_by_the_user = entry.depth() == 0;
    given_by_the_user || !NOT_WRITTEN.iter().any(|name| entry.file_name() == *name)
}

fn unreadable(root: &Path, error: &ignore::Error) -> Skipped {
    let path = match error {
        ignore::Error::WithPath { path, .. } => path.clone(),
        _ => root.to_owned(),
    };
    Skipped { path, reason: Reason::Unreadable(error.to_string()) }
}

fn read_file(corpus: &Corpus, bytes: usize, file: &Path, kind: Kind) -> Result<Document, Reason> {
    if corpus.documents.len() == DOCUMENTS_MAX {
        return Err(Reason::CorpusFull);
    }
    let text = read_text(file)?;
    if bytes + text.len() > CORPUS_BYTES_MAX {
        return Err(Reason::CorpusFull);
    }
    let path = relative(file, &corpus.root);
    let title = titles::title(kind, &path, &text);
    Ok(Document { index: corpus.documents.len(), path, kind, title, text })
}

fn read_text(file: &Path) -> Result<String, Reason> {
    let refused = |error: io::Error| Reason::Unreadable(error.to_string());
    let length = file.metadata().map_err(refused)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Reason::TooLong(length));
    }
    let bytes = std::fs::read(file).map_err(refused)?;
    if bytes.iter().take(BINARY_PROBE_BYTES).any(|byte| *byte == 0) {
        return Err(Reason::Binary);
    }
    let text = String::from_utf8(bytes).map_err(|_| Reason::NotUtf8)?;
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if text.trim().is_empty() { Err(Reason::Empty) } else { Ok(text) }
}

fn relative(file: &Path, root: &Path) -> String {
    let below = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    #[test]
    fn documents_are_read_in_the_order_of_their_paths() {
        // Property: indices are 0..n by path, and ignored, built and unknown files are not documents.
        let root = tree(&[
            ("b.md", b"# Second\n\ntext"),
            ("a/lib.rs", b"//! First.\n"),
            ("target/made.md", b"no"),
            (".gitignore", b"secret.md\n"),
            ("secret.md", b"no"),
            ("data.json", b"{}"),
        ]);
        let corpus = read(root.path()).unwrap();
        let seen: Vec<_> =
            corpus.documents.iter().map(|it| (it.index, it.path.as_str(), it.title.as_str())).collect();
        assert_eq!(seen, [(0, "a/lib.rs", "lib.rs"), (1, "b.md", "Second")]);
        assert!(corpus.skipped.is_empty());
    }

    #[test]
    fn a_file_that_is_not_text_is_skipped_with_its_reason() {
        // Property: one bad file costs itself only, and the reason is told.
        let long = vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        let root = tree(&[
            ("binary.txt", b"a\0b"),
            ("empty.md", b" \n"),
            ("good.md", b"Good."),
            ("latin.txt", b"caf\xe9"),
            ("long.txt", &long),
        ]);
        let corpus = read(root.path()).unwrap();
        assert_eq!(corpus.documents.len(), 1);
        let reasons: Vec<_> = corpus.skipped.iter().map(|it| it.reason.to_string()).collect();
        assert!(reasons[0].contains("binary") && reasons[1].contains("empty"), "{reasons:?}");
        assert!(reasons[2].contains("UTF-8") && reasons[3].contains("at most"), "{reasons:?}");
    }

    #[test]
    fn a_path_without_documents_says_what_would_be_right() {
        // Property: a missing path and an empty one are different errors, and both name the path.
        let root = tree(&[("data.json", b"{}")]);
        let empty = read(root.path()).unwrap_err().to_string();
        assert!(empty.contains("no documents below") && empty.contains(".md"), "{empty}");
        let missing = read(&root.path().join("nothing")).unwrap_err();
        assert!(matches!(missing, CorpusError::Missing(_)) && missing.to_string().contains("does not exist"));
    }

    #[test]
    fn a_single_file_is_a_corpus() {
        // Property: PATH may be a file; its folder is then the root.
        let root = tree(&[("only.md", b"# Only\n\nOne document."), ("other.md", b"x")]);
        let corpus = read(&root.path().join("only.md")).unwrap();
        assert_eq!(corpus.documents.len(), 1);
        assert_eq!(corpus.documents[0].path, "only.md");
    }

    #[test]
    fn shared_titles_are_told_apart_and_the_fingerprint_follows_the_text() {
        // Property: two "Changelog" are distinguishable; a changed byte changes the corpus fingerprint.
        let root = tree(&[
            ("x/a.md", b"# Changelog\n"),
            ("y/a.md", b"# Changelog\n"),
            ("x/s/z.rs", b"z"),
            ("y/s/z.rs", b"z"),
        ]);
        let before = read(root.path()).unwrap();
        assert_eq!(before.documents[0].title, "Changelog · x");
        assert_eq!(before.documents[1].title, "z.rs · x/s");
        assert_eq!(before.documents[2].title, "Changelog · y");
        fs::write(root.path().join("x/a.md"), "# Changelog.\n").unwrap();
        assert_ne!(read(root.path()).unwrap().fingerprint(), before.fingerprint());
    }
}
