//! Who is in the cluster, and which agents live where.
//!
//! Every node says that it is alive twice a second, and what has changed among its agents when it changes. Each hears
//! all others itself; nobody speaks for somebody else. It decides who is up, suspected or down, what to announce, and
//! when to ask. It does not decide who owns a name (that is a lease's business), and presence is never a reason to
//! believe that an effect is safe.
//!
//! ```text
//!   A (new)                          B                               C
//!   │ ── Heartbeat{version 0} ─────► │ ◄───── Heartbeat{version 7} ─ │
//!   │ ◄──────────── Heartbeat{version 7} ─────────────────────────── │
//!   │ ── Discovery: Query{have 0} ─────────────────────────────────► │
//!   │ ◄── Discovery: Snapshot{version 7, part 0 of 2} ────────────── │
//!   │ ◄── Discovery: Snapshot{version 7, part 1 of 2} ────────────── │   now A has all of C's agents, at once
//!   │ ◄── Discovery: Delta{7 → 8} ─────── also to B ──────────────── │
//! ```
//!
//! Promises:
//! * A view of a node holds exactly what that node announced as one version of its registry: never a mixture of two,
//!   never what somebody else said, never an older version after a newer one of the same life.
//! * After partitions heal and messages arrive again, the views of all live nodes are equal within 10 s.
//! * A node that falls silent is suspected after 2 s and down after 6 s; one that says goodbye is down at once. One
//!   that comes back as a newer incarnation replaces everything it said before.
//! * A node whose path ends while it speaks is suspected at once, and down when it has not spoken for 1.5 s more: that is
//!   how a process that was killed looks. Where silence came first, it is the network's or the broker's, and has its 6 s.
//! * A node that was itself asleep (stopped, suspended) does not blame the others for it.
//! * Cost: two heartbeats a second; at most one announcement every 20 ms, or every 256 changes; at most one question a
//!   second to each node, and one answer each half second to each asker.
//!
//! Next: `peer.rs` (what is believed of another node), `local.rs` (what is said of this one).

mod action;
mod input;
mod local;
mod peer;

use std::collections::BTreeMap;
use std::time::Duration;

use connectome_codecs::NodeId;
use connectome_codecs::message::{AgentRecord, Discovery, DiscoveryAction, Heartbeat};

use super::Now;
pub use action::{Action, Gone, Said};
pub use input::Input;
use local::Local;
use peer::Peer;
pub use peer::Presence;

/// How soon silence means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats.
    pub heartbeat_every: Duration,
    /// Silence after which a node is suspected. Four heartbeats: two may be lost and one may be late. An agent whose
    /// owner was killed without a word must answer again within three seconds, and this is the most of it.
    pub suspect_after: Duration,
    /// Silence after the end of its path after which a node is down. Long enough for one that lost its connection to make
    /// another one and speak; the agents of one that was killed must be gone after three seconds.
    pub lost_after: Duration,
    /// Silence after which a node is down. Long enough for a broker to elect a new leader (about 5 s), so that its
    /// failure does not make every node lose every other.
    pub down_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_every: Duration::from_millis(500),
            suspect_after: Duration::from_secs(2),
            lost_after: Duration::from_millis(1_500),
            down_after: Duration::from_secs(6),
        }
    }
}

/// This node's part in the cluster, and its view of the others.
///
/// ```
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::membership::{Action, Input, Membership, Timing};
/// use connectome_codecs::NodeId;
/// use connectome_codecs::message::Heartbeat;
///
/// let (here, there) = (NodeId([1; 32]), NodeId([2; 32]));
/// let mut membership = Membership::new(here, 1_000, Timing::default(), Now::ZERO);
/// let body = Heartbeat { node: there, incarnation: 900, registry_version: 0, agents: 0, in_flight: 0, accepts: vec![] };
/// let actions: Vec<_> = membership.handle(Now::ZERO, Input::Heartbeat { from: there, body }).collect();
/// assert_eq!(actions, [Action::NodeUp { node: there, incarnation: 900 }]);
/// ```
#[derive(Debug)]
pub struct Membership {
    local: Local,
    peers: BTreeMap<NodeId, Peer>,
    timing: Timing,
    next_heartbeat: Now,
    last_tick: Now,
    left: bool,
    actions: Vec<Action>,
}

impl Membership {
    /// A node that knows nobody. `incarnation` must be larger than in any earlier life of this node, and of this value
    /// on it: the time at which it is made, in milliseconds since 1970. Versions begin anew with it; under an old
    /// incarnation nobody would believe them. The first heartbeat is due at once.
    pub fn new(node: NodeId, incarnation: u64, timing: Timing, now: Now) -> Self {
        Self {
            local: Local::new(node, incarnation, now),
            peers: BTreeMap::new(),
            timing,
            next_heartbeat: now,
            last_tick: now,
            left: false,
            actions: Vec::new(),
        }
    }

    /// Takes one input and returns what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input) -> impl Iterator<Item = Action> {
        if !self.left {
            self.take(now, input);
        }
        self.actions.drain(..)
    }

    /// When to say [`Input::Tick`] next, if nothing is said before; ask again after every input.
    pub fn next_tick(&self) -> Option<Now> {
        let peers = self.peers.values().map(|peer| peer.next_tick(&self.timing));
        let own = [Some(self.next_heartbeat), self.local.announce_at()].into_iter().flatten();
        peers.chain(own).min().filter(|_| !self.left)
    }

    /// The nodes that are up or suspected.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Presence)> {
        let peers = self.peers.iter().map(|(node, peer)| (*node, peer.presence()));
        peers.filter(|(_, presence)| presence.is_present())
    }

    /// What a node announced last, as far as this one knows, sorted by name.
    pub fn agents(&self, node: NodeId) -> impl Iterator<Item = &AgentRecord> {
        self.peers.get(&node).into_iter().flat_map(Peer::agents)
    }

    fn take(&mut self, now: Now, input: Input) {
        match input {
            Input::Tick => self.tick(now),
            Input::Heartbeat { from, body } => self.heartbeat(now, from, &body),
            Input::Discovery { from, body } => self.discovery(now, from, body),
            Input::Register(record) => {
                let full = self.local.register(record).err();
                self.actions.extend(full.map(|name| Action::RegistryFull { name }));
                self.announce(now);
            }
            Input::Unregister(name) => {
                self.local.unregister(name);
                self.announce(now);
            }
            Input::Offer(name) => {
                let full = self.local.offer(name).err();
                self.actions.extend(full.map(|name| Action::RegistryFull { name }));
                self.announce(now);
            }
            Input::Withdraw(name) => {
                self.local.withdraw(name);
                self.announce(now);
            }
            Input::Load { in_flight } => self.local.in_flight = in_flight,
            Input::Disconnected { node } => {
                self.with(node, |peer, _| peer.path_ended(now));
                self.suspect(node);
            }
            Input::Leave => self.leave(),
        }
    }

    fn tick(&mut self, now: Now) {
        self.forgive_after_sleep(now);
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + self.timing.heartbeat_every;
            self.actions.push(Action::Broadcast(Said::Heartbeat(self.local.heartbeat())));
        }
        self.announce(now);
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.check(now, node));
    }

    /// Ticks come at least as often as heartbeats. If the last one is longer ago than it takes to suspect somebody,
    /// it was this node that stood still, and what the others said meanwhile has yet to be heard.
    fn forgive_after_sleep(&mut self, now: Now) {
        if now.since(self.last_tick) >= self.timing.suspect_after {
            self.peers.values_mut().for_each(|peer| peer.excuse(now));
        }
        self.last_tick = now;
    }

    fn announce(&mut self, now: Now) {
        let delta = self.local.announce(now).map(Said::Discovery);
        self.actions.extend(delta.map(Action::Broadcast));
    }

    /// What time alone does to a node.
    fn check(&mut self, now: Now, node: NodeId) {
        let Some(peer) = self.peers.get(&node) else { return };
        let silence = peer.silence(now);
        match peer.presence() {
            Presence::Up | Presence::Suspected if silence >= self.timing.down_after => {
                self.down(now, node, Gone::Silent);
            }
            Presence::Suspected if peer.is_lost(now, &self.timing) => self.down(now, node, Gone::Silent),
            Presence::Up if silence >= self.timing.suspect_after => self.suspect(node),
            Presence::Up => self.ask(now, node),
            Presence::Suspected => {}
            Presence::Down | Presence::Left if silence >= FORGET_AFTER => drop(self.peers.remove(&node)),
            Presence::Down | Presence::Left => {}
        }
    }

    fn heartbeat(&mut self, now: Now, from: NodeId, body: &Heartbeat) {
        if body.node == from && self.hear(now, from, body.incarnation) {
            self.with(from, |peer, _| peer.has_version(body.registry_version));
            self.ask(now, from);
        }
    }

    fn discovery(&mut self, now: Now, from: NodeId, body: Discovery) {
        if body.node != from || !self.hear(now, from, body.incarnation) {
            return;
        }
        match body.action {
            DiscoveryAction::Query => self.answer(now, from),
            DiscoveryAction::Snapshot => self.with(from, |peer, actions| peer.snapshot(from, body, actions)),
            DiscoveryAction::Delta => self.with(from, |peer, actions| peer.delta(from, body, actions)),
            DiscoveryAction::Goodbye => self.down(now, from, Gone::Left),
            DiscoveryAction::Unknown(_) => {}
        }
        self.ask(now, from);
    }

    /// Notes that a node spoke. False when what it says is to be ignored: it is this node, an earlier life of that
    /// one, or one that said goodbye.
    fn hear(&mut self, now: Now, from: NodeId, incarnation: u64) -> bool {
        if from == self.local.node || !(self.peers.contains_key(&from) || self.make_room()) {
            return false;
        }
        let known = self.peers.get(&from).map(|peer| (peer.incarnation, peer.presence()));
        match known {
            Some((newer, _)) if newer > incarnation => return false,
            Some((same, presence)) if same == incarnation => match presence {
                Presence::Up => {}
                Presence::Suspected => self.actions.push(Action::NodeRecovered { node: from }),
                Presence::Down => self.up(now, from, incarnation),
                Presence::Left => return false,
            },
            Some((_, Presence::Up | Presence::Suspected)) => {
                self.down(now, from, Gone::Restarted);
                self.up(now, from, incarnation);
            }
            Some((_, Presence::Down | Presence::Left)) | None => self.up(now, from, incarnation),
        }
        self.with(from, |peer, _| peer.heard(now));
        true
    }

    fn up(&mut self, now: Now, node: NodeId, incarnation: u64) {
        self.peers.insert(node, Peer::new(incarnation, now));
        self.actions.push(Action::NodeUp { node, incarnation });
    }

    fn suspect(&mut self, node: NodeId) {
        if self.peers.get_mut(&node).is_some_and(Peer::suspect) {
            self.actions.push(Action::NodeSuspected { node });
        }
    }

    fn down(&mut self, now: Now, node: NodeId, why: Gone) {
        let presence = match why {
            Gone::Left => Presence::Left,
            Gone::Silent | Gone::Restarted => Presence::Down,
        };
        self.with(node, |peer, actions| peer.gone(now, node, presence, actions));
        self.actions.push(Action::NodeDown { node, why });
    }

    /// Asks a node for what it has and we lack, if it is time.
    fn ask(&mut self, now: Now, node: NodeId) {
        let have = self.peers.get_mut(&node).and_then(|peer| peer.question(now));
        let query = have.map(|have| Action::Send { to: node, body: self.local.query(have) });
        self.actions.extend(query);
    }

    fn answer(&mut self, now: Now, asker: NodeId) {
        if self.peers.get_mut(&asker).is_some_and(|peer| peer.may_be_answered(now)) {
            let parts = self.local.snapshot();
            self.actions.extend(parts.map(|body| Action::Send { to: asker, body }));
        }
    }

    fn leave(&mut self) {
        self.left = true;
        self.actions.push(Action::Broadcast(Said::Discovery(self.local.goodbye())));
    }

    fn with(&mut self, node: NodeId, work: impl FnOnce(&mut Peer, &mut Vec<Action>)) {
        if let Some(peer) = self.peers.get_mut(&node) {
            work(peer, &mut self.actions);
        }
    }

    /// Room for one more node: one that is gone makes place; if all are there, the newcomer is not heard.
    fn make_room(&mut self) -> bool {
        if self.peers.len() < NODES_MAX {
            return true;
        }
        let gone = self.peers.iter().find(|(_, peer)| !peer.presence().is_present()).map(|(node, _)| *node);
        gone.is_some_and(|node| self.peers.remove(&node).is_some())
    }
}

/// Nodes that one node keeps track of. Everyone hears everyone: a thousand heartbeats a second are still cheap, a
/// larger cluster needs another protocol.
pub const NODES_MAX: usize = 1_024;

/// Agents that one node announces: the hundred thousand it is built for, and some.
pub const AGENTS_MAX: usize = 128 * 1_024;

/// A node that is gone is remembered this long, so that a message of its earlier life that was on the way is not
/// believed. Afterwards any incarnation is welcome: its clock may have been set back.
pub const FORGET_AFTER: Duration = Duration::from_secs(60);
