//! Who could run what: the offers of this node and of others, and the news that the keeper must hear.
//!
//! It outlives any crash of the keeper. Each piece of news stands in it once, so it is bounded by the names and nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connectome_codecs::{AgentName, NodeId, Term};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Offer;
use crate::cell::AgentCell;
use crate::protocol::ownership::OwnershipCounts;
use crate::protocol::restart::Exit;
use crate::router::{Changes, Router};

/// For so long a name counts as offered after its last offer went: as long as a process takes to be started again.
const LATELY: Duration = Duration::from_secs(10);

/// Names that are remembered so; past it the oldest memory is given up.
const LATELY_MAX: usize = 65_536;

/// Who could run what.
pub(crate) struct Offers {
    here: Mutex<BTreeMap<AgentName, Arc<dyn Offer>>>,
    there: DashMap<AgentName, BTreeSet<NodeId>>,
    lately: Mutex<BTreeMap<AgentName, Instant>>,
    /// Whether anything was ever offered: calls in a cluster without offers look no further.
    any: AtomicBool,
    /// Under which term an agent of this node may be started.
    may_run: DashMap<AgentName, Term>,
    news: Mutex<BTreeSet<News>>,
    some: Notify,
    /// Offers of this node that the cluster keeper must announce, or take back.
    pub(super) announce: Changes,
    leaving: AtomicBool,
    left: watch::Sender<bool>,
    pub(super) counts: Mutex<OwnershipCounts>,
}

/// What the keeper must hear.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// A life of this node has ended.
    Fallen(NodeId),
    /// Other nodes came, went, fell silent or spoke again.
    Nodes,
    /// Another node owns it under this term, and says so.
    Heard(AgentName, Term),
    /// Somebody offers this name, or does not any more.
    Offer(AgentName),
    /// Somebody waits for it.
    Wanted(AgentName),
    /// The agent ended of itself.
    Ended(AgentName, Term),
    /// A place of effect refused it.
    Fenced(AgentName, Term),
    /// This node leaves.
    Leave,
}

impl Default for Offers {
    fn default() -> Offers {
        Offers {
            here: Mutex::default(),
            there: DashMap::new(),
            lately: Mutex::default(),
            any: AtomicBool::new(false),
            may_run: DashMap::new(),
            news: Mutex::default(),
            some: Notify::new(),
            announce: Changes::default(),
            leaving: AtomicBool::new(false),
            left: watch::Sender::new(false),
            counts: Mutex::default(),
        }
    }
}

impl Offers {
    pub(crate) fn tell(&self, news: News) {
        self.news.lock().insert(news);
        self.some.notify_one();
    }

    /// Waits until there is news, and takes it.
    pub(super) async fn news(&self) -> BTreeSet<News> {
        loop {
            let news = std::mem::take(&mut *self.news.lock());
            if !news.is_empty() {
                return news;
            }
            self.some.notified().await;
        }
    }

    /// This node would run it. `false`: it offers that name already.
    pub(super) fn offer(&self, name: &AgentName, offer: Arc<dyn Offer>) -> bool {
        let mut here = self.here.lock();
        if here.contains_key(name) {
            return false;
        }
        here.insert(name.clone(), offer);
        drop(here);
        self.any.store(true, Ordering::Release);
        self.changed(name);
        true
    }

    /// `false`: it did not offer it.
    pub(super) fn withdraw(&self, name: &AgentName) -> bool {
        let was_here = self.here.lock().remove(name).is_some();
        if was_here {
            self.remember(name);
            self.changed(name);
        }
        was_here
    }

    fn changed(&self, name: &AgentName) {
        self.announce.add(name);
        self.tell(News::Offer(name.clone()));
    }

    pub(crate) fn add_remote(&self, node: NodeId, name: AgentName) {
        self.any.store(true, Ordering::Release);
        self.there.entry(name.clone()).or_default().insert(node);
        self.tell_if_here(name, News::Offer);
    }

    pub(crate) fn remove_remote(&self, node: NodeId, name: &AgentName) {
        if let Some(mut nodes) = self.there.get_mut(name) {
            nodes.remove(&node);
        }
        if self.there.remove_if(name, |_, nodes| nodes.is_empty()).is_some() {
            self.remember(name);
        }
        self.tell_if_here(name.clone(), News::Offer);
    }

    /// Forgets what other nodes have said.
    pub(crate) fn forget_remote(&self) {
        let mut known: Vec<AgentName> = self.there.iter().map(|entry| entry.key().clone()).collect();
        known.sort();
        self.there.clear();
        for name in known {
            self.remember(&name);
            self.tell_if_here(name, News::Offer);
        }
    }

    /// Another node says that it has this agent.
    pub(crate) fn heard(&self, name: &AgentName, term: Option<Term>) {
        if let Some(term) = term.filter(|_| self.is_here(name)) {
            self.tell(News::Heard(name.clone(), term));
        }
    }

    /// Somebody waits for this agent.
    pub(crate) fn want(&self, name: &AgentName) {
        self.tell_if_here(name.clone(), News::Wanted);
    }

    fn tell_if_here(&self, name: AgentName, news: fn(AgentName) -> News) {
        if self.is_here(&name) {
            self.tell(news(name));
        }
    }

    fn remember(&self, name: &AgentName) {
        let now = Instant::now();
        let mut lately = self.lately.lock();
        if lately.len() >= LATELY_MAX {
            lately.retain(|_, until| *until > now);
        }
        if lately.len() >= LATELY_MAX {
            lately.pop_first();
        }
        lately.insert(name.clone(), now + LATELY);
    }

    pub(crate) fn is_here(&self, name: &AgentName) -> bool {
        self.any.load(Ordering::Acquire) && self.here.lock().contains_key(name)
    }

    /// Whether somebody would run it, or would have a moment ago.
    pub(crate) fn is_offered(&self, name: &AgentName) -> bool {
        self.any.load(Ordering::Acquire)
            && (self.there.contains_key(name)
                || self.is_here(name)
                || self.lately.lock().get(name).is_some_and(|until| *until > Instant::now()))
    }

    /// Whether this node announces it.
    pub(crate) fn is_announced(&self, name: &AgentName) -> bool {
        self.is_here(name) && !self.is_leaving()
    }

    /// Waits until the offers of this node changed, and says which.
    pub(crate) async fn to_announce(&self) -> BTreeSet<AgentName> {
        self.announce.take().await
    }

    pub(crate) fn names_here(&self) -> Vec<AgentName> {
        self.here.lock().keys().cloned().collect()
    }

    pub(super) fn of_this_node(&self, name: &AgentName) -> Option<Arc<dyn Offer>> {
        self.here.lock().get(name).cloned()
    }

    pub(super) fn others(&self, name: &AgentName) -> BTreeSet<NodeId> {
        self.there.get(name).map(|nodes| nodes.clone()).unwrap_or_default()
    }

    pub(super) fn allow(&self, name: &AgentName, term: Term) {
        self.may_run.insert(name.clone(), term);
    }

    /// From now on no incarnation is started under this term.
    pub(super) fn forbid(&self, name: &AgentName, term: Term) {
        self.may_run.remove_if(name, |_, allowed| *allowed == term);
    }

    pub(crate) fn may_run(&self, name: &AgentName, term: Term) -> bool {
        self.may_run.get(name).is_some_and(|allowed| *allowed == term)
    }

    /// What an earlier keeper had allowed.
    pub(super) fn allowed(&self) -> BTreeMap<AgentName, Term> {
        self.may_run.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(super) fn has_left(&self) {
        self.left.send_replace(true);
    }
}

impl Router {
    pub(crate) fn offers(&self) -> &Offers {
        &self.inner().offers
    }

    /// What has happened to the names that this node offers, since it started.
    pub fn ownership_counts(&self) -> OwnershipCounts {
        *self.offers().counts.lock()
    }

    /// Hands every agent that this node owns to others: each is stopped after the message that it has in hand, and its
    /// lease is given back. Ends when all are.
    pub async fn hand_over(&self) {
        let offers = self.offers();
        if offers.names_here().is_empty() {
            return;
        }
        offers.leaving.store(true, Ordering::Release);
        for name in offers.names_here() {
            offers.announce.add(&name);
        }
        offers.tell(News::Leave);
        // The sender lives as long as the router does.
        drop(offers.left.subscribe().wait_for(|left| *left).await);
    }

    /// A place of effect has refused this incarnation: a newer term has begun, and another node runs the agent.
    pub(crate) fn fenced(&self, cell: &AgentCell) {
        let Some(term) = cell.term() else { return };
        if self.offers().may_run(&cell.name, term) {
            tracing::warn!(agent = %cell.name, %term, "fenced: another node owns it under a newer term; stopped here");
            self.offers().forbid(&cell.name, term);
            self.offers().tell(News::Fenced(cell.name.clone(), term));
        }
        cell.stop(Exit::Shutdown);
    }

    /// An agent has stopped for good. One that this node owns, and did not stop, is given to another one.
    pub(crate) fn owned_ended(&self, cell: &AgentCell) {
        if let Some(term) = cell.term()
            && self.offers().may_run(&cell.name, term)
        {
            self.offers().forbid(&cell.name, term);
            self.offers().tell(News::Ended(cell.name.clone(), term));
        }
    }
}
