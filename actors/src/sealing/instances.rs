//! The process's own instances: keys that live as long as it does, and the certificates that say whose they are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::identity::{Claims, Instance, InstanceId, InstanceKeys};
use connectome_codecs::{AgentId, AgentName, UnixMillis};
use parking_lot::Mutex;

use crate::port::{KeyStore, KeyStoreError, Whose, World};

/// The shortest life of a certificate: keys that only memory has are gone long before, with their process.
const LIFE_MIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// The longest: for queues that keep a task for ever.
const LIFE_MAX: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// Instances that are kept, 2 KiB each: all agents of a large node that speak. The oldest goes first; whoever has it goes on,
/// and whoever asks next gets a new one.
const INSTANCES_MAX: usize = 16_384;

/// What a node's own certificate calls it: its key is what tells it from others.
const NODE: AgentName = AgentName::from_static("node");

/// The process's own instances, each made when it is first asked for.
pub(crate) struct Instances {
    life: Duration,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    /// `None`: the node's own.
    table: BTreeMap<Option<AgentName>, Arc<Instance>>,
    /// Oldest first.
    order: VecDeque<Option<AgentName>>,
}

impl Instances {
    /// Certificates hold for twice as long as a message can wait, and are renewed at half of that: so what was signed
    /// with one can be opened for as long as it can wait.
    pub(super) fn new(retention: Option<Duration>) -> Instances {
        let life = retention.map_or(LIFE_MAX, |retention| retention.saturating_mul(2));
        Instances { life: life.clamp(LIFE_MIN, LIFE_MAX), made: Mutex::default() }
    }

    /// The instance that speaks for this agent, or for the node, in this process. A renewed one has the same id and keys.
    pub(crate) fn of(
        &self,
        keys: &dyn KeyStore,
        world: &dyn World,
        whose: Whose<'_>,
    ) -> Result<Arc<Instance>, KeyStoreError> {
        let name = match whose {
            Whose::Node => None,
            Whose::Agent(name) => Some(name.clone()),
        };
        let now = world.now();
        let mut made = self.made.lock();
        let known = made.table.get(&name);
        if let Some(instance) = known.filter(|instance| !self.is_due(instance, now)) {
            return Ok(instance.clone());
        }
        let instance = Arc::new(self.make(known.map(|known| &**known), keys, world, whose)?);
        made.keep(name, instance.clone());
        Ok(instance)
    }

    fn is_due(&self, instance: &Instance, now: UnixMillis) -> bool {
        instance.certificate().claims().not_after <= now.after(self.life / 2)
    }

    fn make(
        &self,
        before: Option<&Instance>,
        store: &dyn KeyStore,
        world: &dyn World,
        whose: Whose<'_>,
    ) -> Result<Instance, KeyStoreError> {
        let same = |before: &Instance| (before.keys().again(), before.certificate().claims().instance);
        let fresh = || {
            let keys = InstanceKeys::random(&mut |bytes: &mut [u8]| world.fill(bytes));
            (keys, InstanceId(world.random().to_be_bytes()))
        };
        let (keys, instance) = before.map_or_else(fresh, same);
        let now = world.now();
        let name = match whose {
            Whose::Node => NODE,
            Whose::Agent(name) => name.clone(),
        };
        // The key store says whose.
        let claims = Claims::of_keys(AgentId([0; 32]), name, instance, &keys, now, self.life);
        let claims = Claims { serial: world.random() as u64, ..claims };
        let certificate = store.certify(whose, claims, &keys)?;
        Ok(Instance::new(keys, certificate)?)
    }
}

impl Made {
    fn keep(&mut self, name: Option<AgentName>, instance: Arc<Instance>) {
        if self.table.insert(name.clone(), instance).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > INSTANCES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.table.remove(&oldest);
        }
    }
}
