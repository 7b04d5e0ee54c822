//! What this node announces, and whom it looks for: announced again before it is over, taken back when it is no longer so.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connectome_codecs::{NodeId, UnixMillis};
use futures_util::StreamExt;
use futures_util::stream::iter;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::announcement::{ANNOUNCED_FOR_MAX, Announcement, Said};
use super::record;
use super::subject::Subject;
use crate::transport::libp2p::net::{Net, Order};
use crate::transport::libp2p::options::DhtOptions;
use crate::transport::libp2p::peer_key::{PeerKey, peer_of};

/// What one node announces, at the most: each is told to some twenty nodes, again and again.
pub const ANNOUNCED_MAX: usize = 256;

/// Announcements under way at a time; the rest of what a node may ask is left for searches.
const AT_ONCE_MAX: usize = 8;

/// How often it is looked what there is to announce.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon it is tried again where nobody took an announcement, or nobody of the cluster is linked.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How long a node that closes has to take back what it announced; the rest is over by itself.
const TAKE_BACK_MAX: Duration = Duration::from_millis(500);

/// The shortest that an announcement may last.
const ANNOUNCED_FOR_MIN: Duration = Duration::from_secs(1);

type Subjects = Box<dyn Fn() -> BTreeSet<Subject> + Send + Sync>;

/// Who has announced a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The node that signed it.
    pub node: NodeId,
    /// Where it can be dialled, each with its peer id.
    pub addresses: Vec<String>,
    /// When it said so last.
    pub announced_at: UnixMillis,
    /// When that is over.
    pub until: UnixMillis,
}

/// Why nothing was looked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// It is nothing that is announced.
    #[error("{address:?} can't be looked for: {problem}; write an agent's name, or can: and a capability")]
    Address {
        /// What was to be looked for.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// This node takes no part in the table.
    #[error("this node takes no part in the distributed table: set `libp2p.dht` to on")]
    Off,
    /// No node that takes part is known.
    #[error(
        "no other node that takes part in the distributed table is known yet: name one in `libp2p.peers`"
    )]
    Alone,
    /// Too many searches are under way.
    #[error("too many searches are under way: look again in a moment")]
    Busy,
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}

/// What this node announces.
pub(in crate::transport::libp2p) struct Keeper {
    key: PeerKey,
    lasts: Duration,
    subjects: Mutex<Option<Subjects>>,
    /// What was announced: where this node was then, and when it is due again.
    said: Mutex<BTreeMap<Subject, Standing>>,
    /// Nothing is announced any more.
    is_over: AtomicBool,
}

#[derive(Debug, Clone)]
struct Standing {
    addresses: Vec<Multiaddr>,
    again: Instant,
}

impl Keeper {
    pub(in crate::transport::libp2p) fn new(key: PeerKey, options: DhtOptions) -> Keeper {
        let lasts = options.announced_for.clamp(ANNOUNCED_FOR_MIN, ANNOUNCED_FOR_MAX);
        let (subjects, said) = (Mutex::default(), Mutex::default());
        Keeper { key, lasts, subjects, said, is_over: AtomicBool::new(false) }
    }

    pub(in crate::transport::libp2p) fn announce(&self, subjects: Subjects) {
        *self.subjects.lock() = Some(subjects);
    }

    /// The cluster first, then what agents can do, then their names: what does not fit is what others can do without.
    fn subjects(&self) -> BTreeSet<Subject> {
        let mut all = self.subjects.lock().as_ref().map(|subjects| subjects()).unwrap_or_default();
        all.insert(Subject::Cluster);
        if all.len() > ANNOUNCED_MAX {
            tracing::warn!(
                count = all.len(),
                max = ANNOUNCED_MAX,
                "not all of this node's agents are announced"
            );
        }
        all.into_iter().take(ANNOUNCED_MAX).collect()
    }

    /// What is to be said now: what is new, or due, or was said from elsewhere; and what is to be taken back.
    fn due(&self, subjects: &BTreeSet<Subject>, addresses: &[Multiaddr]) -> (Vec<Subject>, Vec<Subject>) {
        let said = self.said.lock();
        let now = Instant::now();
        let stands = |subject: &Subject| {
            said.get(subject).is_some_and(|standing| standing.again > now && standing.addresses == addresses)
        };
        let due = subjects.iter().filter(|subject| !stands(subject)).cloned().collect();
        (due, said.keys().filter(|subject| !subjects.contains(subject)).cloned().collect())
    }

    /// Says one thing. False: nobody took it.
    async fn say(&self, net: &Net, subject: &Subject, addresses: Vec<Multiaddr>, is_gone: bool) -> bool {
        let secret = net.admission.secret.as_ref();
        let key = subject.key(&net.namespace, secret);
        let signed_at = net.now();
        let said = Said { signed_at, until: signed_at.after(self.lasts), is_gone, addresses };
        let record = record::of(&Announcement::sign(&self.key, &key, secret, said));
        let (reply, taken) = oneshot::channel();
        net.order(Order::Announce { key, record, reply }).await && taken.await.unwrap_or(false)
    }

    async fn announce_one(&self, net: &Net, subject: Subject, addresses: Vec<Multiaddr>) {
        if self.is_over.load(Ordering::Acquire) {
            return;
        }
        let is_taken = self.say(net, &subject, addresses.clone(), false).await;
        let wait = if is_taken { self.lasts / 3 } else { AGAIN_AFTER.min(self.lasts / 3) };
        let standing = Standing { addresses, again: Instant::now() + wait };
        self.said.lock().insert(subject, standing);
    }

    async fn take_back_one(&self, net: &Net, subject: Subject) {
        self.say(net, &subject, Vec::new(), true).await;
        self.said.lock().remove(&subject);
    }
}

/// Announces, and looks for others of the cluster, until the transport is closed.
pub(in crate::transport::libp2p) async fn keep(net: Arc<Net>) -> Result<(), String> {
    let keeping = async {
        match &net.dht {
            Some(keeper) => keep_with(&net, keeper).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        () = net.closed.cancelled() => Ok(()),
        never = keeping => match never {},
    }
}

async fn keep_with(net: &Arc<Net>, keeper: &Keeper) -> Infallible {
    let mut look_at = Instant::now();
    loop {
        if !keeper.is_over.load(Ordering::Acquire) {
            announce_all(net, keeper).await;
        }
        if look_at <= Instant::now() {
            let looked = find(net, &Subject::Cluster).await;
            look_at = Instant::now() + wait_to_look(net, keeper, looked.is_ok());
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whoever is linked hears of the others from those; who is alone looks more often.
fn wait_to_look(net: &Net, keeper: &Keeper, has_looked: bool) -> Duration {
    let is_linked = net.peers().iter().any(|peer| peer.is_up());
    match (has_looked, is_linked) {
        (true, true) => keeper.lasts / 3,
        (true, false) => AGAIN_AFTER,
        (false, _) => LOOK_EVERY,
    }
}

async fn announce_all(net: &Net, keeper: &Keeper) {
    let addresses = net.own_addresses();
    // Whoever can't be dialled need not be found.
    let subjects = if addresses.is_empty() { BTreeSet::new() } else { keeper.subjects() };
    let (due, gone) = keeper.due(&subjects, &addresses);
    let saying = due.into_iter().map(|subject| keeper.announce_one(net, subject, addresses.clone()));
    iter(saying).buffer_unordered(AT_ONCE_MAX).collect::<()>().await;
    let taking = gone.into_iter().map(|subject| keeper.take_back_one(net, subject));
    iter(taking).buffer_unordered(AT_ONCE_MAX).collect::<()>().await;
}

/// Takes back what was announced, as far as the time goes.
pub(in crate::transport::libp2p) async fn take_back(net: &Net) {
    let Some(keeper) = &net.dht else { return };
    keeper.is_over.store(true, Ordering::Release);
    *keeper.subjects.lock() = None;
    let said: Vec<Subject> = keeper.said.lock().keys().cloned().collect();
    let taking = said.into_iter().map(|subject| keeper.take_back_one(net, subject));
    let taking = iter(taking).buffer_unordered(AT_ONCE_MAX).collect::<()>();
    if timeout(TAKE_BACK_MAX, taking).await.is_err() {
        tracing::debug!("not all announcements were taken back: they are over by themselves");
    }
}

/// Searches the table, and meets who is found.
pub(in crate::transport::libp2p) async fn find(
    net: &Arc<Net>,
    subject: &Subject,
) -> Result<Vec<Found>, FindError> {
    if net.dht.is_none() {
        return Err(FindError::Off);
    }
    let secret = net.admission.secret.as_ref();
    let key = subject.key(&net.namespace, secret);
    let (reply, found) = oneshot::channel();
    net.order(Order::Find { key, reply }).await;
    let records = found.await.unwrap_or(Err(FindError::Closed))?;
    let found = record::found(&key, &records, secret, net.now());
    net.learn(found.iter().map(|one| (one.node, one.addresses.clone())).collect());
    Ok(found.into_iter().map(shown).collect())
}

fn shown(announcement: Announcement) -> Found {
    let Announcement { node, signed_at, until, addresses, .. } = announcement;
    let named = |address: Multiaddr| match peer_of(node) {
        Some(peer) => address.with(Protocol::P2p(peer)).to_string(),
        None => address.to_string(),
    };
    let addresses = addresses.into_iter().map(named).collect();
    Found { node, addresses, announced_at: signed_at, until }
}
