//! A disk, or a stream, that is full: whoever writes hears within its deadline what is full and what would be right, and
//! nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use connectome::prelude::*;

use super::trade::{Add, Adder, Ledger, Note, config, notes_that, until, until_ok};
use crate::support::nats::NatsServer;

/// What an operation may take: the store's deadline, and a moment on a busy machine.
const DEADLINE: Duration = Duration::from_secs(14);

/// A server reserves what streams may take; this one believes that it has room.
const TAKEN_FOR_LARGE: &str = "max_file_store: 10GB";

/// A message of some size.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "bulk", reply = ())]
struct Bulk(String);

/// A small disk of its own; whoever may not mount one has none.
struct Disk(PathBuf);

impl Disk {
    fn mount() -> Option<Disk> {
        let place = tempfile::tempdir().unwrap().keep();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(&place).stderr(Stdio::null());
        match mount.status() {
            Ok(status) if status.success() => Some(Disk(place)),
            Ok(_) | Err(_) => {
                drop(std::fs::remove_dir(&place));
                None
            }
        }
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
        drop(std::fs::remove_dir(&self.0));
    }
}

/// The server's disk is full: each verb says so; with room again, and the server started again, work goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_loses_nothing() {
    let Some(disk) = Disk::mount() else {
        println!(
            "no disk was filled: mounting one takes root; a full stream is tried by `a_full_stream_is_told`"
        );
        return;
    };
    let (mut server, keys) =
        (NatsServer::start_in(&disk.0.join("store"), TAKEN_FOR_LARGE, ""), tempfile::tempdir().unwrap());
    let (node, adder) = furnished(keys.path(), &server).await;
    let (ledger, worker) = (node.agent("ledger").unwrap(), adder.clone());
    let spec = AgentSpec::new("adder", move || worker.clone()).capability("add");
    node.spawn_with(spec).await.unwrap();
    disk.fill();
    let fact = |n| Fact::ResourceLow(event::ResourceLow { resource: "ink".into(), used: n, limit: n });
    let (sent, emitted, submitted) = tokio::join!(
        until_refused(async |n| ledger.send(Note(n)).await.map(drop).map_err(|error| error.to_string())),
        until_refused(async |n| node.emit(fact(n)).await.map(drop).map_err(|error| error.to_string())),
        until_refused(async |n| {
            let submitted = node.submit(Submit::new("add", Add(n, 1))).await;
            submitted.map(drop).map_err(|error| error.to_string())
        }),
    );
    for (verb, refused) in [("send", &sent), ("emit", &emitted), ("submit", &submitted)] {
        println!(
            "{verb}: {} acknowledged, then after {:.1?}: {}",
            refused.done, refused.after, refused.error
        );
        assert!(
            refused.error.contains("disk is full") && refused.error.contains("store_dir"),
            "{}",
            refused.error
        );
        assert!(refused.after < DEADLINE, "{:?}", refused.after);
    }
    disk.free();
    server.restart();
    let began = Instant::now();
    until_ok("send", async || ledger.send(Note(1_000_000)).await).await;
    let kept = notes_that(&ledger, "the ledger goes on", |notes| notes.ends_with(&[1_000_000])).await;
    let expected: Vec<u64> = (0..sent.done).collect();
    // The note whose acknowledgement never came may be there.
    assert_eq!(kept[..expected.len()], expected, "none is lost, none applied twice, in order");
    assert!(kept.len() <= expected.len() + 2, "{kept:?}");
    let all_done = async || (0..submitted.done).all(|n| adder.done().contains_key(&n));
    until("every task that was acknowledged is done", all_done).await;
    println!(
        "room again: {} notes and {} tasks are there, {:.1?} after the restart",
        kept.len(),
        submitted.done,
        began.elapsed()
    );
    node.stop().await;
}

/// A stream that is full refuses what nobody has read yet, at once, and says which bound was met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_is_told() {
    let (server, keys) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let mut config = config("one", keys.path(), &server.url());
    config.streams.max_bytes = Some(1 << 20);
    let node = Node::start(config).await.unwrap();
    let nobody = node.agent("nobody-yet").unwrap();
    let bulk = |n: u64| Bulk(n.to_string().repeat(8 << 10));
    let sent =
        until_refused(async |n| nobody.send(bulk(n)).await.map(drop).map_err(|error| error.to_string()));
    let submitted = until_refused(async |n| {
        let submitted = node.submit(Submit::new("add", bulk(n))).await;
        submitted.map(drop).map_err(|error| error.to_string())
    });
    for (stream, refused) in [("AGENT_MESSAGES", sent.await), ("TASK_ROUTING", submitted.await)] {
        println!("{} acknowledged, then after {:.2?}: {}", refused.done, refused.after, refused.error);
        assert!(
            refused.error.contains(&format!("{stream} is full")) && refused.error.contains("raise"),
            "{}",
            refused.error
        );
    }
    node.stop().await;
}

async fn furnished(keys: &Path, server: &NatsServer) -> (Node, Adder) {
    let mut config = config("one", keys, &server.url());
    // A task whose refusal the full disk has swallowed comes again after that.
    config.router.task_lease = Duration::from_secs(3);
    let node = Node::start(config).await.unwrap();
    node.spawn("ledger", Ledger::default).await.unwrap();
    (node, Adder::default())
}

struct Refused {
    done: u64,
    after: Duration,
    error: String,
}

/// Does it, each with a number, until it is refused.
async fn until_refused(mut act: impl AsyncFnMut(u64) -> Result<(), String>) -> Refused {
    for done in 0..100_000 {
        let began = Instant::now();
        if let Err(error) = act(done).await {
            return Refused { done, after: began.elapsed(), error };
        }
    }
    panic!("what is full refuses");
}
