//! The stores that the suite runs on, and how a case is run on each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome::streams::{Embedded, JetStream, JetStreamOptions, OpenError};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome_actors::port::{Streams, World};
use connectome_codecs::UnixMillis;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use super::Bench;
use crate::support::nats::{NatsCluster, NatsServer};

/// A store to run cases on.
pub(crate) trait Backend: Sized {
    /// A time that soon passes, and that this store can tell from none.
    const SHORT: Duration;

    /// What the cases run in.
    fn runtime() -> Runtime;

    /// A store of its own, empty.
    async fn start() -> Self;

    /// The store.
    fn streams(&self) -> Arc<dyn Streams>;

    /// Where it is on disk, if it is.
    fn directory(&self) -> Option<&Path> {
        None
    }
}

/// Runs one case on a fresh store; a case that hangs fails.
pub(crate) fn run<B: Backend>(case: impl AsyncFnOnce(Bench)) {
    const HANGS: Duration = Duration::from_secs(120);
    B::runtime().block_on(async {
        let backend = B::start().await;
        let directory = backend.directory().map(Path::to_owned);
        let bench = Bench { streams: backend.streams(), short: B::SHORT, directory };
        timeout(HANGS, case(bench)).await.expect("the case waits for something that never happens");
    });
}

/// The embedded store in memory, on a clock that moves by itself as soon as everyone waits.
pub(crate) struct Memory(Embedded);

impl Backend for Memory {
    const SHORT: Duration = Duration::from_millis(100);

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    }

    async fn start() -> Self {
        Self(Embedded::in_memory(Arc::new(Clock::default())))
    }

    fn streams(&self) -> Arc<dyn Streams> {
        Arc::new(self.0.clone())
    }
}

/// The embedded store in a directory, with threads and the real time.
pub(crate) struct Disk {
    streams: std::cell::RefCell<Option<Embedded>>,
    directory: TempDir,
}

impl Backend for Disk {
    const SHORT: Duration = Duration::from_millis(100);

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let streams = open(directory.path()).unwrap();
        Self { streams: Some(streams).into(), directory }
    }

    fn streams(&self) -> Arc<dyn Streams> {
        Arc::new(self.streams.take().expect("asked for once: the bench is the store's only holder"))
    }

    fn directory(&self) -> Option<&Path> {
        Some(self.directory.path())
    }
}

/// JetStream, in a namespace of its own on the server of this test process.
pub(crate) struct Server(JetStream);

impl Backend for Server {
    /// JetStream counts times to live in seconds.
    const SHORT: Duration = Duration::from_secs(1);

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    async fn start() -> Self {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("case-{}", CASES.fetch_add(1, Ordering::Relaxed));
        Self(connect(&NatsServer::shared().url(), &namespace).await)
    }

    fn streams(&self) -> Arc<dyn Streams> {
        Arc::new(self.0.clone())
    }
}

/// JetStream with three replicas, in a namespace of its own on the cluster of this test process.
pub(crate) struct Cluster(JetStream);

impl Backend for Cluster {
    const SHORT: Duration = Server::SHORT;

    fn runtime() -> Runtime {
        Server::runtime()
    }

    async fn start() -> Self {
        static CASES: AtomicU64 = AtomicU64::new(0);
        let namespace = format!("case-{}", CASES.fetch_add(1, Ordering::Relaxed));
        let connection =
            NatsConnection::open(&NatsOptions::new(&NatsCluster::shared().urls()).unwrap()).await;
        let options = JetStreamOptions {
            namespace: namespace.clone(),
            subject_prefix: Some(namespace),
            replicas: 3,
            // Three servers on a busy machine take their time to elect a leader for each stream and consumer.
            deadline: Duration::from_secs(30),
            ..JetStreamOptions::default()
        };
        Self(JetStream::open(&connection.unwrap(), options).await.unwrap())
    }

    fn streams(&self) -> Arc<dyn Streams> {
        Arc::new(self.0.clone())
    }
}

/// Opens a store on a server; all its subjects begin with the namespace.
pub(crate) async fn connect(url: &str, namespace: &str) -> JetStream {
    let connection = NatsConnection::open(&NatsOptions::new(url).unwrap()).await.unwrap();
    let options = JetStreamOptions {
        namespace: namespace.to_owned(),
        subject_prefix: Some(namespace.to_owned()),
        ..JetStreamOptions::default()
    };
    JetStream::open(&connection, options).await.unwrap()
}

/// Opens a store on disk.
pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Embedded, OpenError> {
    Embedded::open(path.into(), Arc::new(Clock::default()))
}

/// A wall clock that moves with tokio's: really, or virtually.
pub(crate) struct Clock {
    origin: Instant,
    wall: u64,
}

impl Default for Clock {
    fn default() -> Self {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Self { origin: Instant::now(), wall: wall.as_millis() as u64 }
    }
}

impl World for Clock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.wall).after(self.origin.elapsed())
    }

    fn random(&self) -> u128 {
        4
    }
}
