//! Whom a node talks to: anybody who proves who they are, or those that are listed.

use std::collections::BTreeSet;

use connectome_codecs::identity::Accept;
use connectome_codecs::{AgentId, NodeId};

use super::problem::Wrong;

/// Ids in a list: more belong to an organisation, which vouches for them.
const IDS_MAX: usize = 1_024;

/// Whether lists are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Peers {
    /// Anybody is talked to.
    #[default]
    Any,
    /// Those alone that are listed.
    Listed,
}

/// Whom a node talks to, beside its owner's agents and nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealingConfig {
    /// Whether lists are kept.
    pub peers: Peers,
    /// Agents and nodes that are listed: their ids, separated by commas.
    pub allow: Option<String>,
    /// Organisations whose vouchers count: their ids, separated by commas.
    pub organisations: Option<String>,
}

impl SealingConfig {
    /// What a router is told. What is no id, which a check has told before, is nobody's.
    pub(super) fn accept(&self) -> Accept {
        match self.peers {
            Peers::Any => Accept::Anybody,
            Peers::Listed => {
                Accept::Listed { agents: ids(&self.allow), organisations: ids(&self.organisations) }
            }
        }
    }
}

fn ids(list: &Option<String>) -> BTreeSet<AgentId> {
    list.as_deref().into_iter().flat_map(|list| list.split(',')).filter_map(id).collect()
}

/// An agent's id, or a node's, whose key stands for it among agents.
fn id(text: &str) -> Option<AgentId> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<NodeId>().ok().map(|node| AgentId(*node.as_bytes())))
}

/// Whether these are ids.
pub(super) fn check_ids(list: &str) -> Result<(), Wrong> {
    let right = "write ids (did:key:z…, node:z…), separated by commas";
    if list.split(',').count() > IDS_MAX {
        return Err(Wrong::new(format!("more than {IDS_MAX} ids"), "have an organisation vouch for them"));
    }
    match list.split(',').find(|text| id(text).is_none()) {
        Some(wrong) => Err(Wrong::new(format!("{:?} is no id", wrong.trim()), right)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both kinds of ids are read, with spaces around them; what is none is told.
    #[test]
    fn ids_are_read() {
        let (agent, node) = (AgentId([7; 32]), NodeId([8; 32]));
        let allow = Some(format!(" {agent}, {node} "));
        assert!(check_ids(allow.as_deref().unwrap()).is_ok());
        assert!(check_ids(&format!("{agent},ada")).is_err() && check_ids("").is_err());
        let config = SealingConfig { peers: Peers::Listed, allow, organisations: None };
        let agents = [agent, AgentId([8; 32])].into();
        assert_eq!(config.accept(), Accept::Listed { agents, organisations: BTreeSet::new() });
        assert_eq!(SealingConfig { peers: Peers::Any, ..config }.accept(), Accept::Anybody);
    }
}
