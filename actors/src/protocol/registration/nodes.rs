//! The other nodes, as registration sees them: who is heard, who is present, and who fell a moment ago.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::{AgentName, NodeId};

use super::super::Now;
use super::super::ownership::rank;
use super::LATE;

/// A fall is remembered as long as membership remembers a node that is gone.
const REMEMBERED: Duration = super::super::membership::FORGET_AFTER;

/// The other nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    up: BTreeSet<NodeId>,
    present: BTreeSet<NodeId>,
    fallen: BTreeMap<NodeId, Now>,
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
        self.fallen.retain(|node, since| now.since(*since) < REMEMBERED && !present.contains(node));
        self.fallen.extend(self.present.difference(&present).map(|node| (*node, now)));
        (self.up, self.present) = (up, present);
        changed
    }

    pub(super) fn is_present(&self, node: NodeId) -> bool {
        self.present.contains(&node)
    }

    /// Whether what it wrote may have been on its way when it fell.
    pub(super) fn fell_lately(&self, now: Now, node: NodeId) -> bool {
        self.fallen.get(&node).is_some_and(|since| now.since(*since) < LATE)
    }

    pub(super) fn fallen(&self) -> BTreeSet<NodeId> {
        self.fallen.keys().copied().collect()
    }

    /// How many of those that are heard come before `me`.
    pub(super) fn rank(&self, name: &AgentName, me: NodeId) -> u32 {
        rank(name, me, self.up.iter().copied())
    }
}
