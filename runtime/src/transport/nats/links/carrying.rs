//! Frames over links that stand: out, in, and off our hands.

use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{Inbound, TransportError};
use connectome_codecs::NodeId;

use super::super::counts::End;
use super::super::link::{Arrival, Link, Outcome, Place};
use super::super::packet::{DATA_HEADER, PART_HEADER, Packet, Token};
use super::arrivals::{Item, What};
use super::{Destination, Links, OUTBOUND_MAX};

/// The smallest part that a frame is split into, whatever a server says that it carries.
const PART_MIN: usize = 256;

/// A frame of up to this size is copied out of the message: it would keep a read buffer of many times its size alive.
const COPIED_MAX: usize = 2 * 1024;

impl Links {
    /// Takes a frame for a peer, cut to messages of at most `payload_max` bytes.
    ///
    /// # Errors
    /// [`TransportError::Closed`], [`TransportError::Unreachable`], [`TransportError::Full`].
    pub(in super::super) fn send(
        &mut self,
        to: NodeId,
        frame: &Bytes,
        payload_max: usize,
    ) -> Result<(), TransportError> {
        if self.closed {
            return Err(TransportError::Closed);
        }
        let queued = self.outbound.len();
        let link = self.link(to).ok_or(TransportError::Unreachable { to })?;
        if !link.outgoing.has_room() {
            return Err(TransportError::Full { to, bound: link.outgoing.unread() });
        }
        if queued >= OUTBOUND_MAX {
            return Err(TransportError::Full { to, bound: OUTBOUND_MAX });
        }
        let (token, sequence) = (link.theirs, link.outgoing.take(frame.len()));
        let read = link.incoming.tell();
        self.counts.frames_sent += 1;
        self.counts.bytes_sent += frame.len() as u64;
        if DATA_HEADER + frame.len() <= payload_max {
            let data = Packet::Data { token, sequence, read, frame: frame.clone() };
            self.put(Destination::Node(to), data.encode().freeze(), false);
        } else {
            let part_max = payload_max.saturating_sub(PART_HEADER).max(PART_MIN);
            self.send_parts(to, frame, part_max, (token, sequence, read));
        }
        Ok(())
    }

    /// Whether a frame for this peer would be refused, and later perhaps not.
    pub(in super::super) fn is_full(&self, to: NodeId) -> bool {
        let link = self.peers.get(&to).and_then(|peer| peer.link.as_ref());
        link.is_some_and(|link| !link.outgoing.has_room() || self.outbound.len() >= OUTBOUND_MAX)
    }

    /// The next thing to tell, off our hands with this.
    pub(in super::super) fn take(&mut self) -> Option<Inbound> {
        let item = self.arrivals.pop()?;
        self.account(&item);
        let peer = item.peer;
        Some(match item.what {
            What::Frame(frame) => Inbound::Frame { from: peer, frame },
            What::Gap(frames) => Inbound::Gap { from: peer, frames: Some(frames) },
            What::Gone => Inbound::Disconnected { peer },
        })
    }

    /// A packet over a link.
    pub(super) fn on_linked(&mut self, now: Duration, token: Token, packet: Packet, reply: Option<&str>) {
        let Some(peer) = self.heard(now, token) else {
            return self.on_stray(token, &packet, reply);
        };
        match packet {
            Packet::Data { sequence, read, frame, .. } => {
                self.on_read(peer, read);
                self.on_frame(peer, |link| link.incoming.whole(sequence, unshared(frame)));
            }
            Packet::Part { sequence, read, offset, size, bytes, .. } => {
                self.on_read(peer, read);
                self.on_frame(peer, |link| link.incoming.part(sequence, Place { offset, size }, &bytes));
            }
            Packet::Credit { read, .. } => self.on_read(peer, read),
            Packet::KeepAlive { sent, read, .. } => {
                self.on_read(peer, read);
                self.on_sent(peer, sent);
            }
            Packet::Farewell { sent, .. } => {
                self.on_sent(peer, sent);
                self.end(peer, End::Farewell);
            }
            Packet::Announce { .. } | Packet::Hello(_) | Packet::Refused { .. } => {}
        }
    }

    fn send_parts(&mut self, to: NodeId, frame: &Bytes, part_max: usize, link: (Token, u64, u64)) {
        let (token, sequence, read) = link;
        let size = u32::try_from(frame.len()).expect("a frame is at most FRAME_MAX bytes long");
        for offset in (0..size).step_by(part_max) {
            let at = offset as usize;
            let bytes = frame.slice(at..frame.len().min(at + part_max));
            let part = Packet::Part { token, sequence, read, offset, size, bytes };
            self.put(Destination::Node(to), part.encode().freeze(), false);
        }
    }

    /// Whose token this is. An agreement that waits for an echo has it with this.
    fn heard(&mut self, now: Duration, token: Token) -> Option<NodeId> {
        let peer = *self.tokens.get(&token)?;
        let stands = self.link(peer).is_some_and(|link| link.mine == token);
        if !stands && !self.agree(now, peer) {
            return None;
        }
        self.link(peer)?.liveness.hear(now);
        Some(peer)
    }

    /// A message for a link that is not. Whoever waits for a sign of life is told, if it is a node that asks.
    fn on_stray(&mut self, token: Token, packet: &Packet, reply: Option<&str>) {
        self.counts.strays += 1;
        let asks = matches!(packet, Packet::KeepAlive { .. });
        let node = reply.filter(|_| asks).and_then(|reply| reply.parse::<NodeId>().ok());
        if let Some(node) = node.filter(|node| *node != self.node) {
            let refused = Packet::Refused { token };
            self.post(Destination::Node(node), refused.encode().freeze(), false);
        }
    }

    fn on_frame(&mut self, peer: NodeId, arrive: impl FnOnce(&mut Link) -> Arrival) {
        if !self.arrivals.has_room(peer) {
            self.counts.overruns += 1;
            return;
        }
        let Some(link) = self.link(peer) else {
            return;
        };
        let Arrival { missing, outcome } = arrive(link);
        let (token, next) = (link.mine, link.incoming.next());
        match outcome {
            Outcome::Frame(frame) => {
                self.gap(peer, missing, token, next - 1);
                self.counts.frames_received += 1;
                self.counts.bytes_received += frame.len() as u64;
                self.arrivals.push(Item { peer, what: What::Frame(frame), link: token, before: next });
            }
            Outcome::Part => self.gap(peer, missing, token, next),
            Outcome::Torn => {
                self.counts.torn += 1;
                self.gap(peer, missing, token, next);
            }
            Outcome::Duplicate => self.counts.duplicates += 1,
            Outcome::Overrun => self.counts.overruns += 1,
        }
    }

    fn on_sent(&mut self, peer: NodeId, total: u64) {
        if let Some(link) = self.link(peer) {
            let missing = link.incoming.sent(total);
            let (token, next) = (link.mine, link.incoming.next());
            self.gap(peer, missing, token, next);
        }
    }

    fn on_read(&mut self, peer: NodeId, before: u64) {
        let made_room = self.link(peer).is_some_and(|link| link.outgoing.read(before));
        self.changed |= made_room;
    }

    fn gap(&mut self, peer: NodeId, missing: u64, link: Token, before: u64) {
        if missing > 0 {
            self.counts.gaps += 1;
            self.counts.frames_missing += missing;
            self.arrivals.push(Item { peer, what: What::Gap(missing), link, before });
        }
    }

    /// What was read makes room, and its sender is told once that is enough to tell of.
    fn account(&mut self, item: &Item) {
        let Some(link) = self.link(item.peer).filter(|link| link.mine == item.link) else {
            return;
        };
        if link.incoming.taken(item.before, item.size()) {
            let (token, read) = (link.theirs, link.incoming.tell());
            self.post(Destination::Node(item.peer), Packet::Credit { token, read }.encode().freeze(), false);
        }
    }

    pub(super) fn link(&mut self, peer: NodeId) -> Option<&mut Link> {
        self.peers.get_mut(&peer)?.link.as_mut()
    }
}

fn unshared(frame: Bytes) -> Bytes {
    if frame.len() <= COPIED_MAX { Bytes::copy_from_slice(&frame) } else { frame }
}
