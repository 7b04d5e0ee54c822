//! All sessions of an instance: which one a message belongs to, and which one is sent on.
//!
//! * A message that carries an init which is not known begins a session. A second message with the same init finds the
//!   session that the first one began, and never begins another.
//! * Two instances that begin a session with each other at once have two. Both open what comes; both sides send on the
//!   one with the smaller id, and the other is spare.
//! * A session that is closed or spare opens what comes for twice the age that a message can reach, and is then erased.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::handshake::accept;
use super::header::Packet;
use super::opening::{Opened, Pending};
use super::policy::Policy;
use super::{Context, Opening, Session, SessionId};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, Instance, InstanceId, Prekeys};
use crate::refusal::Refusal;

/// The most sessions of an instance: each takes some 3 KB, so this is 30 MB. Whoever is past it waits until old ones are
/// erased.
pub const SESSIONS_MAX: usize = 10_000;

/// The most sessions with one peer: two that began at once, and those that were reset within the age of a message.
pub const PER_PEER_MAX: usize = 8;

/// The message was committed before, by another delivery of it: drop the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another delivery of the message was committed first: drop this one's result, and acknowledge it")]
pub struct AlreadyHandled;

/// What opening a message needs besides the sessions: who opens, and what is known of others.
#[derive(Clone, Copy)]
pub struct Receiver<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// The private halves of what it published.
    pub prekeys: &'a Prekeys,
    /// The logs of agents.
    pub directory: &'a dyn Directory,
    /// What it asks for.
    pub policy: &'a Policy,
}

/// What must be durable together with the result of a message.
#[derive(Debug)]
pub struct Records {
    /// The name of the session's record.
    pub session: SessionId,
    /// The record's bytes, to be sealed.
    pub record: Zeroizing<Vec<u8>>,
    /// The bytes of [`Prekeys`], to be sealed, where the message used a one-time prekey up.
    pub prekeys: Option<Zeroizing<Vec<u8>>>,
}

/// All sessions of an instance.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<[u8; 16], Session>,
    peers: BTreeMap<(AgentId, InstanceId), BTreeSet<SessionId>>,
}

impl Sessions {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a message. Nothing changes.
    ///
    /// # Errors
    /// Says why it is not believed, and what becomes of it.
    pub fn open(
        &self,
        receiver: Receiver<'_>,
        bytes: &Bytes,
        context: &Context,
        now: UnixMillis,
    ) -> Result<Opened, Refusal> {
        let packet = Packet::read(bytes)?;
        let session = self.sessions.get(&packet.header.tag);
        match (session, &packet.init) {
            (Some(session), _) => {
                session.peer.check_not_revoked(receiver.directory)?;
                session.open(&packet, context, receiver.policy)
            }
            (None, Some(init)) => self.begin(receiver, init, &packet, context, now),
            (None, None) => Err(Refusal::UnknownSession),
        }
    }

    fn begin(
        &self,
        receiver: Receiver<'_>,
        init: &Bytes,
        packet: &Packet,
        context: &Context,
        now: UnixMillis,
    ) -> Result<Opened, Refusal> {
        let Receiver { instance, prekeys, directory, policy } = receiver;
        let (session, one_time) = accept(instance, prekeys, init, directory, policy, now)?;
        // An init that is known comes with its session's tag, or with a forged one.
        if session.id.tag() != packet.header.tag {
            return Err(Refusal::BadHeaderMac);
        }
        self.check_room(session.peer.whose())?;
        // A session that is not here has no state that could differ from the peer's.
        let opened = session.open(packet, context, policy);
        let mut opened = opened.map_err(|refusal| match refusal == Refusal::Diverged {
            true => Refusal::BadTag,
            false => refusal,
        })?;
        opened.pending.begun = Some(Box::new(session));
        opened.pending.one_time = one_time;
        Ok(opened)
    }

    fn check_room(&self, peer: (AgentId, InstanceId)) -> Result<(), Refusal> {
        let with_peer = self.peers.get(&peer).map_or(0, BTreeSet::len);
        if with_peer >= PER_PEER_MAX {
            Err(Refusal::Full { what: "session with this peer", max: PER_PEER_MAX })
        } else if self.sessions.len() >= SESSIONS_MAX {
            Err(Refusal::Full { what: "session", max: SESSIONS_MAX })
        } else {
            Ok(())
        }
    }

    /// What to write together with the message's result, before [`commit`](Self::commit).
    ///
    /// # Errors
    /// When another delivery of the message was committed first.
    pub fn records_after(
        &self,
        pending: &Pending,
        receiver: Receiver<'_>,
        now: UnixMillis,
    ) -> Result<Records, AlreadyHandled> {
        let known = self.sessions.get(&pending.session.tag());
        let session = known.or(pending.begun.as_deref()).ok_or(AlreadyHandled)?;
        if !session.is_open(&pending.change) {
            return Err(AlreadyHandled);
        }
        let mut after = session.at_rest();
        after.merge(pending.change.duplicate(), pending.asks_for_step, receiver.policy, now);
        let prekeys = pending.one_time.map(|used| receiver.prekeys.encode_after(Some(used)));
        Ok(Records { session: after.id, record: after.encode(), prekeys })
    }

    /// The records are written: the message is handled.
    ///
    /// # Errors
    /// When another delivery of the message was committed first. Nothing changed then.
    pub fn commit(
        &mut self,
        pending: Pending,
        prekeys: &mut Prekeys,
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<(), AlreadyHandled> {
        let Pending { session: id, change, begun, one_time, asks_for_step, batch } = pending;
        let is_known = self.sessions.contains_key(&id.tag());
        if let Some(begun) = begun.filter(|_| !is_known) {
            self.insert(*begun, now);
        }
        let session = self.sessions.get_mut(&id.tag()).ok_or(AlreadyHandled)?;
        if !session.is_open(&change) {
            return Err(AlreadyHandled);
        }
        session.merge(change, asks_for_step, policy, now);
        batch.into_iter().for_each(|batch| session.remember(batch));
        one_time.into_iter().for_each(|used| prekeys.consume(used));
        Ok(())
    }

    /// Adds a session that was begun.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn add(&mut self, session: Session, now: UnixMillis) -> Result<(), Refusal> {
        self.check_room(session.peer.whose())?;
        self.insert(session, now);
        Ok(())
    }

    /// Adds a session that was read from its record. There was room when it began: first messages that were opened
    /// together may have begun some more than there is room for.
    pub fn restore(&mut self, session: Session, now: UnixMillis) {
        self.insert(session, now);
    }

    fn insert(&mut self, session: Session, now: UnixMillis) {
        let peer = session.peer.whose();
        self.peers.entry(peer).or_default().insert(session.id);
        self.sessions.insert(session.id.tag(), session);
        self.choose(peer, now);
    }

    /// Of the open sessions with a peer the one with the smallest id is sent on. The others are spare: they are not closed,
    /// since the peer may not know the one that is chosen, and says so.
    fn choose(&mut self, peer: (AgentId, InstanceId), now: UnixMillis) {
        let chosen = self.chosen(peer);
        for id in self.peers.get(&peer).into_iter().flatten() {
            if let Some(session) = self.sessions.get_mut(&id.tag()) {
                session.spare = if Some(*id) == chosen { None } else { session.spare.or(Some(now)) };
            }
        }
    }

    fn chosen(&self, peer: (AgentId, InstanceId)) -> Option<SessionId> {
        let is_open =
            |id: &&SessionId| self.sessions.get(&id.tag()).is_some_and(|session| !session.is_closed());
        self.peers.get(&peer)?.iter().find(is_open).copied()
    }

    /// The certificate of whoever sealed a message that was opened and is not committed.
    pub fn sender_of<'a>(&'a self, pending: &'a Pending) -> Option<&'a Certificate> {
        let known = self.sessions.get(&pending.session.tag());
        known.or(pending.begun.as_deref()).map(Session::peer)
    }

    /// The session on which messages to a peer are sent, if there is one.
    pub fn with(&mut self, peer: (AgentId, InstanceId)) -> Option<&mut Session> {
        let chosen = self.chosen(peer)?;
        self.sessions.get_mut(&chosen.tag())
    }

    /// A session by the tag that stands in headers.
    pub fn get(&self, tag: &[u8; 16]) -> Option<&Session> {
        self.sessions.get(tag)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, tag: &[u8; 16]) -> Option<&mut Session> {
        self.sessions.get_mut(tag)
    }

    /// Sends nothing more on a session: the peer can't open it, or its state went back in time. Says whether something
    /// changed; write its record then.
    pub fn close(&mut self, tag: &[u8; 16], now: UnixMillis) -> bool {
        let Some(session) = self.sessions.get_mut(tag).filter(|session| !session.is_closed()) else {
            return false;
        };
        session.close(now);
        let peer = session.peer.whose();
        self.choose(peer, now);
        true
    }

    /// Erases keys and sessions that no message can need any more, and names the sessions: erase their records.
    pub fn expire(&mut self, policy: &Policy, now: UnixMillis) -> Vec<SessionId> {
        self.sessions.values_mut().for_each(|session| session.ratchet.expire(policy.retention, now));
        let gone: Vec<SessionId> =
            self.sessions.values().filter(|session| session.is_over(policy, now)).map(Session::id).collect();
        for id in &gone {
            self.remove(id);
        }
        gone
    }

    fn remove(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.remove(&id.tag()) else { return };
        let peer = session.peer.whose();
        if let Some(ids) = self.peers.get_mut(&peer) {
            ids.remove(id);
        }
        self.peers.retain(|_, ids| !ids.is_empty());
    }

    /// The names of all there are.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.values().map(Session::id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl Session {
    /// Whether no message can come for it any more, nor the init that would begin it again.
    fn is_over(&self, policy: &Policy, now: UnixMillis) -> bool {
        let ends = |since: UnixMillis| since.after(policy.retention * 2) <= now;
        let init_is_over = match &self.opening {
            Opening::Accepted { created, .. } => ends(*created),
            Opening::Unanswered(_) | Opening::Answered => true,
        };
        init_is_over && self.closed.or(self.spare).is_some_and(ends)
    }
}
