//! A data directory that a node has lived in: tasks done and failed, mail read, poisoned and waiting.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use connectome::codecs::{TaskId, UnixMillis};
use connectome::port::Start;
use connectome::prelude::*;
use connectome::{DEAD_LETTERS, MailboxConfig};
use tempfile::TempDir;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = ())]
pub(crate) struct Note(pub(crate) String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "heard", reply = Vec<String>)]
pub(crate) struct Heard;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "divide", reply = u64)]
pub(crate) struct Divide(pub(crate) u64, pub(crate) u64);

/// Hears notes, and divides numbers.
#[derive(Default)]
pub(crate) struct Clerk {
    /// Whether it survives every note and divides by zero.
    sturdy: bool,
    notes: Vec<String>,
}

impl Clerk {
    pub(crate) fn sturdy() -> Clerk {
        Clerk { sturdy: true, notes: Vec::new() }
    }
}

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Heard>();
        table.on::<Divide>();
    }
}

impl Handle<Note> for Clerk {
    async fn handle(&mut self, Note(text): Note, _: &mut Context<'_>) -> Result<(), HandlerError> {
        assert!(self.sturdy || text != "poison", "I can't bear \u{1b}[31mpoison");
        self.notes.push(text);
        Ok(())
    }
}

impl Handle<Heard> for Clerk {
    async fn handle(&mut self, _: Heard, _: &mut Context<'_>) -> Result<Vec<String>, HandlerError> {
        Ok(self.notes.clone())
    }
}

impl Handle<Divide> for Clerk {
    async fn handle(&mut self, Divide(a, b): Divide, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        if b == 0 && !self.sturdy {
            return Err(HandlerError::rejected("nothing is divided by zero"));
        }
        Ok(a.checked_div(b).unwrap_or(u64::MAX))
    }
}

/// What the node of a data directory is told.
pub(crate) fn configured(directory: &Path) -> Config {
    Config { data_dir: directory.to_owned(), ..Config::default() }
}

/// A copy of the furnished directory, to do with as one likes.
pub(crate) fn directory() -> TempDir {
    static ORIGINAL: OnceLock<PathBuf> = OnceLock::new();
    let original = ORIGINAL.get_or_init(|| {
        // Left where Cargo keeps such things, until the next run.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("furnished");
        drop(fs::remove_dir_all(&directory));
        in_a_runtime(furnish(&directory));
        directory
    });
    let copy = tempfile::tempdir().unwrap();
    copy_all(original, copy.path());
    copy
}

/// Runs a future to its end on a runtime of its own, in a thread that may wait for it.
pub(crate) fn in_a_runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work);
}

async fn furnish(directory: &Path) {
    let node = Node::start(configured(directory)).await.unwrap();
    let spec = AgentSpec::new("clerk", Clerk::default).capability("divide").role("office").version("7");
    let clerk = node.spawn_with(spec.mailbox(MailboxConfig::default())).await.unwrap();
    clerk.send(Note("first".into())).await.unwrap();
    clerk.send(Note("poison".into())).await.unwrap();
    let mut letters = node.ports().streams.tail(DEAD_LETTERS, ">", Start::First).await.unwrap();
    letters.next().await.unwrap();
    // Ids of one millisecond have no order, and the tasks are listed in that of their ids.
    let [first, second] = [1, 2].map(|at| TaskId::from_parts(UnixMillis(1_700_000_000_000 + at), 0));
    let done = node.submit(Submit::new("divide", Divide(8, 2)).id(first)).await.unwrap();
    let failed = node.submit(Submit::new("divide", Divide(1, 0)).id(second)).await.unwrap();
    done.ended().await.unwrap();
    failed.ended().await.unwrap();
    letters.next().await.unwrap();
    node.agent("nobody-yet").unwrap().send(Note("are you there?".into())).await.unwrap();
    node.stop().await;
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
