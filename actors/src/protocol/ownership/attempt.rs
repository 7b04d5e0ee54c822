//! A lease is taken, kept, and lost: what its keeper asks for, and what it is answered.

use std::collections::VecDeque;

use connectome_codecs::{AgentName, Revision, Term};

use super::super::lease::{self, Answer, LeaseRecord, Loss, Ticket};
use super::claim::{Claim, Life, Stage, View};
use super::{Action, At, Opening, Ownership};

impl Ownership {
    /// It is this name's turn: unless that has changed meanwhile, its lease is taken.
    pub(super) fn attempt(&mut self, at: At, name: &AgentName) {
        let Self { me, rules, began, leaving, .. } = *self;
        let view = View { me, rules, began, up: &self.up, took: &self.took, leaving };
        let Some(claim) = self.names.get_mut(name) else { return };
        claim.stage = Stage::Resting;
        match claim.opening(name, view, at.now, at.wall) {
            Opening::Take(turn) if turn <= at.now => {
                claim.stage = Stage::Trying;
                self.suspect_holder(at, name);
                self.lease(at, name, lease::Input::Acquire);
            }
            Opening::Take(later) | Opening::Look(later) => self.schedule(name, Some(later)),
            Opening::Closed => {}
        }
    }

    /// Whoever is thought to hold it does not any more; else it would not be taken.
    fn suspect_holder(&mut self, at: At, name: &AgentName) {
        let me = self.me;
        let Some(claim) = self.names.get_mut(name) else { return };
        let holder = claim.seen.map(|(record, _)| record.holder).filter(|holder| *holder != me);
        if let Some(node) = holder {
            claim.told = Some(node);
            drop(claim.keeper.handle(at.now, at.wall, lease::Input::Suspected { node }));
        }
    }

    /// Tells a lease's keeper something, and does what it asks for.
    pub(super) fn lease(&mut self, at: At, name: &AgentName, input: lease::Input) {
        // What follows an answer of the store must be read from the store itself; the rest is told by the watch.
        let mut from_copy = matches!(input, lease::Input::Acquire);
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(claim) = self.names.get_mut(name) else { return };
            let asked: Vec<_> = claim.keeper.handle(at.now, at.wall, input).collect();
            for action in asked {
                match action {
                    lease::Action::Read { ticket } if from_copy && self.copy_of(name).is_some() => {
                        from_copy = false;
                        inputs.push_back(lease::Input::Read { ticket, entry: self.copy_of(name) });
                    }
                    lease::Action::Read { ticket } => {
                        self.traffic.ask(Action::Read { name: name.clone(), ticket }, &mut self.actions);
                    }
                    lease::Action::Write { ticket, record, expect } => {
                        self.write(name, ticket, record, expect)
                    }
                    lease::Action::Acquired { term } => self.acquired(name, term),
                    lease::Action::Lost { term, why } => {
                        self.lost(at, name, term, why);
                        break;
                    }
                }
            }
        }
        self.after(at, name);
    }

    fn copy_of(&self, name: &AgentName) -> Option<(LeaseRecord, Revision)> {
        self.names.get(name)?.seen
    }

    pub(super) fn write(
        &mut self,
        name: &AgentName,
        ticket: Ticket,
        record: LeaseRecord,
        expect: Option<Revision>,
    ) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.writing.insert(ticket, (record, expect));
            self.traffic.ask(Action::Write { name: name.clone(), ticket, record, expect }, &mut self.actions);
        }
    }

    fn acquired(&mut self, name: &AgentName, term: Term) {
        self.counts.acquired += 1;
        if let Some(claim) = self.names.get_mut(name) {
            claim.stage = Stage::Holding(term);
            claim.taken();
        }
        self.start(name, term);
    }

    /// The keeper would go on looking; here that waits until it is this name's turn again.
    fn lost(&mut self, at: At, name: &AgentName, term: Term, why: Loss) {
        match why {
            Loss::Silence | Loss::Taken => self.counts.lost += 1,
            Loss::Released => self.counts.released += 1,
        }
        if let Some(claim) = self.names.get_mut(name) {
            drop(claim.keeper.handle(at.now, at.wall, lease::Input::Release));
            claim.stage = Stage::Resting;
        }
        self.stop(name, term);
    }

    /// A keeper that would wait is asked again when there is a reason to; one that holds says when to renew.
    fn after(&mut self, at: At, name: &AgentName) {
        let Some(claim) = self.names.get_mut(name) else { return };
        let next = claim.keeper.next_tick();
        match claim.stage {
            Stage::Holding(_) => {
                claim.unsuspect(at);
                self.schedule(name, next);
            }
            Stage::Trying if next.is_some() => {
                drop(claim.keeper.handle(at.now, at.wall, lease::Input::Release));
                claim.unsuspect(at);
                claim.stage = Stage::Resting;
                claim.taken();
                self.consider(at, name);
            }
            Stage::Trying => {}
            Stage::Resting | Stage::InLine(_) => self.consider(at, name),
        }
        self.note(name);
    }

    pub(super) fn read(
        &mut self,
        at: At,
        name: &AgentName,
        ticket: Ticket,
        entry: Option<(LeaseRecord, Revision)>,
    ) {
        self.traffic.answered(&mut self.actions);
        if let (Some(claim), Some((record, revision))) = (self.names.get_mut(name), entry) {
            claim.see(Some(record), revision);
        }
        self.lease(at, name, lease::Input::Read { ticket, entry });
    }

    pub(super) fn read_failed(&mut self, at: At, name: &AgentName, ticket: Ticket) {
        self.traffic.answered(&mut self.actions);
        if let Some(claim) = self.names.get_mut(name) {
            claim.unanswered(at.now);
        }
        self.lease(at, name, lease::Input::ReadFailed { ticket });
    }

    pub(super) fn wrote(&mut self, at: At, name: &AgentName, ticket: Ticket, answer: Answer) {
        self.traffic.answered(&mut self.actions);
        let Some(claim) = self.names.get_mut(name) else { return };
        let written = claim.writing.remove(&ticket);
        let held = matches!(claim.stage, Stage::Holding(_));
        match (written, answer) {
            (Some((record, _)), Answer::Written(revision)) => {
                claim.see(Some(record), revision);
                self.counts.renewed += u64::from(held);
            }
            // What was given back must arrive: others wait for it.
            (Some((record, expect)), Answer::Unknown) if record.is_free() => {
                return self.write(name, ticket, record, expect);
            }
            (Some(_) | None, Answer::Written(_) | Answer::Conflict | Answer::Unknown) => {}
        }
        self.lease(at, name, lease::Input::Wrote { ticket, answer });
        self.forget_if_gone(name);
    }
}

impl Claim {
    /// The attempt is over; the next one asks anew who is suspected.
    fn unsuspect(&mut self, at: At) {
        if let Some(node) = self.told.take() {
            drop(self.keeper.handle(at.now, at.wall, lease::Input::Cleared { node }));
        }
    }

    /// The term that the agent runs under, or is about to.
    pub(super) fn agent_term(&self) -> Option<Term> {
        match self.agent {
            Life::Absent => None,
            Life::Starting { term, .. } | Life::Running(term) | Life::Stopping(term) => Some(term),
        }
    }
}
