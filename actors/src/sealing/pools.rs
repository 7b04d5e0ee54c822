//! The keys of the pools: what is sealed to a capability, any worker of this owner's nodes may open.
//!
//! A pool's private keys stand in the bucket `keys`, under `pool/<capability>`, sealed under the root, and the public half of
//! the newest beside them. Whoever needs one first makes it, by compare-and-set; whoever seals to one that is nearly over makes
//! the next. A store that came back empty gets them again from whoever has them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::{PoolKeys, PoolPrekey};
use connectome_codecs::seal::StoreKey;
use connectome_codecs::{Capability, Refusal, Revision, UnixMillis, wire};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Seals;
use crate::port::{Bucket, BucketConfig, Entry, Expect, Storage, StreamError};

/// The bucket of keys that nodes of one root share.
pub const KEYS: &str = "keys";

/// Pools whose keys are in memory, some 20 KiB each: the capabilities of a large cluster. Then it begins anew.
const POOLS_MAX: usize = 1_024;

/// Rounds against others who make the same pool's keys: each loss is another's success, and then there are keys.
const ROUNDS_MAX: usize = 8;

/// How long the keys in memory are taken for those in the store: one small read of each pool in that time.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// A prekey serves a day, and one more for those who have not heard of the next.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Prekeys of which tasks may be waiting, at the most: half of what [`PoolKeys`] keeps. Where tasks wait for longer than so many
/// days, a prekey serves longer.
const WAITING_PREKEYS_MAX: u32 = 16;

/// How long a task can wait where its stream has no bound: what is older is not opened any more.
const RETENTION_MAX: Duration = Duration::from_secs(3 * 365 * 24 * 3600);

/// The bucket of shared keys, for those who look into a store without a node.
pub fn keys_bucket() -> BucketConfig {
    BucketConfig { name: KEYS.to_owned(), ttl: None, storage: Storage::File }
}

/// The keys of one pool as they were read or written last.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) keys: PoolKeys,
    generation: u64,
    revision: Revision,
    /// When the store was last found to have just these.
    checked: AtomicU64,
}

/// What the bucket holds of a pool.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The newest prekey.
    prekey: Bytes,
    /// All private keys, sealed.
    keys: Bytes,
}

/// The pools whose keys this node has.
#[derive(Default)]
pub(super) struct Pools {
    known: Mutex<BTreeMap<Capability, Arc<Pool>>>,
    bucket: Mutex<Option<Arc<dyn Bucket>>>,
    /// One reads or makes keys at a time, and the others find them made.
    turn: tokio::sync::Mutex<()>,
}

impl Pool {
    /// The prekey to seal to.
    pub(super) fn prekey(&self) -> Option<&PoolPrekey> {
        self.keys.newest()
    }

    /// Whether something may still be sealed to its newest prekey.
    fn serves(&self, now: UnixMillis) -> bool {
        self.prekey().is_some_and(|prekey| prekey.not_after() > now.after(DAY))
    }

    fn is_checked(&self, now: UnixMillis) -> bool {
        now < UnixMillis(self.checked.load(Ordering::Relaxed)).after(CHECK_EVERY)
    }

    fn check(&self, now: UnixMillis) {
        self.checked.store(now.0, Ordering::Relaxed);
    }

    fn copy(&self) -> PoolKeys {
        PoolKeys::decode(&self.keys.encode()).expect("keys are read as they were written")
    }
}

impl Pools {
    fn get(&self, capability: &Capability) -> Option<Arc<Pool>> {
        self.known.lock().get(capability).cloned()
    }

    fn keep(&self, capability: &Capability, pool: &Arc<Pool>) {
        let mut known = self.known.lock();
        if known.len() >= POOLS_MAX && !known.contains_key(capability) {
            known.clear();
        }
        known.insert(capability.clone(), pool.clone());
    }
}

impl Seals {
    /// The keys of a pool, with a prekey that serves.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when nodes with another root have made them; otherwise the store's.
    pub(super) async fn pool(&self, capability: &Capability) -> Result<Arc<Pool>, StreamError> {
        let now = self.world.now();
        let serving = self.pools.get(capability).filter(|pool| pool.serves(now));
        match serving {
            Some(pool) if pool.is_checked(now) => Ok(pool),
            None => self.read_pool(capability, None).await,
            Some(pool) => match self.read_pool(capability, Some(&pool)).await {
                // As good as they were; whatever they are needed for will find out whether the store is there.
                Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => Ok(pool),
                read => read,
            },
        }
    }

    /// The same, read anew unless somebody else has read them since `outdated` was.
    pub(super) async fn read_pool(
        &self,
        capability: &Capability,
        outdated: Option<&Arc<Pool>>,
    ) -> Result<Arc<Pool>, StreamError> {
        let _turn = self.pools.turn.lock().await;
        let now = self.world.now();
        if let Some(pool) = self.pools.get(capability).filter(|pool| pool.serves(now) && pool.is_checked(now))
            && outdated.is_none_or(|outdated| !Arc::ptr_eq(outdated, &pool))
        {
            return Ok(pool);
        }
        for _ in 0..ROUNDS_MAX {
            match self.read_or_make(capability).await {
                Err(StreamError::WrongRevision { .. }) => {}
                read => return read,
            }
        }
        Err(StreamError::Unavailable(format!(
            "the keys of the pool {capability} are written by others all the time"
        )))
    }

    async fn read_or_make(&self, capability: &Capability) -> Result<Arc<Pool>, StreamError> {
        let bucket = self.keys_opened().await?;
        let found = self.forget_after(bucket.get(&key_of(capability)).await)?;
        let (known, now) = (self.pools.get(capability), self.world.now());
        let (pool, expect) = match found {
            Some(Entry { value: Some(value), revision, .. }) => {
                let pool = match known {
                    Some(known) if known.revision == revision => known,
                    known => self.open_pool(capability, known, revision, &value)?,
                };
                (pool, Expect::Revision(revision))
            }
            // Lost, perhaps: tasks that wait were sealed to the keys that this node still has.
            Some(_) | None => (known.unwrap_or_default(), Expect::Absent),
        };
        let pool = if pool.serves(now) && expect == Expect::Revision(pool.revision) {
            pool
        } else {
            let (mut next, value) = self.next(capability, &pool)?;
            next.revision = self.forget_after(bucket.put(&key_of(capability), value, expect, None).await)?;
            Arc::new(next)
        };
        pool.check(now);
        self.pools.keep(capability, &pool);
        Ok(pool)
    }

    /// The next generation, with a prekey that serves; and how it is kept.
    fn next(&self, capability: &Capability, before: &Pool) -> Result<(Pool, Bytes), StreamError> {
        let now = self.world.now();
        let generation = before.generation.saturating_add(1);
        let mut pool = Pool { keys: before.copy(), generation, ..Pool::default() };
        pool.keys.expire(self.retention.unwrap_or(RETENTION_MAX), now);
        if !pool.serves(now) {
            let life = self.prekey_life();
            self.keys.rotate_pool(capability, &mut pool.keys, life, now, &mut self.entropy());
        }
        let prekey = pool.prekey().map(|prekey| prekey.bytes().clone()).unwrap_or_default();
        let (key, name) = (self.pool_key(capability), key_of(capability));
        let keys = key.seal(&name, pool.generation, &pool.keys.encode(), &mut self.entropy());
        let value = wire::encode(&Kept { prekey, keys: keys.into() })
            .map_err(|error| StreamError::Invalid(error.to_string()))?;
        Ok((pool, value))
    }

    fn prekey_life(&self) -> Duration {
        DAY.max(self.retention.unwrap_or(RETENTION_MAX) / WAITING_PREKEYS_MAX) + DAY
    }

    /// What the store has; where that is older than what this node has, the latter, to be written again.
    fn open_pool(
        &self,
        capability: &Capability,
        known: Option<Arc<Pool>>,
        revision: Revision,
        value: &[u8],
    ) -> Result<Arc<Pool>, StreamError> {
        let foreign = || self.foreign(&format!("the pool {capability}"));
        let Kept { keys: sealed, .. } = wire::decode(value).map_err(|_| foreign())?;
        let at_least = known.as_ref().map_or(0, |known| known.generation);
        let keys = match (self.pool_key(capability).open(&key_of(capability), at_least, &sealed), known) {
            (Ok(keys), _) => keys,
            (Err(Refusal::RolledBack { .. }), Some(known)) => {
                self.counts.rolled_back();
                return Ok(known);
            }
            (Err(_), _) => return Err(foreign()),
        };
        let keys = PoolKeys::decode(&keys).map_err(|_| foreign())?;
        let generation = StoreKey::generation(&sealed).unwrap_or(at_least);
        Ok(Arc::new(Pool { keys, generation, revision, ..Pool::default() }))
    }

    fn pool_key(&self, capability: &Capability) -> StoreKey {
        self.keys.store_key(&format!("pool/{capability}"))
    }

    async fn keys_opened(&self) -> Result<Arc<dyn Bucket>, StreamError> {
        let opened = self.pools.bucket.lock().clone();
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let opened: Arc<dyn Bucket> = self.streams.bucket(keys_bucket()).await?.into();
        *self.pools.bucket.lock() = Some(opened.clone());
        Ok(opened)
    }

    /// After an error it is opened anew, and so made again where it is gone.
    fn forget_after<T>(&self, done: Result<T, StreamError>) -> Result<T, StreamError> {
        if matches!(&done, Err(error) if !matches!(error, StreamError::WrongRevision { .. })) {
            *self.pools.bucket.lock() = None;
        }
        done
    }
}

fn key_of(capability: &Capability) -> String {
    format!("pool/{capability}")
}
