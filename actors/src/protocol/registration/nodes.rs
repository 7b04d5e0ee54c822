//! The other nodes, as registration sees them: who is heard, who is present, and who fell a moment ago.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::{AgentName, NodeId};

use super::super::Now;
use super::super::ownership::rank;
use super::{LATE, SILENT_SWEEP, TOLD_WITHIN};

/// A fall is remembered as long as membership remembers a node that is gone.
const REMEMBERED: Duration = super::super::membership::FORGET_AFTER;

/// The other nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    up: BTreeSet<NodeId>,
    present: BTreeSet<NodeId>,
    /// Since when.
    suspected: BTreeMap<NodeId, Now>,
    fallen: BTreeMap<NodeId, Fall>,
}

#[derive(Debug, Clone, Copy)]
struct Fall {
    at: Now,
    /// Nothing but silence tells of it.
    silent: bool,
}

impl Nodes {
    /// Takes what is known now, and says who came or went.
    pub(super) fn are(
        &mut self,
        now: Now,
        up: BTreeSet<NodeId>,
        present: BTreeSet<NodeId>,
    ) -> BTreeSet<NodeId> {
        let changed = self.present.symmetric_difference(&present).copied().collect();
        self.fallen.retain(|node, fall| now.since(fall.at) < REMEMBERED && !present.contains(node));
        for node in self.present.difference(&present) {
            let suspected = self.suspected.get(node).map_or(Duration::ZERO, |since| now.since(*since));
            self.fallen.insert(*node, Fall { at: now, silent: suspected > TOLD_WITHIN });
        }
        self.suspected.retain(|node, _| present.contains(node) && !up.contains(node));
        for node in present.difference(&up) {
            self.suspected.entry(*node).or_insert(now);
        }
        (self.up, self.present) = (up, present);
        changed
    }

    pub(super) fn is_present(&self, node: NodeId) -> bool {
        self.present.contains(&node)
    }

    /// Whether what it wrote may have been on its way when it fell.
    pub(super) fn fell_lately(&self, now: Now, node: NodeId) -> bool {
        self.fallen.get(&node).is_some_and(|fall| now.since(fall.at) < LATE)
    }

    /// How long to wait before what it left is swept.
    pub(super) fn patience(&self, node: NodeId) -> Duration {
        let silent = self.fallen.get(&node).is_some_and(|fall| fall.silent);
        if silent { SILENT_SWEEP } else { Duration::ZERO }
    }

    pub(super) fn fallen(&self) -> BTreeSet<NodeId> {
        self.fallen.keys().copied().collect()
    }

    /// How many of those that are heard come before `me`.
    pub(super) fn rank(&self, name: &AgentName, me: NodeId) -> u32 {
        rank(name, me, self.up.iter().copied())
    }
}
