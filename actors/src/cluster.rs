//! The keeper of the cluster's registry: hears and sends heartbeats, and writes what is believed into the registry.
//!
//! What to believe, and when to suspect silence, is decided in `protocol/membership`; this is the actor around it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message::{Body, Discovery};
use connectome_codecs::{Address, AgentId, AgentName, Encoding, Envelope, NodeId, compression};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::event_dispatcher::record_of;
use crate::ownership::News;
use crate::protocol::Now;
use crate::protocol::membership::{Action, Gone, Input, Membership, Said, Timing};
use crate::registry::NodeState;
use crate::remote::Gossip;
use crate::router::Router;
use crate::service::Service;

/// How long a stopping keeper waits for its goodbye to be taken by the transport.
const GOODBYE: Duration = Duration::from_millis(100);

/// Keeps the registry of other nodes' agents, and tells others of this one's.
pub(crate) struct ClusterKeeper {
    pub(crate) router: Router,
    pub(crate) timing: Timing,
}

impl Service for ClusterKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let heard = self.router.inner().remote.listen();
        let router = self.router;
        let began = Instant::now();
        // A keeper that follows a crashed one is a new life to the others, since its versions begin anew.
        let life = router.now().0.max(router.incarnation() + 1);
        let membership = Membership::new(router.node_id(), life, self.timing, Now::ZERO);
        let mut keeper = Keeper { router, membership, began, ids: BTreeMap::new(), heartbeat: None };
        keeper.begin();
        keeper.keep(heard, stop).await;
        Ok(())
    }
}

struct Keeper {
    router: Router,
    membership: Membership,
    began: Instant,
    ids: BTreeMap<AgentName, AgentId>,
    /// The last one that was sent: for a node that was met since.
    heartbeat: Option<Bytes>,
}

impl Keeper {
    /// A keeper that follows a crashed one learns everything anew.
    fn begin(&mut self) {
        self.router.registry().forget_remote();
        self.router.offers().forget_remote();
        for name in self.router.local_agents() {
            self.changed(&name);
        }
        for name in self.router.offers().names_here() {
            self.offer_changed(name);
        }
    }

    async fn keep(&mut self, mut heard: mpsc::Receiver<Gossip>, stop: CancellationToken) {
        loop {
            let tick = self.membership.next_tick().map(|now| self.began + now.since_origin());
            let changes = &self.router.inner().announce;
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(gossip) = heard.recv() => self.hear(gossip),
                names = self.router.offers().to_announce() => names.into_iter().for_each(|name| self.offer_changed(name)),
                names = changes.take() => names.iter().for_each(|name| self.changed(name)),
                () = until(tick) => {
                    self.load();
                    self.router.inner().peers.tend();
                    self.tell(Input::Tick);
                }
            }
        }
        self.tell(Input::Leave);
        // The agents have stopped: their last answers leave, and then the goodbye.
        self.router.inner().peers.flush();
        // The transport closes next; this lets the goodbye leave before.
        drop(timeout(GOODBYE, tokio::task::yield_now()).await);
    }

    fn hear(&mut self, gossip: Gossip) {
        self.tell(match gossip {
            Gossip::Met(node) => {
                if let Some(heartbeat) = self.heartbeat.clone() {
                    self.router.inner().peers.whisper(node, heartbeat);
                }
                return;
            }
            Gossip::Heartbeat(from, body) => {
                let encoding = self.router.choose_encoding(&body.accepts);
                self.router.inner().remote.negotiated(from, encoding);
                Input::Heartbeat { from, body }
            }
            Gossip::Discovery(from, body) => Input::Discovery { from, body },
            Gossip::Disconnected(node) => Input::Disconnected { node },
        });
    }

    /// Announces what has become of one of this node's agents.
    fn changed(&mut self, name: &AgentName) {
        let input = match self.router.registry().local(name) {
            Some(cell) => {
                let mut record = record_of(&cell);
                record.id = self.id_of(name);
                self.router.registrations_table().want(record.clone());
                // Whoever may not have the name is not found by others. Where a lease decides, nothing else does.
                if record.term.is_none() && self.router.registrations_table().is_taken(name) {
                    Input::Unregister(name.clone())
                } else {
                    Input::Register(record)
                }
            }
            None => {
                if let Some(id) = self.ids.remove(name) {
                    self.router.registry().forget_id(&id);
                }
                self.router.registrations_table().unwant(name);
                Input::Unregister(name.clone())
            }
        };
        self.tell(input);
    }

    fn offer_changed(&mut self, name: AgentName) {
        let offered = self.router.offers().is_announced(&name);
        self.tell(if offered { Input::Offer(name) } else { Input::Withdraw(name) });
    }

    fn id_of(&mut self, name: &AgentName) -> Option<AgentId> {
        match self.router.inner().ports.keys.agent_id(name) {
            Ok(id) => {
                self.router.registry().note_id(id, name);
                self.ids.insert(name.clone(), id);
                Some(id)
            }
            Err(error) => {
                tracing::error!(agent = %name, %error, "an agent is announced without its id");
                None
            }
        }
    }

    fn load(&mut self) {
        let pending = self.router.accounts().pending;
        self.tell(Input::Load { in_flight: u32::try_from(pending).unwrap_or(u32::MAX) });
    }

    fn tell(&mut self, input: Input) {
        let now = Now::new(self.began.elapsed());
        let actions: Vec<_> = self.membership.handle(now, input).collect();
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let registry = self.router.registry();
        match action {
            Action::Broadcast(said) => self.broadcast(said),
            Action::Send { to, body } => self.send(to, &body),
            Action::NodeUp { node, incarnation } => {
                tracing::info!(%node, incarnation, "a node is up");
                self.set_node(node, Some(NodeState::Up));
            }
            Action::NodeRecovered { node } => self.set_node(node, Some(NodeState::Up)),
            Action::NodeSuspected { node } => {
                tracing::info!(%node, "a node is suspected");
                self.set_node(node, Some(NodeState::Suspected));
            }
            Action::NodeDown { node, why } => {
                tracing::info!(%node, ?why, "a node is down");
                self.set_node(node, None);
                match why {
                    Gone::Left | Gone::Restarted => self.router.offers().tell(News::Fallen(node)),
                    // It may live where it is not heard.
                    Gone::Silent => {}
                }
                self.router.node_lost(node);
            }
            Action::OfferUp { node, name } => self.router.offers().add_remote(node, name),
            Action::OfferDown { node, name } => self.router.offers().remove_remote(node, &name),
            Action::AgentUp { node, record } => {
                self.router.offers().heard(&record.name, record.term);
                registry.add_remote(node, record);
            }
            Action::AgentDown { node, name } => registry.remove_remote(node, &name),
            Action::RegistryFull { name } => {
                tracing::error!(agent = %name, "too many agents to announce: other nodes will not find it");
            }
        }
    }

    fn set_node(&self, node: NodeId, state: Option<NodeState>) {
        self.router.registry().set_node(node, state);
        self.router.offers().tell(News::Nodes);
        self.router.registrations_table().nodes_changed();
    }

    /// Sealed to each, since nobody else is to know who lives here.
    fn broadcast(&mut self, said: Said) {
        let peers = self.router.inner().peers.clone();
        let payload = match said {
            Said::Heartbeat(mut heartbeat) => {
                peers.here();
                heartbeat.accepts = self.router.inner().config.encodings.clone();
                self.heartbeat = self.payload(&heartbeat);
                self.heartbeat.clone()
            }
            Said::Discovery(discovery) => self.payload(&discovery),
        };
        if let Some(payload) = payload {
            peers.known().into_iter().for_each(|node| peers.whisper(node, payload.clone()));
        }
    }

    fn send(&self, to: NodeId, body: &Discovery) {
        if let Some(payload) = self.payload(body) {
            // What is lost is asked for again.
            self.router.inner().peers.whisper(to, payload);
        }
    }

    /// To nobody in particular: the transport says who it is for.
    fn payload<B: Body>(&self, body: &B) -> Option<Bytes> {
        let to = Address::Id(AgentId(*self.router.node_id().as_bytes()));
        let encode = || -> Result<Bytes, connectome_codecs::EncodeError> {
            Envelope::new(self.router.message_id(), B::KIND, to, self.router.now(), body.encode()?).encode()
        };
        match encode() {
            Ok(payload) => Some(payload),
            Err(error) => {
                tracing::error!(kind = %B::KIND, %error, "a message of the membership could not be encoded");
                None
            }
        }
    }
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(tick) => sleep_until(tick).await,
        None => std::future::pending().await,
    }
}

impl Router {
    /// The best encoding that the other side reads and this one is allowed to write.
    fn choose_encoding(&self, offered: &[Encoding]) -> Encoding {
        let allowed = &self.inner().config.encodings;
        let common: Vec<_> = offered.iter().copied().filter(|encoding| allowed.contains(encoding)).collect();
        compression::negotiate(&common)
    }
}
