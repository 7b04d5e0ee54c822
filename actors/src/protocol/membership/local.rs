//! What is said of this node: its registry, in versions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::limits::DISCOVERY_RECORDS_MAX;
use connectome_codecs::message::{AgentRecord, Discovery, DiscoveryAction, Heartbeat};
use connectome_codecs::{AgentName, NodeId};

use super::super::Now;
use super::AGENTS_MAX;

#[derive(Debug)]
pub(super) struct Local {
    pub(super) node: NodeId,
    incarnation: u64,
    /// Rises by one with each announcement.
    version: u64,
    pub(super) in_flight: u32,
    /// What this version holds.
    announced: BTreeMap<AgentName, AgentRecord>,
    /// What the next one will change; `None` takes a name away.
    changes: BTreeMap<AgentName, Option<AgentRecord>>,
    /// The names that this version offers, and which of them the next one will change.
    offered: BTreeSet<AgentName>,
    offer_changes: BTreeMap<AgentName, bool>,
    /// The next announcement does not come before this.
    quiet_until: Now,
}

impl Local {
    pub(super) fn new(node: NodeId, incarnation: u64, now: Now) -> Self {
        Self {
            node,
            incarnation,
            version: 0,
            in_flight: 0,
            announced: BTreeMap::new(),
            changes: BTreeMap::new(),
            offered: BTreeSet::new(),
            offer_changes: BTreeMap::new(),
            quiet_until: now,
        }
    }

    /// Gives the name back when there are too many.
    pub(super) fn register(&mut self, record: AgentRecord) -> Result<(), AgentName> {
        let name = record.name.clone();
        let known = self.announced.get(&name);
        if known == Some(&record) {
            self.changes.remove(&name);
        } else if known.is_none() && self.announced.len() + self.changes.len() >= AGENTS_MAX {
            return Err(name);
        } else {
            self.changes.insert(name, Some(record));
        }
        Ok(())
    }

    pub(super) fn unregister(&mut self, name: AgentName) {
        if self.announced.contains_key(&name) {
            self.changes.insert(name, None);
        } else {
            self.changes.remove(&name);
        }
    }

    /// Gives the name back when there are too many.
    pub(super) fn offer(&mut self, name: AgentName) -> Result<(), AgentName> {
        if self.offered.contains(&name) {
            self.offer_changes.remove(&name);
        } else if self.offered.len() + self.offer_changes.len() >= AGENTS_MAX {
            return Err(name);
        } else {
            self.offer_changes.insert(name, true);
        }
        Ok(())
    }

    pub(super) fn withdraw(&mut self, name: AgentName) {
        if self.offered.contains(&name) {
            self.offer_changes.insert(name, false);
        } else {
            self.offer_changes.remove(&name);
        }
    }

    /// When the changes so far are due.
    pub(super) fn announce_at(&self) -> Option<Now> {
        let nothing = self.changes.is_empty() && self.offer_changes.is_empty();
        (!nothing).then_some(self.quiet_until)
    }

    /// The next version as a delta, when there is something to say and it is time, or as much as one message holds.
    pub(super) fn announce(&mut self, now: Now) -> Option<Discovery> {
        let due = self.announce_at().is_some_and(|due| now >= due);
        if !due && self.changes.len().max(self.offer_changes.len()) < DISCOVERY_RECORDS_MAX {
            return None;
        }
        self.quiet_until = now + ANNOUNCE_EVERY;
        self.version += 1;
        let mut delta =
            Discovery { base_version: self.version - 1, ..self.discovery(DiscoveryAction::Delta) };
        for (name, change) in std::mem::take(&mut self.changes) {
            match change {
                Some(record) => {
                    delta.added.push(record.clone());
                    self.announced.insert(name, record);
                }
                None => {
                    self.announced.remove(&name);
                    delta.removed.push(name);
                }
            }
        }
        for (name, is_offered) in std::mem::take(&mut self.offer_changes) {
            if is_offered {
                self.offered.insert(name.clone());
                delta.offered.push(name);
            } else {
                self.offered.remove(&name);
                delta.withdrawn.push(name);
            }
        }
        Some(delta)
    }

    pub(super) fn heartbeat(&self) -> Heartbeat {
        Heartbeat {
            node: self.node,
            incarnation: self.incarnation,
            registry_version: self.version,
            agents: u32::try_from(self.announced.len()).unwrap_or(u32::MAX),
            in_flight: self.in_flight,
            accepts: Vec::new(),
        }
    }

    pub(super) fn query(&self, have: u64) -> Discovery {
        Discovery { base_version: have, ..self.discovery(DiscoveryAction::Query) }
    }

    pub(super) fn goodbye(&self) -> Discovery {
        self.discovery(DiscoveryAction::Goodbye)
    }

    /// The whole registry at this version, in parts that each fit a frame.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Discovery> {
        let most = self.announced.len().max(self.offered.len());
        let parts = most.div_ceil(DISCOVERY_RECORDS_MAX).max(1);
        let (mut records, mut offered) = (self.announced.values().cloned(), self.offered.iter().cloned());
        (0..parts).map(move |part| Discovery {
            part: part as u32,
            parts: parts as u32,
            added: records.by_ref().take(DISCOVERY_RECORDS_MAX).collect(),
            offered: offered.by_ref().take(DISCOVERY_RECORDS_MAX).collect(),
            ..self.discovery(DiscoveryAction::Snapshot)
        })
    }

    fn discovery(&self, action: DiscoveryAction) -> Discovery {
        Discovery {
            node: self.node,
            incarnation: self.incarnation,
            action,
            base_version: 0,
            version: self.version,
            part: 0,
            parts: 1,
            added: Vec::new(),
            removed: Vec::new(),
            offered: Vec::new(),
            withdrawn: Vec::new(),
        }
    }
}

/// Between two announcements: a burst of spawns becomes fifty messages a second, and nobody notices 20 ms.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(20);
