//! How two nodes come to agree on a link.
//!
//! ```text
//! Ada                                          Bob
//!  | announce (to everyone) ------------------> |  remembers her, makes a token
//!  | <------------- hello(token: B, echo: none) |
//!  | hello(token: A, echo: B) ----------------> |  his link is up: she sends under B, he under A
//!  | <------------------ hello(token: B, echo: A) |
//!  | her link is up
//! ```
//!
//! Both are signed. A token is random and told to one node, so an echo of it is an answer to this very hello and no
//! recording. Whoever uses a token in a frame has echoed it as well.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use connectome_codecs::NodeId;

use super::super::counts::End;
use super::super::link::{Link, SILENCE_MAX};
use super::super::packet::{Hello, Incarnation, Packet, Signed, Token};
use super::{Destination, Links, Peer};

/// The most nodes that are known at a time: a cluster ten times as large as one that talks all to all. Keys cost a stranger
/// nothing, so the table must have an end.
pub(in super::super) const PEERS_MAX: usize = 4_096;

/// What a signature here is for.
const CONTEXT: &str = "connectome/nats/link/v1";

/// A hello that is not answered is sent again after this: one that was lost must not cost a second.
const HELLO_EVERY: Duration = Duration::from_millis(500);

/// No token: what has not been told yet.
const NONE: Token = Token(0);

/// An agreement that does not stand yet.
#[derive(Debug)]
pub(super) struct Meeting {
    incarnation: Incarnation,
    mine: Token,
    theirs: Option<Token>,
    since: Duration,
    asked: Duration,
}

impl Links {
    /// Tells everyone, or one node, that we are here.
    pub(super) fn announce(&mut self, to: Destination) {
        let announce = Packet::Announce { from: self.node, incarnation: self.incarnation };
        let bytes = self.signed(announce.encode());
        self.post(to, bytes, false);
    }

    pub(super) fn on_announce(
        &mut self,
        now: Duration,
        from: NodeId,
        incarnation: Incarnation,
        signed: &Signed,
    ) {
        if from == self.node {
            return self.on_own_announce(incarnation);
        }
        if self.has_met(from, incarnation) || !self.admits(from) || !self.is_genuine(from, signed) {
            return;
        }
        self.meet(now, from, incarnation);
        self.say_hello(now, from);
    }

    pub(super) fn on_hello(&mut self, now: Duration, hello: Hello, signed: &Signed) {
        if hello.to != self.node || hello.from == self.node {
            self.counts.malformed += 1;
            return;
        }
        if self.knows(&hello) {
            return self.on_repeated_hello(&hello);
        }
        if !self.admits(hello.from) || !self.is_genuine(hello.from, signed) {
            return;
        }
        if hello.to_incarnation != self.incarnation {
            return self.announce(Destination::Node(hello.from));
        }
        let meeting = self.meet(now, hello.from, hello.incarnation);
        meeting.theirs = Some(hello.token);
        if meeting.mine == hello.echo {
            self.agree(now, hello.from);
        }
        self.say_hello(now, hello.from);
    }

    /// Begins to agree with a node that was heard of, or goes on with it.
    pub(super) fn meet(&mut self, now: Duration, with: NodeId, incarnation: Incarnation) -> &mut Meeting {
        let peer = self.peers.entry(with).or_default();
        let begun = peer.meeting.take();
        let goes_on = begun.as_ref().is_some_and(|meeting| meeting.incarnation == incarnation);
        if let Some(other) = begun.as_ref().filter(|_| !goes_on) {
            self.tokens.remove(&other.mine);
        }
        let meeting = begun.filter(|_| goes_on).unwrap_or_else(|| {
            let mine = Token((self.dice)());
            self.tokens.insert(mine, with);
            Meeting { incarnation, mine, theirs: None, since: now, asked: now }
        });
        peer.meeting.insert(meeting)
    }

    /// Makes the link, if both tokens are known. Whether there is one now.
    pub(super) fn agree(&mut self, now: Duration, with: NodeId) -> bool {
        let Some(peer) = self.peers.get_mut(&with) else {
            return false;
        };
        let Some(Meeting { incarnation, mine, theirs: Some(theirs), .. }) = peer.meeting else {
            return false;
        };
        self.end(with, End::Replaced);
        let link = Some(Link::new(incarnation, mine, theirs, now));
        self.peers.insert(with, Peer { link, meeting: None });
        self.counts.met += 1;
        self.counts.peers += 1;
        self.changed = true;
        true
    }

    /// Tells a node our token and, if we have it, its own: of what is being agreed on, or else of what stands.
    pub(super) fn say_hello(&mut self, now: Duration, to: NodeId) {
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        if let Some(meeting) = &mut peer.meeting {
            meeting.asked = now;
            let (incarnation, mine, theirs) = (meeting.incarnation, meeting.mine, meeting.theirs);
            self.hello(to, incarnation, mine, theirs.unwrap_or(NONE));
        } else {
            self.repeat_hello(to);
        }
    }

    fn repeat_hello(&mut self, to: NodeId) {
        if let Some(link) = self.link(to) {
            let (incarnation, mine, theirs) = (link.incarnation, link.mine, link.theirs);
            self.hello(to, incarnation, mine, theirs);
        }
    }

    fn hello(&mut self, to: NodeId, to_incarnation: Incarnation, token: Token, echo: Token) {
        let (from, incarnation) = (self.node, self.incarnation);
        let hello = Hello { from, incarnation, to, to_incarnation, token, echo };
        let bytes = self.signed(Packet::Hello(hello).encode());
        self.post(Destination::Node(to), bytes, false);
    }

    /// Goes on with meetings that wait for an answer, and gives up those that wait in vain.
    pub(super) fn tick_meetings(&mut self, now: Duration) {
        let meetings = self.peers.iter().filter_map(|(node, peer)| Some((*node, peer.meeting.as_ref()?)));
        let waiting: Vec<_> = meetings.map(|(node, meeting)| (node, meeting.since, meeting.asked)).collect();
        for (node, since, asked) in waiting {
            if now.saturating_sub(since) >= SILENCE_MAX {
                self.give_up_meeting(node);
            } else if now.saturating_sub(asked) >= HELLO_EVERY {
                self.say_hello(now, node);
            }
        }
    }

    pub(super) fn give_up_meeting(&mut self, with: NodeId) {
        let Some(peer) = self.peers.get_mut(&with) else {
            return;
        };
        if let Some(meeting) = peer.meeting.take() {
            self.tokens.remove(&meeting.mine);
        }
        if peer.link.is_none() {
            self.peers.remove(&with);
        }
    }

    fn on_own_announce(&mut self, incarnation: Incarnation) {
        if incarnation == self.incarnation {
            self.heard_itself += 1;
        } else {
            self.counts.twins += 1;
        }
    }

    /// A hello of a link that stands: its sender has not heard our answer, or says it once more.
    fn on_repeated_hello(&mut self, hello: &Hello) {
        let link = self.peers.get(&hello.from).and_then(|peer| peer.link.as_ref());
        if link.is_some_and(|link| link.mine != hello.echo) {
            self.repeat_hello(hello.from);
        }
    }

    fn knows(&self, hello: &Hello) -> bool {
        let link = self.peers.get(&hello.from).and_then(|peer| peer.link.as_ref());
        link.is_some_and(|link| link.incarnation == hello.incarnation && link.theirs == hello.token)
    }

    fn has_met(&self, node: NodeId, incarnation: Incarnation) -> bool {
        let link = self.peers.get(&node).and_then(|peer| peer.link.as_ref());
        link.is_some_and(|link| link.incarnation == incarnation)
    }

    fn admits(&mut self, node: NodeId) -> bool {
        let has_room = self.peers.len() < PEERS_MAX && self.arrivals.senders() < PEERS_MAX;
        let admits = has_room || self.peers.contains_key(&node);
        self.counts.turned_away += u64::from(!admits);
        admits
    }

    fn is_genuine(&mut self, from: NodeId, signed: &Signed) -> bool {
        let message = self.to_sign(&signed.bytes);
        let genuine = self.identity.verify(from, CONTEXT, &message, &signed.signature);
        self.counts.forged += u64::from(!genuine);
        genuine
    }

    fn signed(&self, mut bytes: BytesMut) -> Bytes {
        let signature = self.identity.sign(CONTEXT, &self.to_sign(&bytes));
        bytes.put_slice(&signature);
        bytes.freeze()
    }

    /// What a signature is made over: the namespace, a zero byte, and the packet as far as the signature.
    fn to_sign(&self, bytes: &[u8]) -> Vec<u8> {
        [self.namespace.as_bytes(), &[0], bytes].concat()
    }
}
