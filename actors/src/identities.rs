//! What agents and nodes took back of their own certificates: the logs of their keys, as this node has read them; and whom it
//! talks to (`acceptance.rs`).
//!
//! A log stands in the bucket `keys`, at `log/<id>`, signed by the key that it is about; `connectome keys revoke` writes it.
//! Every node follows these entries, so a revocation holds everywhere as soon as the store has told it: no session begins with
//! a certificate that was taken back, and the next message of an open one is refused. It is not found out whether the store
//! holds a log back; a node that has seen one takes no older one. Whoever may write to the store can also fill the table with
//! logs of keys of their own: then no further agent's log is taken, which is told in the log of the node.

mod acceptance;
mod keeper;
mod look;

use std::collections::BTreeMap;
use std::sync::Arc;

use connectome_codecs::identity::{Accept, Acceptance, Certificate, IdentityLog, Pins, Voucher};
use connectome_codecs::{AgentId, AgentName, Refusal, UnixMillis};
use parking_lot::Mutex;

pub(crate) use keeper::IdentityKeeper;
pub use look::{KeysError, Published};

/// Before the id of the agent or node whose log it is.
pub(crate) const LOG: &str = "log/";

/// The most logs that a node holds, of some 200 bytes each: half of the pins there may be, since each log needs two. Few agents
/// ever take anything back.
const LOGS_MAX: usize = 8_192;

/// The logs of agents' keys, by whose they are.
pub(crate) type Logs = BTreeMap<AgentId, IdentityLog>;

/// The newest logs that this node has seen.
#[derive(Default)]
pub(crate) struct Identities(Mutex<Known>);

/// Ids of own agents that are remembered, of 100 bytes each, since each costs a key: all agents of a large cluster. Then it begins
/// anew.
const OWN_IDS_MAX: usize = 16_384;

#[derive(Default)]
struct Known {
    logs: Arc<Logs>,
    pins: Pins,
    acceptance: Acceptance,
    own: BTreeMap<AgentName, AgentId>,
}

impl Identities {
    /// `owner`: the organisation that vouches for the owner's own nodes.
    pub(crate) fn set_acceptance(&self, accept: Accept, owner: AgentId) {
        let mut acceptance = Acceptance::new(accept);
        acceptance.trust(owner);
        self.0.lock().acceptance = acceptance;
    }

    /// Whether everybody is talked to.
    fn accepts_anybody(&self) -> bool {
        self.0.lock().acceptance.is_anybody()
    }

    fn check_accepted(&self, agent: AgentId, now: UnixMillis) -> Result<(), Refusal> {
        self.0.lock().acceptance.check(agent, now)
    }

    /// The id that an agent of this name has, if it is this owner's.
    fn own_id(&self, name: &AgentName, make: impl FnOnce(&AgentName) -> Option<AgentId>) -> Option<AgentId> {
        if let Some(known) = self.0.lock().own.get(name) {
            return Some(*known);
        }
        let id = make(name)?;
        let mut known = self.0.lock();
        if known.own.len() >= OWN_IDS_MAX {
            known.own.clear();
        }
        known.own.insert(name.clone(), id);
        Some(id)
    }

    fn organisations(&self) -> Vec<AgentId> {
        self.0.lock().acceptance.organisations().collect()
    }

    fn learn_voucher(&self, voucher: Voucher, now: UnixMillis) -> Result<bool, Refusal> {
        self.0.lock().acceptance.learn(voucher, now)
    }

    fn forget_voucher(&self, agent: AgentId, organisation: AgentId) {
        self.0.lock().acceptance.forget(agent, organisation);
    }

    /// All of them, as they are now.
    pub(crate) fn logs(&self) -> Arc<Logs> {
        self.0.lock().logs.clone()
    }

    /// Whether its agent has taken this certificate back.
    pub(crate) fn is_revoked(&self, certificate: &Certificate) -> bool {
        certificate.check_not_revoked(&*self.logs()).is_err()
    }

    /// Takes a log that was verified. `false`: it was known.
    ///
    /// # Errors
    /// When it is older than one that was seen or contradicts it, or there is no room for it.
    fn learn(&self, log: IdentityLog, now: UnixMillis) -> Result<bool, Refusal> {
        let mut known = self.0.lock();
        if known.logs.get(&log.agent()).is_some_and(|before| before.hash() == log.hash()) {
            return Ok(false);
        }
        if known.logs.len() >= LOGS_MAX && !known.logs.contains_key(&log.agent()) {
            return Err(Refusal::Full { what: "identity log", max: LOGS_MAX });
        }
        known.pins.admit_log(&log, now)?;
        Arc::make_mut(&mut known.logs).insert(log.agent(), log);
        Ok(true)
    }
}
