//! What may not get older: the highest epoch that was seen of each bundle, log, roster and pool.
//!
//! Storage that shows an old bundle makes us talk to keys that were rotated away, or may have been stolen since. So what
//! was seen once is kept, with the agent's own state, and an older one is refused from then on. What was never seen
//! can't be missed: for a first contact the bundle's short life is the bound.

use std::collections::BTreeMap;

use super::bundle::Bundle;
use super::certificate::InstanceId;
use super::log::IdentityLog;
use super::pool::PoolPrekey;
use super::{BUNDLE_LIFE_MAX, CLOCK_SKEW_MAX, check_version};
use crate::id::{AgentId, UnixMillis};
use crate::key::Digest;
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The most pins: every instance that ten thousand agents have had within the life of a bundle. 1 MB.
const PINS_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Bundle(AgentId, InstanceId),
    Log(AgentId),
    Pool(AgentId),
    Roster([u8; 16]),
    /// The last key of an agent's log: the epoch is how many came before it, the hash is the key.
    Key(AgentId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pin {
    epoch: u64,
    hash: Digest,
    /// When no older one can hold any more; never for what does not expire.
    until: UnixMillis,
}

/// The highest epochs that were seen. Ask before use, and keep it with the state that the answer led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<What, Pin>);

impl Pins {
    /// Takes a bundle that is as new as any that was seen.
    ///
    /// # Errors
    /// [`Refusal::RolledBack`] for an older one, or another one of the same epoch.
    pub fn admit(&mut self, bundle: &Bundle, now: UnixMillis) -> Result<(), Refusal> {
        let (agent, instance) = bundle.certificate().whose();
        let until = now.after(BUNDLE_LIFE_MAX).after(CLOCK_SKEW_MAX);
        let pin = Pin { epoch: bundle.epoch(), hash: *bundle.hash(), until };
        self.pin("bundle", What::Bundle(agent, instance), pin, now)
    }

    /// The same for the log of an agent's keys. A newer one goes on from the last key that was seen: whoever stole an
    /// older key can name another next one, and is too late.
    ///
    /// # Errors
    /// As [`admit`](Self::admit); [`Refusal::IdentityMismatch`] for a log that leads to other keys.
    pub fn admit_log(&mut self, log: &IdentityLog, now: UnixMillis) -> Result<(), Refusal> {
        let (agent, name) = (log.agent(), "identity log");
        let seen = self.0.get(&What::Key(agent));
        if seen.is_some_and(|seen| log.key_after(seen.epoch) != Some(seen.hash)) {
            return Err(Refusal::IdentityMismatch { what: name });
        }
        let pin = Pin { epoch: log.epoch(), hash: *log.hash(), until: FOR_EVER };
        self.pin(name, What::Log(agent), pin, now)?;
        let (epoch, hash) = log.last_key();
        self.pin(name, What::Key(agent), Pin { epoch, hash, until: FOR_EVER }, now)
    }

    /// The same for the prekey of a pool.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn admit_pool(&mut self, prekey: &PoolPrekey, now: UnixMillis) -> Result<(), Refusal> {
        let until = prekey.not_after().after(CLOCK_SKEW_MAX);
        let pin = Pin { epoch: prekey.id().into(), hash: *prekey.hash(), until };
        self.pin("pool prekey", What::Pool(prekey.agent()), pin, now)
    }

    /// The same for a group's roster.
    pub(crate) fn admit_roster(
        &mut self,
        group: [u8; 16],
        epoch: u64,
        hash: Digest,
        now: UnixMillis,
    ) -> Result<(), Refusal> {
        self.pin("roster", What::Roster(group), Pin { epoch, hash, until: FOR_EVER }, now)
    }

    fn pin(&mut self, name: &'static str, what: What, pin: Pin, now: UnixMillis) -> Result<(), Refusal> {
        match self.0.get(&what) {
            Some(seen) if (seen.epoch, seen.hash) == (pin.epoch, pin.hash) => return Ok(()),
            Some(seen) if seen.epoch >= pin.epoch => return Err(Refusal::RolledBack { what: name }),
            Some(_) => {}
            None => self.make_room(now)?,
        }
        self.0.insert(what, pin);
        Ok(())
    }

    fn make_room(&mut self, now: UnixMillis) -> Result<(), Refusal> {
        if self.0.len() >= PINS_MAX {
            self.0.retain(|_, pin| pin.until > now);
        }
        if self.0.len() < PINS_MAX { Ok(()) } else { Err(Refusal::Full { what: "pin", max: PINS_MAX }) }
    }

    /// The bytes to keep: `[ 1, [ [ kind, name: bin, epoch, hash: bin 32, until: ms ] ... ] ]`, in the order of kinds
    /// and names.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(16 + self.0.len() * 112);
        out.array(2);
        out.uint(1);
        out.array(self.0.len());
        for (what, pin) in &self.0 {
            let (kind, name) = what.form();
            out.array(5);
            out.uint(kind);
            out.bytes(&name);
            out.uint(pin.epoch);
            out.bytes(&pin.hash);
            out.uint(pin.until.0);
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("pins");
        let mut reader = Reader::new(bytes);
        reader.list("pins", 2).map_err(&malformed)?;
        check_version("pins", reader.uint("version").map_err(&malformed)?)?;
        let count = reader.items("pins", PINS_MAX).map_err(&malformed)?;
        let pins = (0..count).map(|_| read_pin(&mut reader)).collect::<Result<_, _>>();
        let pins = Self(pins.map_err(&malformed)?);
        reader.end().map_err(malformed)?;
        Ok(pins)
    }
}

/// The last moment there is.
const FOR_EVER: UnixMillis = UnixMillis(u64::MAX);

impl What {
    fn form(self) -> (u64, Vec<u8>) {
        match self {
            Self::Bundle(agent, instance) => (1, [&agent.0[..], &instance.0].concat()),
            Self::Log(agent) => (2, agent.0.to_vec()),
            Self::Pool(agent) => (3, agent.0.to_vec()),
            Self::Roster(group) => (4, group.to_vec()),
            Self::Key(agent) => (5, agent.0.to_vec()),
        }
    }

    fn read(kind: u64, name: &[u8]) -> Option<Self> {
        let agent = || name.try_into().ok().map(AgentId);
        match kind {
            1 => {
                let (agent, instance) = name.split_first_chunk()?;
                Some(Self::Bundle(AgentId(*agent), InstanceId(instance.try_into().ok()?)))
            }
            2 => agent().map(Self::Log),
            3 => agent().map(Self::Pool),
            4 => name.try_into().ok().map(Self::Roster),
            5 => agent().map(Self::Key),
            _ => None,
        }
    }
}

fn read_pin(reader: &mut Reader<'_>) -> Result<(What, Pin), DecodeError> {
    reader.list("pin", 5)?;
    let kind = reader.uint("kind")?;
    let what = What::read(kind, reader.bytes("name")?);
    let what = what.ok_or_else(|| DecodeError::field("name", "it does not fit its kind"))?;
    let epoch = reader.uint("epoch")?;
    let pin = Pin { epoch, hash: reader.exactly("hash")?, until: UnixMillis(reader.uint("until")?) };
    Ok((what, pin))
}
