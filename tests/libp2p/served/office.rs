//! Nodes that share the store of the first one; the first one may be in a process of its own, to be killed.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use connectome::prelude::*;
use tempfile::TempDir;

use super::super::support::{LISTEN, addresses};
use super::work::{Desk, Ledger};
use crate::support::nats::free_port;

/// What a process is told by its environment.
const PLACE: &str = "CONNECTOME_SERVED_PLACE";
const DIRECTORY: &str = "CONNECTOME_SERVED_DIRECTORY";
const STORE: &str = "CONNECTOME_SERVED_STORE";

/// The node that serves.
pub(super) const KEEPER: &str = "keeper";

/// Where the files of a cluster are, and where its store is served.
pub(super) struct Office {
    directory: TempDir,
    port: u16,
}

impl Office {
    pub(super) fn new() -> Office {
        Office { directory: tempfile::tempdir().unwrap(), port: free_port() }
    }

    fn listen(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.port)
    }

    /// The node that serves, in this process; and where it does.
    pub(super) async fn keeper(&self) -> (Node, String) {
        let node = start(KEEPER, self.directory.path(), &self.listen(), "serve").await;
        let at = addresses(&node);
        (node, at)
    }

    /// A node that uses the store which is served at this address.
    pub(super) async fn member(&self, name: &str, at: &str) -> Node {
        start(name, self.directory.path(), LISTEN, at).await
    }

    /// The same in a process of its own; `keeper` serves, and others offer the desk.
    pub(super) fn process(&self, name: &str, at: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "libp2p::served::office::part", "--ignored", "--nocapture"]);
        command.env(PLACE, name).env(DIRECTORY, self.directory.path());
        command.env(STORE, if name == KEEPER { self.listen() } else { at.to_owned() });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut ready = lines.filter_map(|line| line.strip_prefix("ready ").map(ToOwned::to_owned));
        let at = ready.next().expect("it says that it is ready");
        Process { child, at }
    }
}

async fn start(name: &str, directory: &std::path::Path, listen: &str, store: &str) -> Node {
    let mut config = Config { name: name.to_owned(), data_dir: directory.join(name), ..Config::default() };
    config.key_file = Some(directory.join("root.key"));
    config.libp2p.listen = Some(listen.to_owned());
    config.libp2p.store = Some(store.to_owned());
    config.router.task_lease = Duration::from_secs(1);
    Node::start(config).await.unwrap()
}

/// The other process, until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests start it"]
async fn part() {
    let told = |name| std::env::var(name).ok();
    let (Some(place), Some(directory), Some(store)) = (told(PLACE), told(DIRECTORY), told(STORE)) else {
        return;
    };
    let directory = std::path::Path::new(&directory);
    let node = match place == KEEPER {
        true => start(&place, directory, &store, "serve").await,
        false => start(&place, directory, LISTEN, &store).await,
    };
    if place != KEEPER {
        let here = place.clone();
        node.offer("desk", move || Desk { place: here.clone() }).await.unwrap();
        node.spawn("ledger", Ledger::default).await.unwrap();
    }
    println!("\nready {}", addresses(&node));
    let input = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(input).await.unwrap().unwrap();
    std::process::exit(0);
}

/// A node in a process of its own.
pub(super) struct Process {
    child: Child,
    /// Where it can be dialled.
    pub(super) at: String,
}

impl Process {
    /// With SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
