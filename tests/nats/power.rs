//! What an acknowledged write survives, by profile: the power fails on every machine at once, or one machine is gone for good.
//!
//! Each server keeps its store on a file system in a file. The power fails when the file is copied while the servers stand
//! still (SIGSTOP): the copy has what the file system had given to its disk, and what it had not is gone. That takes a file
//! system to mount, and so root; without it a line says that nothing was tried.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome::port::{Discard, Publish, Retention, Storage, StreamConfig, StreamError, Streams};
use connectome::streams::{JetStream, JetStreamOptions};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome_codecs::{MessageId, Sequence, UnixMillis};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::nats::{NatsCluster, NatsServer};

/// Longer than the servers need to answer again after the power is back.
const BACK: Duration = Duration::from_secs(60);

const WRITERS: usize = 16;
const ALWAYS: &str = "max_file_store: 10GB, sync_interval: always";
const BY_DEFAULT: &str = "max_file_store: 10GB";

/// A disk that can lose its power.
struct Disk {
    directory: TempDir,
}

impl Disk {
    fn make() -> Option<Disk> {
        let disk = Disk { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.place()).unwrap();
        std::fs::File::create(disk.image()).unwrap().set_len(256 << 20).unwrap();
        let made = run("mkfs.ext4", &["-q", "-F", disk.image().to_str().unwrap()]);
        (made && disk.mount()).then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("place")
    }

    fn store(&self) -> PathBuf {
        self.place().join("store")
    }

    fn mount(&self) -> bool {
        run("mount", &["-o", "loop", self.image().to_str().unwrap(), self.place().to_str().unwrap()])
    }

    /// What the disk has now is all that it will have.
    fn cut(&self) {
        std::fs::copy(self.image(), self.directory.path().join("kept")).unwrap();
    }

    /// Nobody uses it any more: goes on with what was kept.
    fn come_back(&self) {
        assert!(run("umount", &[self.place().to_str().unwrap()]), "the disk is not used any more");
        std::fs::rename(self.directory.path().join("kept"), self.image()).unwrap();
        assert!(self.mount());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["-l", self.place().to_str().unwrap()]);
    }
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn disks<const N: usize>() -> Option<[Disk; N]> {
    let made: Option<Vec<Disk>> = (0..N).map(|_| Disk::make()).collect();
    if made.is_none() {
        println!("no power was cut: mounting a file system takes root and mkfs.ext4");
    }
    made.and_then(|made| made.try_into().ok())
}

/// `fast` loses what was acknowledged last, as it is said to: else this harness would show nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_costs_fast_its_last_moments() {
    let Some([disk]) = disks() else { return };
    let mut server = NatsServer::start_in(&disk.store(), BY_DEFAULT, "");
    let ledger = Ledger::open(&server.url(), 1).await;
    let acknowledged = ledger.write_until(500, || cut(&[&server], &[&disk])).await;
    server.kill();
    disk.come_back();
    server.restart();
    let kept = Ledger::open(&server.url(), 1).await.kept().await;
    let lost = acknowledged.difference(&kept).count();
    println!("fast, one server, power cut: {} acknowledged, {lost} lost", acknowledged.len());
    assert!(lost > 0, "nobody has forced it to the disk");
}

/// `durable` loses nothing when the power of all three fails, and nothing when one of them is gone with its disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_costs_durable_nothing() {
    let Some(disks) = disks::<3>() else { return };
    let stores = disks.each_ref().map(Disk::store);
    let mut cluster = NatsCluster::start_in(stores.iter().map(PathBuf::as_path), ALWAYS);
    let ledger = Ledger::open(&cluster.urls(), 3).await;
    let all: Vec<&Disk> = disks.iter().collect();
    let acknowledged = {
        let servers: Vec<&NatsServer> = cluster.servers.iter().collect();
        ledger.write_until(500, || cut(&servers, &all)).await
    };
    cluster.servers.iter_mut().for_each(NatsServer::kill);
    all.iter().for_each(|disk| disk.come_back());
    cluster.servers.iter_mut().for_each(NatsServer::restart);
    let kept = Ledger::open(&cluster.urls(), 3).await.kept().await;
    let lost = acknowledged.difference(&kept).count();
    println!("durable, three servers, all lose power: {} acknowledged, {lost} lost", acknowledged.len());
    assert_eq!(lost, 0);

    cluster.servers[0].kill_and_empty();
    let urls = [cluster.servers[1].url(), cluster.servers[2].url()].join(",");
    let kept = Ledger::open(&urls, 3).await.kept().await;
    let lost = acknowledged.difference(&kept).count();
    println!("durable, one machine of three is gone: {} acknowledged, {lost} lost", acknowledged.len());
    assert_eq!(lost, 0);
}

/// The power fails: everything stands still, and what the disks have is what is left.
fn cut(servers: &[&NatsServer], disks: &[&Disk]) {
    servers.iter().for_each(|server| server.stop_signal());
    disks.iter().for_each(|disk| disk.cut());
}

#[derive(Clone)]
struct Ledger(JetStream);

impl Ledger {
    async fn open(urls: &str, replicas: usize) -> Ledger {
        let options = NatsOptions { connect_timeout: BACK, ..NatsOptions::new(urls).unwrap() };
        let connection =
            super::trade::until_ok("connecting", async || NatsConnection::open(&options).await).await;
        let options = JetStreamOptions {
            replicas,
            request_timeout: Duration::from_secs(1),
            deadline: BACK,
            ..JetStreamOptions::default()
        };
        let store = JetStream::open(&connection, options).await.unwrap();
        super::trade::until_ok("the stream", async || store.create_stream(config()).await).await;
        Ledger(store)
    }

    /// Writes from many hands; the power fails a while after so many were acknowledged. What was acknowledged.
    async fn write_until(&self, enough: usize, fail: impl FnOnce()) -> BTreeSet<String> {
        let (over, mut writers) = (Arc::<AtomicBool>::default(), JoinSet::new());
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for writer in 0..WRITERS {
            writers.spawn(write(self.0.clone(), writer, over.clone(), count.clone()));
        }
        super::trade::until("enough is acknowledged", async || count.load(Ordering::Relaxed) >= enough).await;
        tokio::task::block_in_place(fail);
        over.store(true, Ordering::Relaxed);
        // What was on its way is not acknowledged, and nobody waits for it.
        let mut all = BTreeSet::new();
        while let Some(written) = writers.join_next().await {
            all.extend(written.unwrap());
        }
        all
    }

    async fn kept(&self) -> BTreeSet<String> {
        let (mut kept, mut from) = (BTreeSet::new(), Sequence(1));
        loop {
            let read = self.0.read("LEDGER", ">", from, 4_096).await.unwrap();
            let Some(last) = read.last() else { return kept };
            from = last.sequence.next();
            kept.extend(read.iter().map(|stored| String::from_utf8(stored.body.to_vec()).unwrap()));
        }
    }
}

async fn write(
    store: JetStream,
    writer: usize,
    over: Arc<AtomicBool>,
    count: Arc<std::sync::atomic::AtomicUsize>,
) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let line = format!("{writer}/{}", acknowledged.len());
        let id = Some(MessageId::from_parts(UnixMillis(1), rand::random()));
        let message = Publish { subject: "ledger.line".into(), id, body: Bytes::from(line.clone()) };
        match tokio::time::timeout(Duration::from_secs(3), store.publish("LEDGER", message)).await {
            Ok(Ok(_)) => {
                acknowledged.push(line);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // The power has failed.
            Ok(Err(StreamError::Unavailable(_) | StreamError::Unknown(_))) | Err(_) => break,
            Ok(Err(error)) => panic!("{error}"),
        }
    }
    acknowledged
}

fn config() -> StreamConfig {
    StreamConfig {
        name: "LEDGER".into(),
        subjects: vec!["ledger.>".into()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::New,
        duplicate_window: Duration::from_secs(120),
    }
}
