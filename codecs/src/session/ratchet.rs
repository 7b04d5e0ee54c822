//! The double ratchet: chains for messages, and a root from which each new chain comes by a key agreement.
//!
//! ```text
//! new root ‖ chain key = HKDF(salt = root, input = DH(my ratchet key, theirs), info = "ratchet", 64)
//! ```
//!
//! The two sides take turns: nobody makes a second ratchet key before it has seen a new one of the other. Unlike in
//! Signal's specification a turn is taken late, at the next reservation after it is due, and not at each change of
//! direction: a key agreement costs a hundred times what a message costs, and what it buys, that stolen state becomes
//! useless, is bought by time.
//!
//! Receiving is in two steps. [`Ratchet::look`] takes `&self` and finds the key; [`Ratchet::merge`] commits what it found.

use std::collections::VecDeque;
use std::time::Duration;

use super::chain::{Advance, CONSUMED_MAX, Found, Receiving, SKIPPED_MAX};
use super::header::{Header, Mark};
use super::sending::Sending;
use crate::id::UnixMillis;
use crate::key::derive::{expand, extract};
use crate::key::{DhPublic, DhSecret, Digest, Label, Secret};
use crate::refusal::Refusal;

/// The most receiving chains of one session: a message that is four ratchet steps late waited for minutes.
pub const CHAINS_MAX: usize = 5;

/// The most ratchet keys that are remembered after their chains are gone, so that what comes for them is called late
/// and not forged. 8 bytes each.
pub const FORGOTTEN_MAX: usize = 64;

/// The session's keys.
pub(crate) struct Ratchet {
    pub(crate) root: Secret<32>,
    pub(crate) own: DhSecret,
    pub(crate) theirs: Option<DhPublic>,
    /// Whether it is our turn: they made the last step of the root.
    pub(crate) may_step: bool,
    pub(crate) sending: Option<Sending>,
    /// The oldest first.
    pub(crate) receiving: VecDeque<(DhPublic, Receiving)>,
    pub(crate) forgotten: VecDeque<[u8; 8]>,
}

/// What a look found out, to be merged when the message is committed.
pub(crate) struct Change {
    chain: DhPublic,
    pub(crate) number: u32,
    mark: Mark,
    advance: Option<Advance>,
    turn: Option<Turn>,
}

/// The other side took its turn.
struct Turn {
    root: Secret<32>,
    begun: Secret<32>,
    /// What was still to come in the chain before.
    finished: Option<Advance>,
}

impl Change {
    /// Whether the other side took its turn with this message, as far as we know.
    pub(crate) fn takes_turn(&self) -> bool {
        self.turn.is_some()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self {
            chain: self.chain,
            number: self.number,
            mark: self.mark,
            advance: self.advance.as_ref().map(Advance::duplicate),
            turn: self.turn.as_ref().map(Turn::duplicate),
        }
    }
}

impl Turn {
    fn duplicate(&self) -> Self {
        let finished = self.finished.as_ref().map(Advance::duplicate);
        Self { root: self.root.duplicate(), begun: self.begun.duplicate(), finished }
    }
}

impl Ratchet {
    /// The session's keys as the initiator has them: the peer's signed prekey is its first ratchet key, and it is our
    /// turn.
    pub(crate) fn initiator(root: Secret<32>, own: DhSecret, theirs: DhPublic) -> Self {
        Self { theirs: Some(theirs), may_step: true, ..Self::responder(root, own) }
    }

    /// The session's keys as the responder has them, whose signed prekey is its first ratchet key.
    pub(crate) fn responder(root: Secret<32>, own: DhSecret) -> Self {
        Self {
            root,
            own,
            theirs: None,
            may_step: false,
            sending: None,
            receiving: VecDeque::new(),
            forgotten: VecDeque::new(),
        }
    }

    /// Finds the key of a message.
    pub(crate) fn look(&self, header: &Header, mark: Mark) -> Result<(Secret<32>, Change), Refusal> {
        let (found, turn) = match self.chain(&header.ratchet) {
            Some(chain) => (chain.look(header.number, mark)?, None),
            None => {
                let turn = self.turn(header)?;
                let begun = Receiving::begin(Label::Chain, turn.begun.duplicate(), 0);
                (begun.look(header.number, mark)?, Some(turn))
            }
        };
        let Found { key, advance } = found;
        Ok((key, Change { chain: header.ratchet, number: header.number, mark, advance, turn }))
    }

    fn chain(&self, of: &DhPublic) -> Option<&Receiving> {
        self.receiving.iter().find(|(key, _)| key == of).map(|(_, chain)| chain)
    }

    /// The other side's turn, if it is one.
    fn turn(&self, header: &Header) -> Result<Turn, Refusal> {
        if self.forgotten.contains(&short(&header.ratchet)) {
            return Err(Refusal::KeyEvicted);
        }
        // It took its turn already, and takes it again with another key: its state went back in time.
        if self.may_step {
            return Err(Refusal::CounterReuse);
        }
        let finished = match self.receiving.back() {
            Some((_, last)) => last.finish(header.previous)?,
            None => None,
        };
        let (root, begun) = step_root(&self.root, &self.own, &header.ratchet)?;
        Ok(Turn { root, begun, finished })
    }

    /// Whether the message of this change has not been handled yet.
    pub(crate) fn is_open(&self, change: &Change) -> bool {
        self.chain(&change.chain).is_none_or(|chain| chain.is_open(change.number))
    }

    /// Commits a message. What other messages committed since the look stays.
    pub(crate) fn merge(&mut self, change: Change, retention: Duration, now: UnixMillis) {
        let Change { chain, number, mark, advance, turn } = change;
        if let Some(turn) = turn.filter(|_| self.chain(&chain).is_none()) {
            self.take_turn(chain, turn, now);
        }
        if let Some((_, receiving)) = self.receiving.iter_mut().find(|(key, _)| *key == chain) {
            advance.into_iter().for_each(|advance| receiving.merge(advance, now));
            receiving.consume(number, mark);
        }
        self.expire(retention, now);
        self.hold_bounds();
    }

    fn take_turn(&mut self, theirs: DhPublic, turn: Turn, now: UnixMillis) {
        if let Some((_, last)) = self.receiving.back_mut() {
            turn.finished.into_iter().for_each(|advance| last.merge(advance, now));
            last.key = None;
        }
        self.receiving.push_back((theirs, Receiving::begin(Label::Chain, turn.begun, 0)));
        self.root = turn.root;
        self.theirs = Some(theirs);
        self.may_step = true;
    }

    /// Erases the keys of messages that can't come any more.
    pub(crate) fn expire(&mut self, retention: Duration, now: UnixMillis) {
        self.receiving.iter_mut().for_each(|(_, chain)| chain.expire(retention, now));
    }

    /// Keeps every table within its bound; the oldest goes first.
    fn hold_bounds(&mut self) {
        while self.receiving.len() > CHAINS_MAX {
            let gone = self.receiving.pop_front();
            self.forgotten.extend(gone.map(|(key, _)| short(&key)));
        }
        while self.forgotten.len() > FORGOTTEN_MAX {
            self.forgotten.pop_front();
        }
        let skipped = self.receiving.iter().map(|(_, chain)| chain.skipped.len()).sum::<usize>();
        let consumed = self.receiving.iter().map(|(_, chain)| chain.consumed.len()).sum::<usize>();
        (SKIPPED_MAX..skipped).for_each(|_| self.drop_oldest(|chain| chain.skipped.pop_first().is_some()));
        (CONSUMED_MAX..consumed).for_each(|_| self.drop_oldest(|chain| chain.consumed.pop_first().is_some()));
    }

    /// Takes from the oldest chain that has some.
    fn drop_oldest(&mut self, take: impl FnMut(&mut Receiving) -> bool) {
        let _taken = self.receiving.iter_mut().map(|(_, chain)| chain).any(take);
    }

    pub(crate) fn at_rest(&self) -> Self {
        Self {
            root: self.root.duplicate(),
            own: self.own.duplicate(),
            theirs: self.theirs,
            may_step: self.may_step,
            sending: self.sending.as_ref().map(Sending::at_rest),
            receiving: self.receiving.iter().map(|(key, chain)| (*key, chain.duplicate())).collect(),
            forgotten: self.forgotten.clone(),
        }
    }
}

/// The next root, and the key of the chain that it begins.
pub(crate) fn step_root(
    root: &Secret<32>,
    own: &DhSecret,
    theirs: &DhPublic,
) -> Result<(Secret<32>, Secret<32>), Refusal> {
    let agreed = own.agree(theirs)?;
    let key = extract(root.expose(), agreed.expose());
    Ok(expand(&key, Label::Ratchet, &[]))
}

pub(crate) fn short(key: &DhPublic) -> [u8; 8] {
    let hash: Digest = crate::key::derive::hash(&[&key.0]);
    *hash.first_chunk().expect("a hash has 32 bytes")
}
