//! A live reader of a stream: where it stands, and what was removed before it came there.

use std::collections::BTreeMap;

use super::messages::Messages;
use crate::streams::subject::Filter;

/// Ranges of removed messages that are remembered for one reader. Past it the oldest two are told as one, with what
/// lies between them, so a reader that sleeps through a purge costs a bounded memory and still hears of it.
const GAPS_MAX: usize = 64;

/// Removed messages, from one sequence to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A live reader.
#[derive(Debug)]
pub(crate) struct Follower {
    filter: Filter,
    next: u64,
    gaps: BTreeMap<u64, u64>,
}

impl Follower {
    pub(crate) fn new(filter: Filter, next: u64, missed: Option<Gap>) -> Self {
        let gaps = missed.map(|gap| (gap.from, gap.to)).into_iter().collect();
        Self { filter, next, gaps }
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Takes the next up to `max` sequences, up to `visible`.
    ///
    /// # Errors
    /// A [`Gap`] that lies before all of them.
    pub(crate) fn read(&mut self, messages: &Messages, visible: u64, max: usize) -> Result<Vec<u64>, Gap> {
        let mut found = Vec::new();
        while found.len() < max {
            let next = messages.next(&self.filter, self.next..=visible).map(|(sequence, _)| sequence);
            if let Some(gap) = self.gap_before(next) {
                return self.tell(gap, found);
            }
            let Some(next) = next else { break };
            found.push(next);
            self.next = next + 1;
        }
        Ok(found)
    }

    /// Hears that a message was removed.
    pub(crate) fn removed(&mut self, sequence: u64, subject: &str, messages: &Messages) {
        if sequence < self.next || !self.filter.matches(subject) {
            return;
        }
        self.gaps.insert(sequence, sequence);
        self.merge_around(sequence, messages);
        if self.gaps.len() > GAPS_MAX {
            self.merge_oldest();
        }
    }

    fn gap_before(&self, next: Option<u64>) -> Option<Gap> {
        let (&from, &to) = self.gaps.first_key_value()?;
        next.is_none_or(|next| from < next).then_some(Gap { from, to })
    }

    fn tell(&mut self, gap: Gap, found: Vec<u64>) -> Result<Vec<u64>, Gap> {
        if !found.is_empty() {
            return Ok(found);
        }
        self.gaps.pop_first();
        Err(gap)
    }

    /// Joins the range at `sequence` with its neighbours when nothing that matches lies between.
    fn merge_around(&mut self, sequence: u64, messages: &Messages) {
        let before = self.gaps.range(..sequence).next_back().map(|(&from, _)| from);
        let after = self.gaps.range(sequence + 1..).next().map(|(&from, _)| from);
        if let Some(after) = after {
            self.merge_if_adjacent(sequence, after, messages);
        }
        if let Some(before) = before {
            self.merge_if_adjacent(before, sequence, messages);
        }
    }

    fn merge_if_adjacent(&mut self, first: u64, second: u64, messages: &Messages) {
        let Some(&to) = self.gaps.get(&first) else { return };
        if messages.next(&self.filter, to + 1..=second.saturating_sub(1)).is_none() {
            self.merge(first, second);
        }
    }

    fn merge_oldest(&mut self) {
        let mut oldest = self.gaps.keys().copied();
        if let (Some(first), Some(second)) = (oldest.next(), oldest.next()) {
            self.merge(first, second);
        }
    }

    fn merge(&mut self, first: u64, second: u64) {
        if let Some(to) = self.gaps.remove(&second) {
            let joined = self.gaps.entry(first).or_insert(to);
            *joined = to.max(*joined);
        }
    }
}
