//! The copy of the bucket: what the watch tells, what the other nodes' presence makes of it, and what lookups find.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::registration::{Presence, Registration};
use connectome_codecs::{AgentName, NodeId, Revision, UnixMillis};

use super::super::Now;
use super::entry::{Entry, Held};
use super::{Action, CONFIRM_WITHIN, ENTRIES_MAX, Keeper, ORPHAN_AFTER, SWEEP_STAGGER, TAKEN_AGAIN};

impl Keeper {
    pub(super) fn seen(&mut self, now: Now, registration: Arc<Registration>, revision: Revision) {
        let name = registration.agent.name.clone();
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&name) {
            return;
        }
        let is_new = !self.entries.contains_key(&name);
        let entry = self.entries.entry(name.clone()).or_default();
        if entry.held.as_ref().is_some_and(|held| held.revision >= revision) {
            return;
        }
        let before = entry.held.replace(Held { registration: registration.clone(), revision, since: now });
        entry.doomed = false;
        if entry.shown && before.as_ref().is_some_and(|held| held.registration.node != registration.node) {
            entry.shown = false;
            self.actions.extend(before.map(|held| Action::Hide(held.registration)));
        }
        if self.is_mine(&registration) {
            self.mine_seen(now, &name, registration.issued, is_new);
        } else {
            self.others_seen(now, &name, &registration);
        }
        self.show(&name);
    }

    fn mine_seen(&mut self, now: Now, name: &AgentName, issued: UnixMillis, is_new: bool) {
        self.issued = self.issued.max(issued);
        let asked = self.entries.get(name).and_then(|entry| entry.asked);
        if asked.is_some_and(|asked| issued >= asked.issued) {
            self.answered(name);
        }
        let me = self.me;
        let Some(entry) = self.entries.get_mut(name) else { return };
        let held = entry.held.as_ref();
        let wait = match &entry.wanted {
            None if is_new => ORPHAN_AFTER,
            None => Duration::ZERO,
            Some(wanted) if held.is_some_and(|held| held.is_what(wanted, me)) => {
                entry.taken = 0;
                self.actions.push(Action::Confirmed(name.clone()));
                Duration::ZERO
            }
            // Of an earlier life, or before it changed: what is on its way replaces it.
            Some(_) if entry.asked.is_some() => CONFIRM_WITHIN,
            Some(_) => Duration::ZERO,
        };
        self.schedule(name, now + wait);
    }

    fn others_seen(&mut self, now: Now, name: &AgentName, registration: &Registration) {
        if registration.presence == Presence::Node && self.nodes.fell_lately(now, registration.node) {
            self.doom(now, name);
        }
    }

    /// Without a revision: whatever it was.
    pub(super) fn gone(&mut self, now: Now, wall: UnixMillis, name: &AgentName, revision: Option<Revision>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(held) = entry.held.take_if(|held| revision.is_none_or(|gone| gone >= held.revision)) else {
            return;
        };
        let (shown, swept) = (std::mem::take(&mut entry.shown), std::mem::take(&mut entry.doomed));
        let wanted = entry.wanted.is_some();
        if shown {
            self.actions.push(Action::Hide(held.registration.clone()));
        }
        if held.registration.presence == Presence::Agent && !swept && self.nodes.rank(name, self.me.0) == 0 {
            let left = held.registration.issued.after(held.registration.ttl());
            let expired = wall.after(Duration::from_secs(1)) >= left;
            self.actions.push(Action::Ended { registration: held.registration.clone(), expired });
        }
        let pace = self.entries.get(name).map_or(Duration::ZERO, Entry::pace);
        // Whoever had the name is gone; an entry of one's own that went may go again.
        let wait = if wanted && self.is_mine(&held.registration) { pace } else { Duration::ZERO };
        self.schedule(name, now + wait);
    }

    pub(super) fn looked(&mut self, now: Now, wall: UnixMillis, names: &BTreeSet<AgentName>) {
        let missing =
            self.entries.iter().filter(|(name, entry)| entry.held.is_some() && !names.contains(*name));
        for name in missing.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.gone(now, wall, &name, None);
        }
    }

    pub(super) fn nodes_are(&mut self, now: Now, up: BTreeSet<NodeId>, present: BTreeSet<NodeId>) {
        let changed = self.nodes.are(now, up, present);
        if changed.is_empty() {
            return;
        }
        self.try_again(now, changed.iter().any(|node| self.nodes.is_present(*node)));
        let of_those =
            |entry: &Entry| entry.held.as_ref().is_some_and(|held| changed.contains(&held.registration.node));
        let names: Vec<_> = self.entries.iter().filter(|(_, entry)| of_those(entry)).collect();
        let names: Vec<AgentName> = names.into_iter().map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.node_changed(now, name));
    }

    /// Somebody new may hear this node who did not when it was refused.
    fn try_again(&mut self, now: Now, somebody_came: bool) {
        if !somebody_came {
            return;
        }
        let me = self.me;
        let lacking = self.entries.iter().filter(|(_, entry)| entry.asked.is_none() && entry.lacks(me));
        let names: Vec<_> = lacking.map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.schedule(name, now + TAKEN_AGAIN));
    }

    fn node_changed(&mut self, now: Now, name: &AgentName) {
        let Some(Entry { held: Some(held), .. }) = self.entries.get(name) else { return };
        let registration = held.registration.clone();
        if registration.presence == Presence::Agent {
            return;
        }
        if self.nodes.is_present(registration.node) {
            if let Some(entry) = self.entries.get_mut(name) {
                entry.doomed = false;
            }
            return self.show(name);
        }
        if let Some(entry) = self.entries.get_mut(name)
            && std::mem::take(&mut entry.shown)
        {
            self.actions.push(Action::Hide(registration));
        }
        self.doom(now, name);
    }

    fn doom(&mut self, now: Now, name: &AgentName) {
        let rank = self.nodes.rank(name, self.me.0);
        if let Some(entry) = self.entries.get_mut(name) {
            let node = entry.held.as_ref().map(|held| held.registration.node);
            let wait = SWEEP_STAGGER * rank + node.map_or(Duration::ZERO, |node| self.nodes.patience(node));
            entry.doomed = true;
            self.schedule(name, now + wait);
        }
    }

    fn show(&mut self, name: &AgentName) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(held) = &entry.held else { return };
        let node = held.registration.node;
        let present = node == self.me.0 || self.nodes.is_present(node);
        if held.registration.presence == Presence::Agent || present {
            entry.shown = true;
            self.actions.push(Action::Show(held.registration.clone()));
        }
    }
}
