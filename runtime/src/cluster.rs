//! A cluster in one process: several nodes over one store and one hub, each on a runtime of its own.
//!
//! For a first look, for examples and for tests with real time and a real disk. A node can be killed without warning:
//! its runtime is taken away, so nothing of it runs any more, as after `kill -9`. What crosses between nodes is encoded
//! and decoded as between machines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectome_actors::Ports;
use connectome_actors::port::{KeyStore, KeyStoreError, Streams, World};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::keystore::{FileKeys, MemoryKeys};
use crate::node::{Node, NodeError, NodeOptions};
use crate::streams::{Embedded, OpenError};
use crate::transport::local::Hub;
use crate::world::SystemWorld;

/// Several nodes in one process.
///
/// ```
/// use connectome::{LocalCluster, NodeOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cluster = LocalCluster::in_memory(NodeOptions::default())?;
/// let one = cluster.start("one").await?;
/// let two = cluster.start("two").await?;
/// assert_ne!(one.id(), two.id());
/// cluster.kill("two");
/// cluster.stop().await;
/// # Ok(()) }
/// ```
pub struct LocalCluster {
    hub: Hub,
    world: Arc<dyn World>,
    store: Arc<dyn Streams>,
    root: Root,
    options: NodeOptions,
    running: Mutex<BTreeMap<String, (Runtime, Node)>>,
}

/// The root key that the nodes share.
enum Root {
    /// Gone with the process.
    Memory([u8; 32]),
    /// In a file, like the store.
    File(PathBuf),
}

impl Root {
    fn keys(&self, node: &str) -> Result<Arc<dyn KeyStore>, KeyStoreError> {
        Ok(match self {
            Root::Memory(seed) => Arc::new(MemoryKeys::from_seed(*seed, node)),
            Root::File(path) => Arc::new(FileKeys::open(path, node)?),
        })
    }
}

/// Why a node of a local cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A node of that name runs already.
    #[error("a node named {0} runs already: stop or kill it first")]
    Runs(String),
    /// The operating system gave no thread, or no randomness.
    #[error("the operating system did not give what a node needs: {0}")]
    System(#[from] std::io::Error),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The node itself could not be started.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The node ended while it was being started.
    #[error("the node ended while it was being started")]
    Ended,
}

impl LocalCluster {
    /// A cluster whose store is gone with the process.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn in_memory(options: NodeOptions) -> Result<LocalCluster, ClusterError> {
        let world = Arc::new(SystemWorld::new()?);
        let store = Arc::new(Embedded::in_memory(world.clone()));
        let mut root = [0; 32];
        world.fill(&mut root);
        Ok(LocalCluster::over(world, store, Root::Memory(root), options))
    }

    /// A cluster whose store is on disk, and its root key beside it.
    ///
    /// # Errors
    /// When the store can't be opened: the text names the path and the remedy.
    pub fn on_disk(path: &Path, options: NodeOptions) -> Result<LocalCluster, ClusterError> {
        let world = Arc::new(SystemWorld::new()?);
        let store = Arc::new(Embedded::open(path, world.clone())?);
        Ok(LocalCluster::over(world, store, Root::File(path.join("root.key")), options))
    }

    fn over(
        world: Arc<SystemWorld>,
        store: Arc<dyn Streams>,
        root: Root,
        options: NodeOptions,
    ) -> LocalCluster {
        LocalCluster { hub: Hub::new(), world, store, root, options, running: Mutex::default() }
    }

    /// Starts a node, for the first time or again after it was stopped or killed.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn start(&self, name: &str) -> Result<Node, ClusterError> {
        if self.running.lock().contains_key(name) {
            return Err(ClusterError::Runs(name.to_owned()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("node-{name}"))
            .enable_time()
            .build()?;
        let (hub, world, store) = (self.hub.clone(), self.world.clone(), self.store.clone());
        let keys = self.root.keys(name).map_err(NodeError::Keys)?;
        let options = self.options.clone();
        let started = runtime.spawn(async move {
            let transport = Arc::new(hub.join(keys.node_id()).map_err(NodeError::Join)?);
            Node::start_with(Ports { world, keys, transport, streams: store }, options).await
        });
        let node = started.await.map_err(|_| ClusterError::Ended)??;
        self.running.lock().insert(name.to_owned(), (runtime, node.clone()));
        Ok(node)
    }

    /// Takes a node away without warning: nothing of it runs any more, nothing is handed back. Says whether it ran.
    pub fn kill(&self, name: &str) -> bool {
        let Some((runtime, node)) = self.running.lock().remove(name) else { return false };
        // First its voice: what its tasks would still say while they are dropped must not be heard.
        self.hub.cut(node.id());
        runtime.shutdown_background();
        true
    }

    /// The nodes that run, by name.
    pub fn nodes(&self) -> Vec<(String, Node)> {
        self.running.lock().iter().map(|(name, (_, node))| (name.clone(), node.clone())).collect()
    }

    /// The store that the nodes share.
    pub fn store(&self) -> Arc<dyn Streams> {
        self.store.clone()
    }

    /// Stops all nodes gracefully, one after the other.
    pub async fn stop(&self) {
        for (name, node) in self.nodes() {
            node.stop().await;
            self.kill(&name);
        }
    }
}

impl Drop for LocalCluster {
    /// A runtime may not be dropped where it would block, so it is taken away in the background.
    fn drop(&mut self) {
        for (_, (runtime, _)) in std::mem::take(&mut *self.running.lock()) {
            runtime.shutdown_background();
        }
    }
}
