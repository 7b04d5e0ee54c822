//! A message to a name: any instance of it opens it, once in all, and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connectome_codecs::Refusal;
use connectome_codecs::identity::{IdentityLog, Pins, PoolKeys, PoolPrekey, Suite};
use connectome_codecs::seal::{OpenedForPool, PoolMessage};
use connectome_codecs::session::{ReplayWindow, SealError};

use crate::sealed::cast::{Actor, DAY, NOW, agent_id, bits, context, flip};

struct Pool {
    boss: Actor,
    keys: PoolKeys,
    prekey: PoolPrekey,
    window: ReplayWindow,
}

impl Pool {
    fn new(hybrid: bool) -> Self {
        let mut boss = Actor::new("workers", 9);
        let mut keys = PoolKeys::new();
        let name = "workers".parse().unwrap();
        let prekey = keys.rotate(&boss.agent, &name, hybrid, DAY, NOW, &mut boss.entropy);
        let prekey = PoolPrekey::verify(prekey.bytes().clone(), None, NOW).unwrap();
        Self { boss, keys, prekey, window: ReplayWindow::new(DAY * 7) }
    }

    fn seal(&self, ada: &mut Actor, text: &str) -> Bytes {
        let message = PoolMessage { prekey: &self.prekey, sender: &ada.instance };
        message.seal(&context("task"), text.as_bytes(), NOW, &mut ada.entropy).unwrap()
    }

    fn open(&self, keys: &PoolKeys, bytes: &[u8]) -> Result<OpenedForPool, Refusal> {
        PoolMessage::open(keys, bytes, &context("task"), &self.window, &BTreeMap::new(), NOW)
    }
}

/// An instance that came after the message was sealed opens it, and knows who sent it.
#[test]
fn any_instance_of_a_pool_opens_a_task() {
    for hybrid in [false, true] {
        let (pool, mut ada) = (Pool::new(hybrid), Actor::new("ada", 1));
        let task = pool.seal(&mut ada, "task");
        let mut worker = PoolKeys::new();
        assert_eq!(pool.open(&worker, &task).unwrap_err(), Refusal::PrekeyUnknown);
        let shared = pool.keys.share().unwrap();
        worker.adopt(&shared, agent_id(&pool.boss.agent), None).unwrap();
        let worker = PoolKeys::decode(&worker.encode()).unwrap();
        let opened = pool.open(&worker, &task).unwrap();
        assert_eq!((&opened.payload[..], opened.from), (&b"task"[..], ada.peer()));
        assert_eq!(&opened.certificate, ada.instance.certificate());
    }
}

/// What an instance of a pool shares is taken as its agent signed it, with both private halves, or not at all.
#[test]
fn a_shared_key_is_the_pools() {
    let pool = Pool::new(true);
    let shared = Bytes::copy_from_slice(&pool.keys.share().unwrap());
    let agent = agent_id(&pool.boss.agent);
    let adopt = |bytes: &[u8]| PoolKeys::new().adopt(bytes, agent, None);
    assert_eq!(adopt(&shared), Ok(()));
    for bit in bits(pool.prekey.bytes()).step_by(7) {
        assert!(adopt(&flip(&shared, bit + 24)).is_err(), "bit {bit} of the prekey");
    }
    let (seed, dh) = (shared.len() * 8 - 20, (shared.len() - 66 - 16) * 8);
    assert!(adopt(&flip(&shared, seed)).is_ok(), "the last half of a seed is for wrong ciphertexts alone");
    assert!(adopt(&flip(&shared, seed - 320)).is_err());
    assert!(adopt(&flip(&shared, dh)).is_err());
}

/// A task is taken once by the whole pool, however often it is delivered.
#[test]
fn a_task_is_taken_once() {
    let (mut pool, mut ada) = (Pool::new(true), Actor::new("ada", 1));
    let task = pool.seal(&mut ada, "task");
    let opened = pool.open(&pool.keys, &task).unwrap();
    pool.window.take(opened.name, opened.sent, NOW).unwrap();
    assert_eq!(pool.open(&pool.keys, &task).unwrap_err(), Refusal::Replayed);
}

/// A task with any bit changed, in another envelope, or for another pool is refused.
#[test]
fn a_task_is_taken_whole_by_its_pool() {
    let (pool, mut ada) = (Pool::new(false), Actor::new("ada", 1));
    let task = pool.seal(&mut ada, "task");
    for bit in bits(&task) {
        assert!(pool.open(&pool.keys, &flip(&task, bit)).is_err(), "bit {bit}");
    }
    for length in 0..task.len() {
        assert!(pool.open(&pool.keys, &task[..length]).is_err(), "{length} bytes");
    }
    let other = PoolMessage::open(&pool.keys, &task, &context("else"), &pool.window, &BTreeMap::new(), NOW);
    assert_eq!(other.unwrap_err(), Refusal::BadTag);
    let mut others = Pool::new(false);
    others.keys.rotate(&ada.agent, &"ada".parse().unwrap(), false, DAY, NOW, &mut ada.entropy);
    assert!(others.keys.adopt(&pool.keys.share().unwrap(), agent_id(&ada.agent), None).is_err());
}

/// A pool's prekey rotates; old ones open what is on its way, then go, and don't come back.
#[test]
fn a_pool_rotates_its_prekey() {
    let (mut pool, mut ada) = (Pool::new(true), Actor::new("ada", 1));
    let (old, task) = (pool.prekey.clone(), pool.seal(&mut ada, "task"));
    let name = "workers".parse().unwrap();
    let later = NOW.after(DAY);
    let new = pool.keys.rotate(&pool.boss.agent, &name, true, DAY, later, &mut pool.boss.entropy);
    assert_eq!(new.id(), old.id() + 1);
    pool.keys.expire(DAY * 7, later);
    assert!(pool.open(&pool.keys, &task).is_ok());
    pool.keys.expire(DAY * 7, NOW.after(DAY * 10));
    assert_eq!(pool.open(&pool.keys, &task).unwrap_err(), Refusal::PrekeyUnknown);
    assert_eq!(PoolPrekey::verify(old.bytes().clone(), None, later).unwrap_err(), Refusal::BundleExpired);
    let early = PoolPrekey::verify(new.bytes().clone(), None, NOW).unwrap_err();
    assert_eq!(early, Refusal::ClockSkew { what: "pool prekey's beginning" });
    let mut pins = Pins::default();
    pins.admit_pool(&new, later).unwrap();
    assert_eq!(pins.admit_pool(&old, later), Err(Refusal::RolledBack { what: "pool prekey" }));
}

/// A prekey with any bit changed is refused.
#[test]
fn a_pool_prekey_is_taken_as_it_was_signed() {
    let pool = Pool::new(false);
    for bit in bits(pool.prekey.bytes()) {
        assert!(PoolPrekey::verify(flip(pool.prekey.bytes(), bit), None, NOW).is_err(), "bit {bit}");
    }
}

/// Nothing is sealed to a prekey that has expired, and a prekey says how well it seals.
#[test]
fn an_expired_pool_prekey_seals_nothing() {
    let mut ada = Actor::new("ada", 1);
    for (hybrid, suite) in [(false, Suite::Classic), (true, Suite::Hybrid)] {
        let pool = Pool::new(hybrid);
        assert_eq!(pool.prekey.suite(), suite);
        let message = PoolMessage { prekey: &pool.prekey, sender: &ada.instance };
        let late = message.seal(&context("task"), b"task", NOW.after(DAY), &mut ada.entropy);
        assert_eq!(late.unwrap_err(), SealError::Peer(Refusal::BundleExpired));
    }
}

/// A task by an instance whose certificate was taken back, or has expired, is not taken.
#[test]
fn a_task_needs_a_certificate_that_holds() {
    let (pool, mut ada) = (Pool::new(true), Actor::new("ada", 1));
    let task = pool.seal(&mut ada, "task");
    let serial = ada.instance.certificate().claims().serial;
    let log = IdentityLog::begin(&ada.agent, 1, BTreeSet::from([serial])).unwrap();
    let directory = BTreeMap::from([(agent_id(&ada.agent), log)]);
    let open = |directory: &BTreeMap<_, _>, now| {
        PoolMessage::open(&pool.keys, &task, &context("task"), &pool.window, directory, now).unwrap_err()
    };
    assert_eq!(open(&directory, NOW), Refusal::Revoked);
    assert_eq!(open(&BTreeMap::new(), NOW.after(DAY * 90)), Refusal::CertificateExpired);
}
