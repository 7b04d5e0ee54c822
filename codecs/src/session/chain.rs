//! A chain of keys: each message has its own, and a key that was used is gone.
//!
//! ```text
//! next chain key ‖ message key = HKDF-Expand(chain key, label, 64)
//! ```
//!
//! [`Receiving`] is the receiver's end: it walks ahead for a message that came early, and keeps the keys that it walked
//! past. Looking changes nothing ([`Receiving::look`]); what was found is merged when the message is committed, in any
//! order ([`Receiving::merge`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::header::Mark;
use crate::id::UnixMillis;
use crate::key::derive::expand;
use crate::key::{Label, Secret};
use crate::refusal::Refusal;

/// How far ahead of the last message one may be: a stream's redelivery reorders by at most its unacknowledged messages
/// (1,000), and a sender that crashed leaves gaps of 64. It takes some 20 ms to walk, behind a proof.
pub const JUMP_MAX: u32 = 25_000;

/// The most keys that are kept for messages that are late, of one session: twice a stream's unacknowledged messages.
pub const SKIPPED_MAX: usize = 2_000;

/// The most messages of one session that are remembered as handled: a stream's unacknowledged messages, which are what
/// it may deliver again. 8 bytes each.
pub const CONSUMED_MAX: usize = 1_024;

/// The next chain key, and the key of one message.
pub(crate) fn step(key: &Secret<32>, label: Label) -> (Secret<32>, Secret<32>) {
    expand(key, label, &[])
}

/// A key that was walked past.
pub(crate) struct Skipped {
    pub(crate) key: Secret<32>,
    pub(crate) since: UnixMillis,
}

/// How far a chain was walked, and the keys on the way.
pub(crate) struct Advance {
    key: Secret<32>,
    next: u32,
    skipped: Vec<(u32, Secret<32>)>,
}

impl Advance {
    pub(crate) fn duplicate(&self) -> Self {
        let skipped = self.skipped.iter().map(|(number, key)| (*number, key.duplicate())).collect();
        Self { key: self.key.duplicate(), next: self.next, skipped }
    }
}

/// What a look at a chain found: a message's key, and how far the chain was walked for it.
pub(crate) struct Found {
    pub(crate) key: Secret<32>,
    pub(crate) advance: Option<Advance>,
}

/// The receiver's end of a chain.
pub(crate) struct Receiving {
    pub(crate) label: Label,
    /// The key at `next`; none once the sender began another chain.
    pub(crate) key: Option<Secret<32>>,
    pub(crate) next: u32,
    pub(crate) skipped: BTreeMap<u32, Skipped>,
    pub(crate) consumed: Consumed,
}

impl Receiving {
    pub(crate) fn begin(label: Label, key: Secret<32>, next: u32) -> Self {
        Self { label, key: Some(key), next, skipped: BTreeMap::new(), consumed: Consumed::default() }
    }

    /// The key of a message.
    pub(crate) fn look(&self, number: u32, mark: Mark) -> Result<Found, Refusal> {
        if number < self.next {
            return self.look_back(number, mark);
        }
        // The sender said where this chain ends: one that goes on went back in time.
        let Some(chain) = &self.key else { return Err(Refusal::CounterReuse) };
        self.check_jump(number)?;
        let next = number.checked_add(1).ok_or(Refusal::TooFarAhead { max: JUMP_MAX })?;
        let way = (number > self.next).then(|| self.walk(chain, number));
        let (after, key) = step(way.as_ref().map_or(chain, |way| &way.key), self.label);
        let skipped = way.map(|way| way.skipped).unwrap_or_default();
        Ok(Found { key, advance: Some(Advance { key: after, next, skipped }) })
    }

    fn look_back(&self, number: u32, mark: Mark) -> Result<Found, Refusal> {
        match (self.skipped.get(&number), self.consumed.get(number)) {
            (Some(skipped), _) => Ok(Found { key: skipped.key.duplicate(), advance: None }),
            (None, Some(consumed)) => Err(consumed.refuse(mark)),
            (None, None) => Err(Refusal::KeyEvicted),
        }
    }

    /// Walks to the end that the sender says this chain has.
    pub(crate) fn finish(&self, end: u32) -> Result<Option<Advance>, Refusal> {
        if end < self.next {
            return Err(Refusal::CounterReuse);
        }
        self.check_jump(end)?;
        Ok(self.key.as_ref().map(|chain| self.walk(chain, end)))
    }

    fn check_jump(&self, to: u32) -> Result<(), Refusal> {
        if to - self.next > JUMP_MAX { Err(Refusal::TooFarAhead { max: JUMP_MAX }) } else { Ok(()) }
    }

    /// Of a long way only the last keys are kept: there is no room for more.
    fn walk(&self, chain: &Secret<32>, to: u32) -> Advance {
        let kept_from = to.saturating_sub(SKIPPED_MAX as u32);
        let mut advance = Advance { key: chain.duplicate(), next: to, skipped: Vec::new() };
        for number in self.next..to {
            let (next, key) = step(&advance.key, self.label);
            advance.key = next;
            if number >= kept_from {
                advance.skipped.push((number, key));
            }
        }
        advance
    }

    /// Whether this message has not been handled yet, as far as is known.
    pub(crate) fn is_open(&self, number: u32) -> bool {
        number >= self.next || self.skipped.contains_key(&number)
    }

    /// Walks as far as was found for some message. Where the chain is further by now, it stays.
    pub(crate) fn merge(&mut self, advance: Advance, now: UnixMillis) {
        let from = self.next;
        if advance.next <= from {
            return;
        }
        let passed = advance.skipped.into_iter().filter(|(number, _)| *number >= from);
        self.skipped.extend(passed.map(|(number, key)| (number, Skipped { key, since: now })));
        (self.key, self.next) = (Some(advance.key), advance.next);
    }

    /// A message is handled: its key goes, its mark stays.
    pub(crate) fn consume(&mut self, number: u32, mark: Mark) {
        self.skipped.remove(&number);
        self.consumed.insert(number, mark);
    }

    /// Erases the keys that have waited as long as a message can.
    pub(crate) fn expire(&mut self, retention: Duration, now: UnixMillis) {
        self.skipped.retain(|_, skipped| skipped.since.after(retention) > now);
    }

    pub(crate) fn duplicate(&self) -> Self {
        let skipped = self.skipped.iter().map(|(number, skipped)| {
            (*number, Skipped { key: skipped.key.duplicate(), since: skipped.since })
        });
        Self {
            label: self.label,
            key: self.key.as_ref().map(Secret::duplicate),
            next: self.next,
            skipped: skipped.collect(),
            consumed: self.consumed.clone(),
        }
    }
}

/// The messages that were handled, their numbers rising. They come in order, nearly, so a row is shorter and faster than
/// a tree.
#[derive(Clone, Default)]
pub(crate) struct Consumed(VecDeque<(u32, Mark)>);

impl Consumed {
    fn place(&self, number: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn get(&self, number: u32) -> Option<Mark> {
        self.place(number).ok().and_then(|at| self.0.get(at)).map(|(_, mark)| *mark)
    }

    pub(crate) fn insert(&mut self, number: u32, mark: Mark) {
        match self.place(number) {
            Ok(at) => self.0[at].1 = mark,
            Err(at) => self.0.insert(at, (number, mark)),
        }
    }

    pub(crate) fn pop_first(&mut self) -> Option<(u32, Mark)> {
        self.0.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(u32, Mark)> {
        self.0.iter()
    }
}

impl FromIterator<(u32, Mark)> for Consumed {
    /// Of numbers that rise.
    fn from_iter<I: IntoIterator<Item = (u32, Mark)>>(marks: I) -> Self {
        Self(marks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long way takes no more memory than is kept of it.
    #[test]
    fn of_a_long_way_the_last_keys_are_kept() {
        let key = Secret::read(&[7; 32]).unwrap();
        let chain = Receiving::begin(Label::Chain, key, 0);
        let Found { advance, .. } = chain.look(JUMP_MAX, Mark([0; 8])).unwrap();
        let numbers: Vec<u32> = advance.unwrap().skipped.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (JUMP_MAX - SKIPPED_MAX as u32..JUMP_MAX).collect::<Vec<_>>());
    }
}
