//! What time does to links: probes, announcements, silence, and the end.

use std::time::Duration;

use connectome_codecs::NodeId;

use super::super::counts::End;
use super::super::link::SILENCE_MAX;
use super::super::packet::{Packet, Token};
use super::arrivals::{Item, What};
use super::{Destination, Links};

/// How often `tick` is to be called: a probe that is due waits no longer than this, and neither does the second one after
/// NATS has said that nobody listens.
pub(in super::super) const TICK: Duration = Duration::from_millis(125);

/// How often a peer is probed in a small cluster, so that one that was killed is missed within half a second.
const PROBE_MIN: Duration = Duration::from_millis(250);

/// What each peer adds to that, so that a node sends 200 probes a second at the most...
const PROBE_PER_PEER: Duration = Duration::from_millis(5);

/// ...and how seldom a peer is probed in the largest: three probes fit into [`SILENCE_MAX`].
const PROBE_MAX: Duration = Duration::from_secs(1);

/// How often everyone is told that we are here, for those whom nobody told: two halves of a cluster that come together.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(5);

/// The same for a while after a peer was lost: it may come back.
const ANNOUNCE_AFTER_LOSS: Duration = Duration::from_secs(1);
const LOSS_MATTERS: Duration = Duration::from_secs(30);

/// When what was done last, since when the connection is away, and whether there are several servers.
#[derive(Debug, Default)]
pub(super) struct Watch {
    announced: Option<Duration>,
    lost: Option<Duration>,
    away: Option<Duration>,
    cluster: bool,
}

impl Watch {
    pub(super) fn announce(&mut self, now: Duration) {
        self.announced = Some(now);
    }
}

impl Links {
    /// Time has passed; `connections` is how often the connection has been made so far, if it stands.
    pub(in super::super) fn tick(&mut self, now: Duration, connections: Option<u64>) {
        if self.closed {
            return;
        }
        match connections {
            Some(connections) => {
                self.watch.away = None;
                if self.connections != connections {
                    self.connections = connections;
                    self.forgive(now);
                }
                self.tick_links(now);
                self.tick_meetings(now);
                self.announce_if_due(now);
            }
            None => self.tick_away(now),
        }
    }

    /// Whether a peer that has lost its server may be on its way to another one.
    pub(in super::super) fn in_cluster(&mut self, cluster: bool) {
        self.watch.cluster = cluster;
    }

    /// NATS says that nobody listens in this node's place.
    pub(in super::super) fn nobody_listens(&mut self, now: Duration, peer: NodeId) {
        let moves = self.watch.cluster;
        if self.link(peer).is_some_and(|link| link.liveness.nobody_listens(now, moves)) {
            self.lose(now, peer, End::NobodyListens);
        }
    }

    /// A peer says that a link means nothing to it: we begin anew.
    pub(super) fn on_refused(&mut self, now: Duration, token: Token) {
        let links = self.peers.iter().filter_map(|(node, peer)| Some((*node, peer.link.as_ref()?)));
        let refused = links.into_iter().find(|(_, link)| link.theirs == token);
        if let Some((peer, incarnation)) = refused.map(|(node, link)| (node, link.incarnation)) {
            self.lose(now, peer, End::Refused);
            self.meet(now, peer, incarnation);
            self.say_hello(now, peer);
        }
    }

    /// Says farewell to everyone, behind all that was sent. Nothing is taken or told after that.
    pub(in super::super) fn close(&mut self) {
        let links = std::mem::take(&mut self.peers);
        for (peer, link) in links.into_iter().filter_map(|(node, peer)| Some((node, peer.link?))) {
            let farewell = Packet::Farewell { token: link.theirs, sent: link.outgoing.sent() };
            self.put(Destination::Node(peer), farewell.encode().freeze(), false);
        }
        self.tokens.clear();
        self.counts.peers = 0;
        self.closed = true;
        self.changed = true;
    }

    /// Ends a link, if there is one, and tells the reader, behind all that came over it.
    pub(super) fn end(&mut self, peer: NodeId, end: End) {
        let Some(link) = self.peers.get_mut(&peer).and_then(|peer| peer.link.take()) else {
            return;
        };
        if self.peers.get(&peer).is_some_and(|peer| peer.meeting.is_none()) {
            self.peers.remove(&peer);
        }
        self.tokens.remove(&link.mine);
        let before = link.incoming.next();
        self.arrivals.push(Item { peer, what: What::Gone, link: link.mine, before });
        self.counts.peers -= 1;
        self.counts.disconnected.count(end);
        self.changed = true;
    }

    fn lose(&mut self, now: Duration, peer: NodeId, end: End) {
        self.watch.lost = Some(now);
        self.end(peer, end);
    }

    fn forgive(&mut self, now: Duration) {
        self.peers
            .values_mut()
            .filter_map(|peer| peer.link.as_mut())
            .for_each(|link| link.liveness.forgive(now));
        self.watch.announced = None;
    }

    fn tick_links(&mut self, now: Duration) {
        let every = (PROBE_PER_PEER * self.counts.peers as u32).clamp(PROBE_MIN, PROBE_MAX);
        let mut silent = Vec::new();
        let mut probes = Vec::new();
        for (node, peer) in &mut self.peers {
            let Some(link) = &mut peer.link else { continue };
            if link.liveness.is_silent(now) {
                silent.push(*node);
            } else if link.liveness.probe(now, every) {
                let (sent, read) = (link.outgoing.sent(), link.incoming.tell());
                probes.push((*node, Packet::KeepAlive { token: link.theirs, sent, read }));
            }
        }
        silent.into_iter().for_each(|peer| self.lose(now, peer, End::Silent));
        for (peer, probe) in probes {
            self.post(Destination::Node(peer), probe.encode().freeze(), true);
        }
    }

    fn announce_if_due(&mut self, now: Duration) {
        let searches = self.watch.lost.is_some_and(|lost| now.saturating_sub(lost) < LOSS_MATTERS);
        let every = if searches { ANNOUNCE_AFTER_LOSS } else { ANNOUNCE_EVERY };
        if self.watch.announced.is_none_or(|announced| now.saturating_sub(announced) >= every) {
            self.watch.announce(now);
            self.announce(Destination::Everyone);
        }
    }

    /// Our own connection is away: peers stay until that has been so for as long as a peer may be silent.
    fn tick_away(&mut self, now: Duration) {
        let since = *self.watch.away.get_or_insert(now);
        if now.saturating_sub(since) < SILENCE_MAX {
            return;
        }
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.give_up_meeting(peer);
            self.end(peer, End::Outage);
        }
        self.outbound.clear();
    }
}
