//! One name: what this node wants of it, what the bucket holds of it, and what is to be done about the difference.

use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::message::AgentRecord;
use connectome_codecs::registration::Registration;
use connectome_codecs::{AgentName, NodeId, Revision, UnixMillis};

use super::super::Now;
use super::{AGAIN_MAX, REFRESH_EVERY};

/// One name.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What this node wants to be known of its agent.
    pub(super) wanted: Option<AgentRecord>,
    /// What the bucket holds.
    pub(super) held: Option<Held>,
    /// Something is under way.
    pub(super) in_hand: bool,
    /// When to look at it next.
    pub(super) due: Option<Now>,
    /// How often it was asked for since it last stood for a while.
    pub(super) tries: u32,
    /// What was asked for last, until it is seen or refused.
    pub(super) asked: Option<Asked>,
    /// How often in a row the name was said to be taken.
    pub(super) taken: u32,
    /// Its node has fallen: it is to be removed.
    pub(super) doomed: bool,
    /// What is being removed because its node has fallen.
    pub(super) sweeping: Option<Arc<Registration>>,
    /// Lookups find it.
    pub(super) shown: bool,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// When it was signed.
    pub(super) issued: UnixMillis,
    /// When to wait no more.
    pub(super) answer_by: Now,
}

/// What the bucket holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) registration: Arc<Registration>,
    pub(super) revision: Revision,
    /// When it was seen.
    pub(super) since: Now,
}

/// What is to be done about a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the registrars to register it.
    Publish,
    /// Write it again over this revision, so that it does not expire.
    Refresh(Revision),
    /// Remove it.
    Remove(Revision),
    /// Nothing until then.
    Rest(Now),
    /// Nothing until something happens.
    Wait,
    /// Nothing ever again: forget the name.
    Forget,
}

impl Entry {
    /// What is to be done now by the node of this name and life.
    pub(super) fn step(&self, now: Now, me: (NodeId, u64)) -> Step {
        match (&self.wanted, &self.held) {
            (None, None) => Step::Forget,
            (None, Some(held)) if held.registration.node == me.0 || self.doomed => {
                Step::Remove(held.revision)
            }
            (None, Some(_)) => Step::Wait,
            (Some(wanted), Some(held)) if held.is_what(wanted, me) => {
                let due = held.since + held.rest();
                if now >= due { Step::Refresh(held.revision) } else { Step::Rest(due) }
            }
            (Some(_), _) => Step::Publish,
        }
    }

    /// Whether something is wanted that does not stand.
    pub(super) fn lacks(&self, me: (NodeId, u64)) -> bool {
        match (&self.wanted, &self.held) {
            (Some(wanted), Some(held)) => !held.is_what(wanted, me),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// How long to wait before asking again, after so many tries.
    pub(super) fn pace(&self) -> Duration {
        match self.tries {
            0 => Duration::ZERO,
            tries => Duration::from_secs(1 << (tries - 1).min(6)).min(AGAIN_MAX),
        }
    }
}

impl Held {
    /// Whether it says what this life of this node wants.
    pub(super) fn is_what(&self, wanted: &AgentRecord, me: (NodeId, u64)) -> bool {
        let held = &self.registration;
        (held.node, held.incarnation) == me && held.agent == *wanted
    }

    /// From a write to the next one: at least three quarters of the period, by name and moment, so that those that came
    /// together do not return together.
    fn rest(&self) -> Duration {
        let sum = hash(&self.registration.agent.name).wrapping_add(self.registration.issued.0);
        let quarter = REFRESH_EVERY / 4;
        let spread = u64::try_from(quarter.as_millis()).unwrap_or(u64::MAX).max(1);
        REFRESH_EVERY - quarter
            + Duration::from_millis((sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % spread)
    }
}

/// FNV-1a.
fn hash(name: &AgentName) -> u64 {
    name.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
