//! Whom one talks to: anybody; or those that are listed, and those whom an organisation that is listed vouches for.
//!
//! It does not say who somebody is: a certificate does. One's own agents are for whoever asks to know.

use std::collections::{BTreeMap, BTreeSet};

use super::voucher::Voucher;
use crate::id::{AgentId, UnixMillis};
use crate::refusal::Refusal;

/// Agents that are known to be vouched for, of some 300 bytes each: all agents of a large cluster, and their nodes.
const VOUCHED_MAX: usize = 16 * 1024;

/// Whom to talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Accept {
    /// Whoever proves who they are.
    #[default]
    Anybody,
    /// These alone.
    Listed {
        /// Agents and nodes, by their keys.
        agents: BTreeSet<AgentId>,
        /// Whoever these vouch for.
        organisations: BTreeSet<AgentId>,
    },
}

/// Whom to talk to, with the vouchers that are known.
///
/// ```
/// use connectome_codecs::identity::{Accept, Acceptance, Voucher};
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::{AgentId, UnixMillis};
/// use std::time::Duration;
///
/// let organisation = SigningKey::from_seed(&Secret::read(&[1; 32]).expect("32 bytes"));
/// let listed = [AgentId(*organisation.verifying_key().as_bytes())].into();
/// let mut acceptance = Acceptance::new(Accept::Listed { agents: [].into(), organisations: listed });
/// let (agent, now) = (AgentId([2; 32]), UnixMillis(1_000));
/// assert!(acceptance.check(agent, now).is_err());
///
/// acceptance.learn(Voucher::issue(&organisation, agent, now, Duration::from_secs(60)), now)?;
/// assert!(acceptance.check(agent, now).is_ok());
/// # Ok::<(), connectome_codecs::Refusal>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Acceptance {
    accept: Accept,
    /// For whom, and by which organisation.
    vouchers: BTreeMap<AgentId, BTreeMap<AgentId, Voucher>>,
}

impl Acceptance {
    /// With no voucher known.
    pub fn new(accept: Accept) -> Self {
        Self { accept, vouchers: BTreeMap::new() }
    }

    /// Whether it is anybody.
    pub fn is_anybody(&self) -> bool {
        self.accept == Accept::Anybody
    }

    /// Those whose vouchers count.
    pub fn organisations(&self) -> impl Iterator<Item = AgentId> + '_ {
        let listed = match &self.accept {
            Accept::Anybody => None,
            Accept::Listed { organisations, .. } => Some(organisations),
        };
        listed.into_iter().flatten().copied()
    }

    /// Counts the vouchers of one more organisation, where not everybody is accepted anyway.
    pub fn trust(&mut self, organisation: AgentId) {
        match &mut self.accept {
            Accept::Anybody => {}
            Accept::Listed { organisations, .. } => {
                organisations.insert(organisation);
            }
        }
    }

    /// Whether to talk to this agent or node at this moment.
    ///
    /// # Errors
    /// [`Refusal::NotAccepted`].
    pub fn check(&self, agent: AgentId, now: UnixMillis) -> Result<(), Refusal> {
        let is_accepted = match &self.accept {
            Accept::Anybody => true,
            Accept::Listed { agents, .. } => agents.contains(&agent) || self.is_vouched(agent, now),
        };
        if is_accepted { Ok(()) } else { Err(Refusal::NotAccepted) }
    }

    fn is_vouched(&self, agent: AgentId, now: UnixMillis) -> bool {
        let vouchers = self.vouchers.get(&agent).into_iter().flat_map(BTreeMap::values);
        vouchers.into_iter().any(|voucher| voucher.check_dates(now).is_ok())
    }

    /// Takes a voucher. `false`: its organisation does not count.
    ///
    /// # Errors
    /// [`Refusal::CertificateExpired`] when its time is over, [`Refusal::Full`] when there are as many as may be.
    pub fn learn(&mut self, voucher: Voucher, now: UnixMillis) -> Result<bool, Refusal> {
        if !self.organisations().any(|organisation| organisation == voucher.organisation()) {
            return Ok(false);
        }
        if voucher.not_after() <= now {
            return Err(Refusal::CertificateExpired);
        }
        self.make_room(voucher.agent(), now)?;
        self.vouchers.entry(voucher.agent()).or_default().insert(voucher.organisation(), voucher);
        Ok(true)
    }

    /// Forgets what an organisation said of an agent: it has taken it back.
    pub fn forget(&mut self, agent: AgentId, organisation: AgentId) {
        if let Some(vouchers) = self.vouchers.get_mut(&agent) {
            vouchers.remove(&organisation);
            if vouchers.is_empty() {
                self.vouchers.remove(&agent);
            }
        }
    }

    fn make_room(&mut self, agent: AgentId, now: UnixMillis) -> Result<(), Refusal> {
        if self.vouchers.len() < VOUCHED_MAX || self.vouchers.contains_key(&agent) {
            return Ok(());
        }
        for vouchers in self.vouchers.values_mut() {
            vouchers.retain(|_, voucher| voucher.not_after() > now);
        }
        self.vouchers.retain(|_, vouchers| !vouchers.is_empty());
        let is_full = self.vouchers.len() >= VOUCHED_MAX;
        if is_full { Err(Refusal::Full { what: "voucher", max: VOUCHED_MAX }) } else { Ok(()) }
    }
}
