//! The keys of an agent's mail: what is sealed to it while it sleeps opens wherever it wakes.
//!
//! Each agent that is sent durable messages has one instance for them, which outlives its processes. Its private half is in
//! the store, sealed with a key that those who share the node's root have; so the agent's next owner goes on with it, and
//! whoever sends to an agent of the same owner that has never run makes its keys for it. Both halves are one value, written at
//! once:
//!
//! ```text
//! bucket `keys`   mail/<id of the agent>            [ bundle: bin, private half, sealed: bin ]
//!                 mail/<id of the agent>/<number>   a one-time prekey; whoever deletes it has it
//! ```
//!
//! What is read here is not believed: a bundle is verified, and may not be older than one that was seen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::{
    Bundle, Certificate, Claims, IdentityLog, Instance, InstanceId, InstanceKeys, KeptKeys, ONE_TIME_LIFE,
    OneTimePrekey, Pins, Suite,
};
use connectome_codecs::seal::StoreKey;
use connectome_codecs::{AgentId, AgentName, Refusal, Revision, UnixMillis, wire};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::port::{Bucket, Expect, KeyStoreError, StreamError, Whose};
use crate::router::Router;
use crate::sealing::keys_bucket;

/// How long an agent stands behind the instance of its mail.
const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// One-time prekeys that an agent with mail has in stock: new senders between two looks of its owner.
const STOCK: usize = 16;

/// Rounds against others who write the same keys.
const ROUNDS_MAX: usize = 16;

/// How often it is looked whether a stranger's keys are there: its node needs some milliseconds to make them.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Why an agent's mail keys could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoMailKeys {
    #[error(transparent)]
    Store(#[from] StreamError),
    #[error(transparent)]
    Key(#[from] KeyStoreError),
    #[error("the mail keys of {0} do not hold: {1}")]
    Refused(AgentName, Refusal),
    #[error(
        "{0} is an agent of nodes with another root key, and has no mail keys that hold: it must run once, or again, before it \
         can be sent anything"
    )]
    Stranger(AgentName),
    #[error("nothing is sent to {0}: {1}")]
    NotAccepted(AgentName, Refusal),
    #[error("the mail keys of {0} were written by others {ROUNDS_MAX} times in a row")]
    Contended(AgentName),
}

#[derive(Serialize, Deserialize)]
struct Entry {
    bundle: Bytes,
    secret: Bytes,
}

/// The keys of an agent's mail, as its owner has them.
pub(crate) struct MailKeys {
    pub(super) kept: KeptKeys,
    pub(super) bundle: Bundle,
    pub(super) revision: Revision,
    generation: u64,
}

/// The bucket, opened once, and what may not get older.
#[derive(Default)]
pub(crate) struct KeyTable {
    bucket: Mutex<Option<Arc<dyn Bucket>>>,
    pins: Mutex<Pins>,
    /// Requests for keys of agents here that are being seen to.
    pub(super) furnishing: Furnishing,
}

/// Requests of other nodes that a node sees to at once: each writes to the store once, and what is over the bound is asked
/// again.
const FURNISHING_MAX: usize = 16;

/// How many requests may be seen to at once.
pub(super) struct Furnishing(pub(super) Arc<Semaphore>);

impl Default for Furnishing {
    fn default() -> Furnishing {
        Furnishing(Arc::new(Semaphore::new(FURNISHING_MAX)))
    }
}

impl KeyTable {
    pub(super) async fn open(&self, router: &Router) -> Result<Arc<dyn Bucket>, StreamError> {
        let opened = self.bucket.lock().clone();
        if let Some(opened) = opened {
            return Ok(opened);
        }
        let opened: Arc<dyn Bucket> = router.streams().bucket(keys_bucket()).await?.into();
        *self.bucket.lock() = Some(opened.clone());
        Ok(opened)
    }

    /// After an error it is opened anew, and so made again where it is gone.
    pub(super) fn forget_after<T>(&self, done: Result<T, StreamError>) -> Result<T, StreamError> {
        if matches!(&done, Err(error) if !matches!(error, StreamError::WrongRevision { .. })) {
            *self.bucket.lock() = None;
        }
        done
    }
}

/// Which agent a name stands for: the one that is known to live on another node, or else this owner's.
pub(super) fn id_of(router: &Router, name: &AgentName) -> Result<AgentId, KeyStoreError> {
    match router.registry().id_elsewhere(name) {
        Some(id) => Ok(id),
        None => router.inner().ports.keys.agent_id(name),
    }
}

/// Before the id of the agent.
pub(crate) const KEYS_OF_MAIL: &str = "mail/";

fn key_of(id: AgentId) -> String {
    format!("{KEYS_OF_MAIL}{id}")
}

/// What seals the private half of an agent's mail keys, and its sessions.
pub(super) fn store_key(router: &Router, name: &AgentName) -> StoreKey {
    router.inner().ports.keys.store_key(&format!("mail/{name}"))
}

/// An agent's own mail keys, as they are in the store; made where there are none, and renewed where they are due.
pub(crate) async fn own(router: &Router, name: &AgentName) -> Result<MailKeys, NoMailKeys> {
    for _ in 0..ROUNDS_MAX {
        let found = read(router, name).await?;
        let now = router.now();
        let next = match found {
            Some(keys) if is_revoked(router, keys.kept.instance.certificate()) => anew(router, name, &keys)?,
            Some(keys) if !keys.is_due(now) => return Ok(keys),
            Some(keys) => renewed(router, name, keys)?,
            None => made(router, name)?,
        };
        match write(router, name, next).await {
            Err(NoMailKeys::Store(StreamError::WrongRevision { .. })) => {}
            done => return done,
        }
    }
    Err(NoMailKeys::Contended(name.clone()))
}

impl MailKeys {
    /// Whether the next bundle is to be made.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        self.kept.is_due(now)
    }
}

async fn read(router: &Router, name: &AgentName) -> Result<Option<MailKeys>, NoMailKeys> {
    let id = router.inner().ports.keys.agent_id(name)?;
    let table = &router.inner().mail_keys;
    let found = table.forget_after(table.open(router).await?.get(&key_of(id)).await)?;
    let Some((value, revision)) = found.and_then(|entry| Some((entry.value?, entry.revision))) else {
        return Ok(None);
    };
    let refused = |refusal| NoMailKeys::Refused(name.clone(), refusal);
    let Entry { bundle, secret } = decode(name, &value)?;
    let generation = StoreKey::generation(&secret).unwrap_or_default();
    let secret = store_key(router, name).open(&key_of(id), 0, &secret).map_err(refused)?;
    let kept = KeptKeys::decode(&secret).map_err(refused)?;
    // One whose time is over is still ours: it is renewed.
    let bundle = Bundle::verify(bundle, None, kept.made()).map_err(refused)?;
    Ok(Some(MailKeys { kept, bundle, revision, generation }))
}

fn decode(name: &AgentName, value: &[u8]) -> Result<Entry, NoMailKeys> {
    wire::decode(value).map_err(|error| {
        NoMailKeys::Store(StreamError::Invalid(format!("the mail keys of {name} can't be read: {error}")))
    })
}

/// Mail keys that are not in the store yet.
struct Next {
    kept: KeptKeys,
    bundle: Bundle,
    over: Option<Revision>,
    generation: u64,
}

fn suites(router: &Router) -> Vec<Suite> {
    let spoken = &router.inner().config.sealing.suites;
    [Suite::Classic, Suite::Hybrid].into_iter().filter(|suite| spoken.lists(*suite)).collect()
}

/// Whether an agent has taken back a certificate.
pub(super) fn is_revoked(router: &Router, certificate: &Certificate) -> bool {
    router.seals().identities().is_revoked(certificate)
}

/// Other keys, in place of those that were taken back.
fn anew(router: &Router, name: &AgentName, keys: &MailKeys) -> Result<Next, NoMailKeys> {
    let next = made(router, name)?;
    Ok(Next { over: Some(keys.revision), generation: keys.generation, ..next })
}

fn made(router: &Router, name: &AgentName) -> Result<Next, NoMailKeys> {
    let mut fill = |bytes: &mut [u8]| router.inner().ports.world.fill(bytes);
    let instance = instance(router, name, InstanceKeys::random(&mut fill), None)?;
    let (kept, bundle) = KeptKeys::new(instance, &suites(router), router.mail_age(), router.now(), &mut fill);
    Ok(Next { kept, bundle, over: None, generation: 0 })
}

fn renewed(router: &Router, name: &AgentName, keys: MailKeys) -> Result<Next, NoMailKeys> {
    let MailKeys { mut kept, revision, generation, .. } = keys;
    let now = router.now();
    let mut fill = |bytes: &mut [u8]| router.inner().ports.world.fill(bytes);
    let claims = kept.instance.certificate().claims();
    if claims.not_after < now.after(CERTIFICATE_LIFE / 2) {
        let same = kept.instance.keys().again();
        kept.instance = instance(router, name, same, Some(claims.instance))?;
    }
    let bundle = kept.rotate(&suites(router), router.mail_age(), now, &mut fill);
    Ok(Next { kept, bundle, over: Some(revision), generation })
}

/// An instance of an agent, for which its key stands.
pub(super) fn instance(
    router: &Router,
    name: &AgentName,
    keys: InstanceKeys,
    id: Option<InstanceId>,
) -> Result<Instance, KeyStoreError> {
    certified(router, Whose::Agent(name), name.clone(), keys, id)
}

pub(super) fn certified(
    router: &Router,
    whose: Whose<'_>,
    name: AgentName,
    keys: InstanceKeys,
    id: Option<InstanceId>,
) -> Result<Instance, KeyStoreError> {
    let now = router.now();
    let mut fresh = [0; 16];
    router.inner().ports.world.fill(&mut fresh);
    // The key store says whose.
    let (agent, id) = (AgentId([0; 32]), id.unwrap_or(InstanceId(fresh)));
    let claims = Claims::of_keys(agent, name, id, &keys, now, CERTIFICATE_LIFE);
    let certificate = router.inner().ports.keys.certify(whose, claims, &keys)?;
    Ok(Instance::new(keys, certificate)?)
}

async fn write(router: &Router, name: &AgentName, next: Next) -> Result<MailKeys, NoMailKeys> {
    let Next { kept, bundle, over, generation } = next;
    let mut keys = MailKeys { kept, bundle, revision: Revision(0), generation };
    keys.revision = put(router, name, &keys, over.map_or(Expect::Absent, Expect::Revision)).await?;
    keys.generation += 1;
    Ok(keys)
}

/// Writes the keys after they were used, or newer ones were made. Those that the store has lost are written again.
pub(super) async fn save(router: &Router, name: &AgentName, keys: &mut MailKeys) -> Result<(), NoMailKeys> {
    let saved = put(router, name, keys, Expect::Revision(keys.revision)).await;
    let saved = match saved {
        Err(NoMailKeys::Store(StreamError::WrongRevision { current: None, .. })) => {
            put(router, name, keys, Expect::Absent).await
        }
        saved => saved,
    };
    keys.revision = saved?;
    keys.generation += 1;
    Ok(())
}

async fn put(
    router: &Router,
    name: &AgentName,
    keys: &MailKeys,
    expect: Expect,
) -> Result<Revision, NoMailKeys> {
    let id = router.inner().ports.keys.agent_id(name)?;
    let mut fill = |bytes: &mut [u8]| router.inner().ports.world.fill(bytes);
    let secret =
        store_key(router, name).seal(&key_of(id), keys.generation + 1, &keys.kept.encode(), &mut fill);
    let entry = Entry { bundle: keys.bundle.bytes().clone(), secret: secret.into() };
    let value = wire::encode(&entry).map_err(|error| StreamError::Invalid(error.to_string()))?;
    let table = &router.inner().mail_keys;
    Ok(table.forget_after(table.open(router).await?.put(&key_of(id), value, expect, None).await)?)
}

/// Whether the store has the keys of an agent's mail.
pub(super) async fn are_there(router: &Router, name: &AgentName) -> Result<bool, NoMailKeys> {
    Ok(read(router, name).await?.is_some())
}

/// Fills the stock of one-time prekeys: the private halves are written first, then the public ones are published.
pub(super) async fn refill(
    router: &Router,
    name: &AgentName,
    mut keys: MailKeys,
) -> Result<MailKeys, NoMailKeys> {
    let now = router.now();
    if keys.kept.prekeys.one_time_stock(now) > STOCK / 2 {
        return Ok(keys);
    }
    let mut fill = |bytes: &mut [u8]| router.inner().ports.world.fill(bytes);
    let fresh = keys.kept.refill(STOCK, router.mail_age(), now, &mut fill);
    save(router, name, &mut keys).await?;
    let id = router.inner().ports.keys.agent_id(name)?;
    let bucket = router.inner().mail_keys.open(router).await?;
    for prekey in fresh {
        let key = format!("{}/{}", key_of(id), prekey.id());
        bucket.put(&key, prekey.bytes().clone(), Expect::Absent, Some(ONE_TIME_LIFE)).await?;
    }
    Ok(keys)
}

/// What is needed to begin a session with the mail of an agent: its bundle, and a prekey for this session alone where there is
/// one.
pub(super) async fn of(
    router: &Router,
    name: &AgentName,
) -> Result<(Bundle, Option<OneTimePrekey>), NoMailKeys> {
    let id = id_of(router, name)?;
    let refused = |refusal| {
        router.inner().peers.count_refusal(&refusal);
        NoMailKeys::NotAccepted(name.clone(), refusal)
    };
    router.check_accepted(id, name).await.map_err(refused)?;
    let bundle = match found(router, name, id).await? {
        Some(bundle) => bundle,
        None if id == router.inner().ports.keys.agent_id(name)? => own(router, name).await?.bundle,
        None => of_stranger(router, name, id).await?,
    };
    let admitted = router.inner().mail_keys.pins.lock().admit(&bundle, router.now());
    admitted.map_err(|refusal| NoMailKeys::Refused(name.clone(), refusal))?;
    let one_time = claim(router, id, &bundle).await;
    Ok((bundle, one_time))
}

/// An agent of nodes with another root key publishes its keys itself, when somebody asks its node.
async fn of_stranger(router: &Router, name: &AgentName, id: AgentId) -> Result<Bundle, NoMailKeys> {
    let until = Instant::now() + router.call_timeout();
    while Instant::now() < until {
        let Some(node) = router.registry().node_of(name) else { break };
        router.ask_for_mail_keys(node, name);
        sleep(LOOK_AGAIN).await;
        if let Some(bundle) = found(router, name, id).await? {
            return Ok(bundle);
        }
    }
    Err(NoMailKeys::Stranger(name.clone()))
}

/// The bundle that is published, if there is one that holds.
async fn found(router: &Router, name: &AgentName, id: AgentId) -> Result<Option<Bundle>, NoMailKeys> {
    let table = &router.inner().mail_keys;
    let entry = table.forget_after(table.open(router).await?.get(&key_of(id)).await)?;
    let Some(value) = entry.and_then(|entry| entry.value) else { return Ok(None) };
    let logs = router.seals().identities().logs();
    match Bundle::verify(decode(name, &value)?.bundle, logs.get(&id), router.now()) {
        Ok(bundle) => {
            let claims = bundle.certificate().claims();
            let is_theirs = claims.agent == id && claims.name == *name;
            let refused = Refusal::IdentityMismatch { what: "bundle" };
            if is_theirs { Ok(Some(bundle)) } else { Err(NoMailKeys::Refused(name.clone(), refused)) }
        }
        Err(Refusal::BundleExpired | Refusal::CertificateExpired | Refusal::Revoked) => Ok(None),
        Err(refusal) => Err(NoMailKeys::Refused(name.clone(), refusal)),
    }
}

/// What anybody reads of the keys of an agent's mail.
pub(crate) async fn published(
    router: &Router,
    id: AgentId,
    log: Option<&IdentityLog>,
) -> Result<Option<Bundle>, NoMailKeys> {
    let table = &router.inner().mail_keys;
    let entry = table.forget_after(table.open(router).await?.get(&key_of(id)).await)?;
    let Some(value) = entry.and_then(|entry| entry.value) else { return Ok(None) };
    let unreadable = |error| StreamError::Invalid(format!("the mail keys of {id} can't be read: {error}"));
    let Entry { bundle, .. } = wire::decode(&value).map_err(unreadable)?;
    match Bundle::verify(bundle, log, router.now()) {
        Ok(bundle) if bundle.certificate().claims().agent == id => Ok(Some(bundle)),
        Ok(_) => Err(StreamError::Invalid(format!("the store has another one's mail keys for {id}")).into()),
        Err(Refusal::BundleExpired | Refusal::CertificateExpired | Refusal::Revoked) => Ok(None),
        Err(refusal) => {
            Err(StreamError::Invalid(format!("the mail keys of {id} do not hold: {refusal}")).into())
        }
    }
}

/// Makes the next bundle before it is due.
pub(crate) async fn rotate(router: &Router, name: &AgentName) -> Result<(), NoMailKeys> {
    for _ in 0..ROUNDS_MAX {
        let next = match read(router, name).await? {
            Some(keys) if is_revoked(router, keys.kept.instance.certificate()) => anew(router, name, &keys)?,
            Some(keys) => renewed(router, name, keys)?,
            None => made(router, name)?,
        };
        match write(router, name, next).await {
            Err(NoMailKeys::Store(StreamError::WrongRevision { .. })) => {}
            done => return done.map(drop),
        }
    }
    Err(NoMailKeys::Contended(name.clone()))
}

/// Takes one of the agent's one-time prekeys, so that nobody else does. None is no obstacle: then the first message lacks
/// forward secrecy until the bundle's prekey is erased.
async fn claim(router: &Router, id: AgentId, bundle: &Bundle) -> Option<OneTimePrekey> {
    let bucket = router.inner().mail_keys.open(router).await.ok()?;
    for key in bucket.keys(&format!("{}/", key_of(id))).await.ok()? {
        let Ok(Some(entry)) = bucket.get(&key).await else { continue };
        let Some(value) = entry.value else { continue };
        let taken = bucket.delete(&key, Expect::Revision(entry.revision)).await;
        if taken.is_ok()
            && let Ok(prekey) = OneTimePrekey::verify(value, bundle.certificate())
        {
            return Some(prekey);
        }
    }
    None
}
