//! What a node has of its own to talk with others: its instance, its prekeys, and what it asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use connectome_codecs::frame::Frame;
use connectome_codecs::identity::{
    Acceptance, Bundle, Certificate, Claims, IdentityLog, Instance, InstanceId, InstanceKeys, Prekeys,
    ROTATION, Suite, Voucher,
};
use connectome_codecs::key::{Digest, Entropy};
use connectome_codecs::session::{Policy, Receiver, Signatures};
use connectome_codecs::{AgentId, AgentName, NodeId, Refusal, UnixMillis};

/// How long a node's key stands behind its instance, before it has to say so again: half of it is a generous margin for a
/// clock that is wrong or a key that is away.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// What a node is called in its certificate; its key is what tells it from others.
const NAME: AgentName = AgentName::from_static("node");

/// What a node has of its own. Made when the process starts, and gone with it.
#[derive(Debug)]
pub struct Own {
    node: NodeId,
    instance: Instance,
    prekeys: Prekeys,
    bundle: Bundle,
    rotate_at: UnixMillis,
    policy: Policy,
    logs: BTreeMap<AgentId, IdentityLog>,
    acceptance: Acceptance,
}

impl Own {
    /// Makes an instance; `certify` has the node stand behind it.
    ///
    /// # Errors
    /// Those of `certify`; or that its certificate is for other keys.
    pub fn new<E: From<Refusal>>(
        node: NodeId,
        policy: Policy,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
        certify: impl FnOnce(Claims, &InstanceKeys) -> Result<Certificate, E>,
    ) -> Result<Own, E> {
        let keys = InstanceKeys::random(entropy);
        let mut id = [0; 16];
        entropy.fill(&mut id);
        let certificate = certify(claims(node, InstanceId(id), &keys, now), &keys)?;
        let instance = Instance::new(keys, certificate)?;
        let mut prekeys = Prekeys::new();
        let bundle = rotate(&mut prekeys, &instance, &policy, now, entropy);
        let rotate_at = now.after(ROTATION);
        Ok(Own {
            node,
            instance,
            prekeys,
            bundle,
            rotate_at,
            policy,
            logs: BTreeMap::new(),
            acceptance: Acceptance::default(),
        })
    }

    /// Makes the next prekeys when it is time, and the next certificate for the same keys when the present one ends soon. The
    /// others learn of it from [`Own::hash`].
    ///
    /// # Errors
    /// As [`Own::new`]; it goes on with what it has then.
    pub fn renew<E: From<Refusal>>(
        &mut self,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
        certify: impl FnOnce(Claims, &InstanceKeys) -> Result<Certificate, E>,
    ) -> Result<(), E> {
        self.prekeys.expire(now);
        if now < self.rotate_at {
            return Ok(());
        }
        let present = self.instance.certificate().claims();
        if present.not_after < now.after(CERTIFICATE_LIFE / 2) {
            let keys = self.instance.keys().again();
            let certificate = certify(claims(self.node, present.instance, &keys, now), &keys)?;
            self.instance = Instance::new(keys, certificate)?;
        }
        self.rotate_at = now.after(ROTATION);
        self.bundle = rotate(&mut self.prekeys, &self.instance, &self.policy, now, entropy);
        Ok(())
    }

    /// The node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Its instance.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// What it asks for.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The hash of its bundle: what tells others whether they have the newest.
    pub fn hash(&self) -> Digest {
        *self.bundle.hash()
    }

    /// A hello with its bundle.
    pub fn hello(&self, asks: bool) -> Frame {
        Frame::Hello { bundle: self.bundle.bytes().clone(), asks }
    }

    /// Whether each message is signed.
    pub fn signs_each(&self) -> bool {
        match self.policy.signatures {
            Signatures::EveryMessage => true,
            Signatures::Checkpoint => false,
        }
    }

    pub(super) fn receiver(&self) -> Receiver<'_> {
        Receiver {
            instance: &self.instance,
            prekeys: &self.prekeys,
            directory: &self.logs,
            policy: &self.policy,
        }
    }

    pub(super) fn log_of(&self, node: NodeId) -> Option<&IdentityLog> {
        self.logs.get(&AgentId(*node.as_bytes()))
    }

    /// Refuses whom this node does not talk to: whose key was taken back.
    pub(super) fn admits(&self, certificate: &Certificate) -> Result<(), Refusal> {
        let log = self.logs.get(&certificate.claims().agent);
        let is_revoked = log.is_some_and(|log| log.is_revoked(certificate.claims().serial));
        if is_revoked { Err(Refusal::Revoked) } else { Ok(()) }
    }

    /// Talks to those alone whom this lets in; to anybody, unless it is said.
    #[must_use]
    pub fn accepting(mut self, acceptance: Acceptance) -> Own {
        self.acceptance = acceptance;
        self
    }

    /// Refuses whom this node is not to talk to.
    pub(super) fn accepts(&self, certificate: &Certificate, time: UnixMillis) -> Result<(), Refusal> {
        self.acceptance.check(certificate.claims().agent, time)
    }

    /// Takes a voucher: see [`Acceptance::learn`].
    ///
    /// # Errors
    /// As there.
    pub fn learn_voucher(&mut self, voucher: Voucher, time: UnixMillis) -> Result<bool, Refusal> {
        self.acceptance.learn(voucher, time)
    }

    /// Forgets one that was taken back: whom nobody else vouches for is not talked to from then on.
    pub fn forget_voucher(&mut self, agent: AgentId, organisation: AgentId) {
        self.acceptance.forget(agent, organisation);
    }

    /// Takes the log of a node's keys: from now on what it took back does not hold.
    pub fn learn(&mut self, log: IdentityLog) {
        self.logs.insert(log.agent(), log);
    }

    /// Whether the node has taken back its own instance: another one must be made.
    pub fn is_revoked(&self) -> bool {
        self.admits(self.instance.certificate()).is_err()
    }

    /// What it has learned, for the instance that comes after it.
    pub fn take_learned(&mut self) -> (BTreeMap<AgentId, IdentityLog>, Acceptance) {
        (std::mem::take(&mut self.logs), std::mem::take(&mut self.acceptance))
    }
}

fn claims(node: NodeId, instance: InstanceId, keys: &InstanceKeys, now: UnixMillis) -> Claims {
    Claims::of_keys(AgentId(*node.as_bytes()), NAME, instance, keys, now, CERTIFICATE_LIFE)
}

fn rotate(
    prekeys: &mut Prekeys,
    instance: &Instance,
    policy: &Policy,
    now: UnixMillis,
    entropy: &mut dyn Entropy,
) -> Bundle {
    let suites: Vec<Suite> =
        [Suite::Classic, Suite::Hybrid].into_iter().filter(|suite| policy.suites.lists(*suite)).collect();
    let (certificate, keys) = (instance.certificate(), instance.keys());
    prekeys.rotate(certificate, keys, &suites, policy.retention, now, entropy)
}
