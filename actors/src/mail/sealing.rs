//! Durable messages on their way out: sealed to the mail of the agent they are for, before the store sees them.
//!
//! A sender has an instance that lives for a day in this process, and a session of it with each agent that it writes to. The
//! sessions go one way, and are in memory: a process that comes back begins new ones. Which key is whose is in `keys.rs`; how
//! the other side opens is in `opening.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::identity::{Instance, InstanceId, InstanceKeys};
use connectome_codecs::session::{Context, Draft, SealError, Session, Signatures, initiate};
use connectome_codecs::signature::Batch;
use connectome_codecs::{
    Address, AgentId, AgentName, ContentType, EncodeError, Envelope, Kind, Sequence, UnixMillis,
};
use parking_lot::Mutex;

use super::keys::{self, NoMailKeys};
use crate::port::{KeyStoreError, Whose};
use crate::router::Router;

/// How long a sender's instance is used, and so its sessions: what is stolen of one is of no use for what is sent after a day.
/// Far shorter than a message may wait, so that no first message gets too old.
const INSTANCE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Senders that a process has at the most, 2 KB each: all agents of a large node that write.
const SENDERS_MAX: usize = 16_384;

/// Sessions that a process has at the most: those that were used least recently are begun anew when they are needed.
const SESSIONS_MAX: usize = 10_000;

/// What a node is called in the certificate of what it sends itself.
const NODE: AgentName = AgentName::from_static("node");

/// Why a message could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSealed {
    #[error(transparent)]
    Keys(#[from] NoMailKeys),
    #[error(transparent)]
    Own(#[from] KeyStoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

type Pair = (Option<AgentName>, AgentName);

/// An agent, and one of its instances.
type Whom = (AgentId, InstanceId);

/// The sessions on which this process sends mail.
#[derive(Default)]
pub(crate) struct Outgoing {
    senders: Mutex<BTreeMap<Option<AgentName>, Arc<Sender>>>,
    ways: Mutex<BTreeMap<Pair, Arc<Way>>>,
    uses: AtomicU64,
}

struct Sender {
    instance: Instance,
    until: UnixMillis,
}

impl Sender {
    fn holds(&self, router: &Router, now: UnixMillis) -> bool {
        self.until > now && !keys::is_revoked(router, self.instance.certificate())
    }
}

/// From one sender to the mail of one agent.
#[derive(Default)]
struct Way {
    session: Mutex<Option<(Arc<Sender>, Session)>>,
    /// Held by whoever begins a session, so that one is begun and not as many as wait.
    beginning: tokio::sync::Mutex<()>,
    used: AtomicU64,
    /// Where its last message stands in the stream; zero before the first.
    stored: AtomicU64,
}

/// A stream whose messages jump by this much may be another one: a stream begins with the microseconds since 1970 at which it was
/// made, and no cluster stores half a million messages between two of one sender. To be wrong costs one look at the keys.
const ANOTHER_STREAM: u64 = 500_000;

/// How a message was sealed, to tell afterwards whether it can be opened where it has come to.
pub(super) struct Sealed {
    way: Arc<Way>,
    /// The instance that it was sealed to.
    to: Whom,
    /// Where the message before stood when it was sealed.
    before: u64,
}

impl Sealed {
    /// Whether the agent's keys in the store may be others than those it was sealed to.
    fn is_doubtful(&self, stored: Sequence) -> bool {
        self.way.stored.fetch_max(stored.0, Ordering::Relaxed);
        self.before > 0 && stored.0.saturating_sub(self.before) >= ANOTHER_STREAM
    }

    /// Whether it was stored where nobody has the keys any more: in a stream that was made again, since a server lost it. Then it
    /// is to be removed, sealed anew, and stored under a fresh name.
    pub(super) async fn is_stranded(
        &self,
        router: &Router,
        to: &AgentName,
        stored: Sequence,
    ) -> Result<bool, NoMailKeys> {
        if !self.is_doubtful(stored) {
            return Ok(false);
        }
        let (bundle, _) = keys::of(router, to).await?;
        if bundle.certificate().whose() == self.to {
            return Ok(false);
        }
        *self.way.session.lock() = None;
        Ok(true)
    }
}

impl Outgoing {
    fn sender(&self, router: &Router, whose: &Option<AgentName>) -> Result<Arc<Sender>, KeyStoreError> {
        let now = router.now();
        if let Some(known) = self.senders.lock().get(whose).filter(|sender| sender.holds(router, now)) {
            return Ok(known.clone());
        }
        let keys = InstanceKeys::random(&mut |bytes: &mut [u8]| router.inner().ports.world.fill(bytes));
        let instance = match whose {
            Some(name) => keys::instance(router, name, keys, None)?,
            None => keys::certified(router, Whose::Node, NODE, keys, None)?,
        };
        let sender = Arc::new(Sender { instance, until: now.after(INSTANCE_LIFE) });
        let mut senders = self.senders.lock();
        senders.retain(|_, sender| sender.holds(router, now));
        if senders.len() >= SENDERS_MAX {
            // Their sessions begin anew, as they do each day.
            senders.clear();
        }
        Ok(senders.entry(whose.clone()).or_insert(sender).clone())
    }

    /// Begins each session anew with the next message.
    pub(super) fn forget(&self) {
        self.ways.lock().clear();
    }

    fn way(&self, pair: Pair) -> Arc<Way> {
        let mut ways = self.ways.lock();
        let way = ways.entry(pair).or_default().clone();
        way.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if ways.len() > SESSIONS_MAX {
            let mut uses: Vec<_> = ways.values().map(|way| way.used.load(Ordering::Relaxed)).collect();
            uses.sort_unstable();
            // A quarter at a time: looking for the oldest one each time would cost more than it saves.
            let oldest = uses[SESSIONS_MAX / 4];
            ways.retain(|_, way| way.used.load(Ordering::Relaxed) > oldest);
        }
        way
    }
}

/// The envelope that the store gets: whose mail it is, when it was sent and by which id, and nothing else in the open.
pub(super) async fn seal(
    router: &Router,
    inner: &Envelope,
    to: &AgentName,
) -> Result<(Envelope, Sealed), NotSealed> {
    let from = match &inner.from {
        Some(Address::Agent(name)) => Some(name.clone()),
        Some(Address::Id(_) | Address::Capability(_)) | None => None,
    };
    let payload = inner.encode()?;
    let mut outer =
        Envelope::new(inner.id, Kind::Typed, Address::Agent(to.clone()), inner.sent, Bytes::new());
    outer.content_type = ContentType::Sealed;
    let context = Context::of(&outer)?;
    let (body, sealed) = seal_bytes(router, (from, to.clone()), &context, payload).await?;
    outer.body = body;
    Ok((outer, sealed))
}

async fn seal_bytes(
    router: &Router,
    pair: Pair,
    context: &Context,
    payload: Bytes,
) -> Result<(Bytes, Sealed), NotSealed> {
    let outgoing = &router.inner().outgoing_mail;
    let sender = outgoing.sender(router, &pair.0)?;
    let way = outgoing.way(pair.clone());
    loop {
        let before = way.stored.load(Ordering::Relaxed);
        if let Some((draft, to)) = way.draft(router, &sender, context, &payload)? {
            // The signature is made when the session is free for the next message.
            let bytes = match draft {
                Drafted::Unsigned(draft) => sign(*draft, &sender),
                Drafted::Sealed(bytes) => bytes,
            };
            return Ok((bytes, Sealed { way, to, before }));
        }
        way.begin(router, &sender, &pair.1).await?;
    }
}

fn sign(draft: Draft, sender: &Sender) -> Bytes {
    let mut batch = Batch::default();
    batch.add(draft).expect("an empty batch has room");
    let sealed = batch.sign(&sender.instance.keys().signing).pop();
    sealed.expect("a batch of one gives one").bytes
}

enum Drafted {
    Unsigned(Box<Draft>),
    Sealed(Bytes),
}

/// Whether a session is one of this sender's, with somebody who is talked to, and with keys that were not taken back.
fn holds(router: &Router, (whose, session): &(Arc<Sender>, Session), sender: &Arc<Sender>) -> bool {
    Arc::ptr_eq(whose, sender) && !keys::is_revoked(router, session.peer()) && router.accepts(session.peer())
}

impl Way {
    /// `None`: there is no session of this sender's instance.
    fn draft(
        &self,
        router: &Router,
        sender: &Arc<Sender>,
        context: &Context,
        payload: &Bytes,
    ) -> Result<Option<(Drafted, Whom)>, SealError> {
        let mut held = self.session.lock();
        let Some((_, session)) = held.as_mut().filter(|held| holds(router, held, sender)) else {
            return Ok(None);
        };
        let (now, mut fill) = (router.now(), |bytes: &mut [u8]| router.inner().ports.world.fill(bytes));
        if session.needs_reservation(now) {
            // In memory alone: a process that comes back has another instance, and never these keys.
            session.reserve(now, &mut fill)?;
            session.confirm();
        }
        let (payload, to) = (payload.clone(), session.peer().whose());
        let drafted = match router.inner().config.sealing.signatures {
            Signatures::EveryMessage => {
                Drafted::Unsigned(Box::new(session.draft(context, payload, false, &mut fill)?))
            }
            Signatures::Checkpoint => {
                let key = &sender.instance.keys().signing;
                let sealing = connectome_codecs::session::Sealing { key, each: false, padded: false };
                Drafted::Sealed(session.seal(context, payload, sealing, &mut fill)?.bytes)
            }
        };
        Ok(Some((drafted, to)))
    }

    async fn begin(&self, router: &Router, sender: &Arc<Sender>, to: &AgentName) -> Result<(), NotSealed> {
        let _one = self.beginning.lock().await;
        if self.session.lock().as_ref().is_some_and(|held| holds(router, held, sender)) {
            return Ok(());
        }
        let (bundle, one_time) = keys::of(router, to).await?;
        let mut fill = |bytes: &mut [u8]| router.inner().ports.world.fill(bytes);
        let policy = router.mail_policy();
        let began = initiate(&sender.instance, &bundle, one_time.as_ref(), &policy, router.now(), &mut fill);
        *self.session.lock() = Some((sender.clone(), began.map_err(SealError::from)?));
        Ok(())
    }
}
