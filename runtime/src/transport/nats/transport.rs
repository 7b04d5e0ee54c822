//! The transport as others see it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{ConnectionFigures, Inbound, Part, Transport, TransportError};
use connectome_codecs::NodeId;
use connectome_codecs::limits::FRAME_MAX;
use futures_util::{FutureExt, stream};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt, SeedableRng};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::connection::NatsConnection;
use super::counts::TransportCounts;
use super::identity::Identity;
use super::links::{Destination, Dice, Links};
use super::options::NatsError;
use super::shell::Shell;
use super::subjects::Subjects;
use crate::transport::looped::Attended;

/// How long our own introduction may take to come back: a round trip, on a busy machine.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// The moment that what was sent is given to leave.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// Frames between nodes over core NATS.
///
/// Dropping it is a sudden end: peers hear from NATS, within half a second, that nobody listens any more. After
/// [`close`](Transport::close) they hear it from us, behind our last frame.
///
/// ```no_run
/// use std::sync::Arc;
/// use connectome::keystore::{MemoryKeys, NodeIdentity};
/// use connectome::port::Transport;
/// use connectome::transport::nats::{NatsConnection, NatsOptions, NatsTransport};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let connection = NatsConnection::open(&NatsOptions::new("nats://127.0.0.1:4222")?).await?;
/// let keys = Arc::new(MemoryKeys::random("ada")?);
/// let ada = NatsTransport::open(connection, "main", Arc::new(NodeIdentity::new(keys))).await?;
/// for peer in ada.peers() {
///     ada.send(peer, "hello".into())?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct NatsTransport {
    node: NodeId,
    shell: Arc<Shell>,
    loops: [Attended; 3],
}

impl NatsTransport {
    /// Begins to meet all other nodes of a namespace. Peers come up within milliseconds; [`met`](NatsTransport::met) waits
    /// for one.
    ///
    /// # Errors
    /// [`NatsError::Namespace`], and [`NatsError::Subjects`] when the server does not let us use our subjects.
    pub async fn open(
        connection: NatsConnection,
        namespace: &str,
        identity: Arc<dyn Identity>,
    ) -> Result<NatsTransport, NatsError> {
        let (node, mut subjects) = (identity.node_id(), Subjects::new(namespace)?);
        let names = [subjects.of(Destination::Node(node)), subjects.of(Destination::Everyone)];
        let refused = |problem: &dyn ToString| NatsError::Subjects {
            subjects: names.each_ref().map(|name| name.as_str()).join(" and "),
            problem: problem.to_string(),
        };
        let subscribe = |at: usize| connection.client().subscribe(names[at].clone());
        let mut inbox = subscribe(0).await.map_err(|error| refused(&error))?;
        let mut everyone = subscribe(1).await.map_err(|error| refused(&error))?;
        let links = Links::new(namespace, identity, dice()?);
        let shell = Arc::new(Shell::new(connection.clone(), subjects, links, node));
        match timeout(OPEN_MAX, introduce(&shell, &mut inbox, &mut everyone)).await {
            Ok(true) => Ok(NatsTransport::start(node, shell, inbox, everyone)),
            Ok(false) => Err(refused(&"the connection was closed")),
            Err(_) => Err(refused(&"what we published did not come back")),
        }
    }

    /// The node that this is.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// The nodes that can be sent to now, sorted.
    pub fn peers(&self) -> Vec<NodeId> {
        self.shell.look(Links::peers)
    }

    /// Waits until this node can be sent to, or until the transport is closed. That may be never.
    pub async fn met(&self, peer: NodeId) {
        self.shell.until(|links| links.is_closed() || links.reaches(peer)).await;
    }

    /// What has happened so far.
    pub fn counts(&self) -> TransportCounts {
        self.shell.look(Links::counts)
    }

    fn start(node: NodeId, shell: Arc<Shell>, inbox: Subscriber, everyone: Subscriber) -> NatsTransport {
        let (reads, ticks, writes) = (shell.clone(), shell.clone(), shell.clone());
        let arriving = Arc::new(Mutex::new(stream::select(inbox, everyone)));
        let loops = [
            Attended::start("transport-reader", move |_| reads.clone().read(arriving.clone()).boxed()),
            Attended::start("transport-watch", move |_| ticks.clone().watch().boxed()),
            Attended::start("transport-writer", move |_| writes.clone().write().boxed()),
        ];
        NatsTransport { node, shell, loops }
    }

    /// Whether the server is there: what is sent while it is not waits where nobody bounds it.
    fn is_up(&self) -> bool {
        self.shell.connection.is_up()
    }
}

#[async_trait]
impl Transport for NatsTransport {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        if frame.len() > FRAME_MAX {
            return Err(TransportError::TooLarge { size: frame.len(), max: FRAME_MAX });
        }
        if !self.is_up() && !self.shell.look(Links::is_closed) {
            return Err(TransportError::Unreachable { to });
        }
        self.shell.send(to, &frame)
    }

    async fn ready(&self, to: NodeId) {
        self.shell.until(|links| !links.is_full(to)).await;
    }

    fn broadcast(&self, frame: Bytes) {
        if frame.len() > FRAME_MAX {
            tracing::warn!(
                size = frame.len(),
                max = FRAME_MAX,
                "a broadcast is larger than a frame may be: not sent"
            );
            return;
        }
        for to in self.peers() {
            // Whoever is full, or gone by now, is passed over: that is what the port says of a broadcast.
            drop(self.send(to, frame.clone()));
        }
    }

    async fn receive(&self) -> Option<Inbound> {
        self.shell.receive().await
    }

    fn reaches(&self, to: NodeId) -> bool {
        self.is_up() && self.shell.look(|links| links.reaches(to))
    }

    async fn close(&self) {
        self.shell.with(|links, _| links.close());
        let leave = async {
            self.shell.until_published().await;
            // It fails when the client is closed; then nothing can leave.
            drop(self.shell.connection.client().flush().await);
        };
        if self.is_up() && timeout(CLOSE_MAX, leave).await.is_err() {
            tracing::warn!("the transport was closed before everything had been sent");
        }
        self.end();
    }

    fn parts(&self) -> Vec<Arc<dyn Part>> {
        let loops = self.loops.iter().map(Attended::part);
        std::iter::once(self.shell.connection.part()).chain(loops).collect()
    }

    fn connection(&self) -> Option<ConnectionFigures> {
        Some(self.shell.connection.figures())
    }
}

impl NatsTransport {
    fn end(&self) {
        self.loops.iter().for_each(Attended::end);
        self.shell.close();
    }
}

impl Drop for NatsTransport {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for NatsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsTransport").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Says to everyone and to ourselves that we are here, and waits until we have heard it. `false`: the connection is closed.
async fn introduce(shell: &Shell, inbox: &mut Subscriber, everyone: &mut Subscriber) -> bool {
    let connections = shell.connection.connections().unwrap_or_default();
    shell.with(|links, now| links.introduce(now, connections));
    while !shell.look(Links::hears_itself) {
        if !shell.read_one(inbox, everyone).await {
            return false;
        }
    }
    true
}

/// A generator that the operating system has seeded.
fn dice() -> Result<Dice, NatsError> {
    let mut generator = StdRng::try_from_rng(&mut SysRng)
        .map_err(|error| NatsError::Randomness { problem: error.to_string() })?;
    Ok(Box::new(move || generator.random()))
}
