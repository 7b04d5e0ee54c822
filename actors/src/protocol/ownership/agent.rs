//! The agent follows its lease: it starts when that is taken, and is stopped before that is given back.

use connectome_codecs::{AgentName, Term};

use super::super::lease;
use super::claim::{Life, Stage};
use super::{Action, At, Ownership};

impl Ownership {
    /// Starts the agent, once an earlier incarnation of it has ended here.
    pub(super) fn start(&mut self, name: &AgentName, term: Term) {
        let Some(claim) = self.names.get_mut(name) else { return };
        if claim.agent == Life::Absent {
            claim.agent = Life::Starting { term, doomed: false };
            self.actions.push(Action::Start { name: name.clone(), term });
        }
        self.note(name);
    }

    /// Stops the agent if it runs under this term; one that is starting, as soon as it has.
    pub(super) fn stop(&mut self, name: &AgentName, term: Term) {
        let Some(claim) = self.names.get_mut(name) else { return };
        match claim.agent {
            Life::Starting { term: its, .. } if its == term => {
                claim.agent = Life::Starting { term, doomed: true }
            }
            Life::Running(its) if its == term => {
                claim.agent = Life::Stopping(term);
                let hand_over = claim.stage == Stage::Holding(term) && (self.leaving || claim.withdrawn);
                self.actions.push(Action::Stop { name: name.clone(), term, hand_over });
            }
            Life::Starting { .. } | Life::Running(_) | Life::Stopping(_) | Life::Absent => {}
        }
    }

    pub(super) fn started(&mut self, name: &AgentName, term: Term) {
        let Some(claim) = self.names.get_mut(name) else { return };
        match claim.agent {
            Life::Starting { term: its, doomed } if its == term => {
                claim.agent = Life::Running(term);
                claim.succeeded();
                if doomed {
                    self.stop(name, term);
                }
            }
            Life::Starting { .. } | Life::Running(_) | Life::Stopping(_) | Life::Absent => {}
        }
        self.note(name);
    }

    /// The agent does not run any more. Whoever holds its lease and did not want that gives it to others.
    pub(super) fn ended(&mut self, at: At, name: &AgentName, term: Term) {
        let leaving = self.leaving;
        let Some(claim) = self.names.get_mut(name) else { return };
        if claim.agent_term() != Some(term) {
            return;
        }
        claim.agent = Life::Absent;
        match claim.stage {
            Stage::Holding(_) => {
                if !leaving && !claim.withdrawn {
                    claim.failed(at.now);
                }
                self.lease(at, name, lease::Input::Release);
            }
            Stage::Resting | Stage::InLine(_) => self.consider(at, name),
            Stage::Trying => {}
        }
        self.note(name);
        self.forget_if_gone(name);
    }

    /// Its effects are refused, so there is no sense in going on; the lease itself is looked at.
    pub(super) fn fenced(&mut self, at: At, name: &AgentName, term: Term) {
        let Some(claim) = self.names.get(name) else { return };
        if claim.agent_term() != Some(term) {
            return;
        }
        self.counts.fenced += 1;
        self.stop(name, term);
        self.lease(at, name, lease::Input::Changed);
    }

    pub(super) fn withdraw(&mut self, at: At, name: &AgentName) {
        if let Some(claim) = self.names.get_mut(name) {
            claim.withdrawn = true;
            self.give_back(at, name);
        }
    }

    pub(super) fn leave(&mut self, at: At) {
        self.leaving = true;
        for name in self.names.keys().cloned().collect::<Vec<_>>() {
            self.give_back(at, &name);
        }
    }

    /// The agent is stopped first; its end gives the lease back.
    fn give_back(&mut self, at: At, name: &AgentName) {
        let Some(claim) = self.names.get(name) else { return };
        match (claim.stage.clone(), claim.agent_term()) {
            (Stage::Holding(_), Some(term)) => self.stop(name, term),
            (Stage::Holding(_) | Stage::Trying, None) => self.let_go(at, name),
            (Stage::Trying | Stage::Resting | Stage::InLine(_), _) => self.consider(at, name),
        }
        self.forget_if_gone(name);
    }

    fn let_go(&mut self, at: At, name: &AgentName) {
        if let Some(claim) = self.names.get_mut(name)
            && claim.stage == Stage::Trying
        {
            claim.stage = Stage::Resting;
        }
        self.lease(at, name, lease::Input::Release);
    }
}
