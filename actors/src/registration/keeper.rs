//! The registration keeper: does what `protocol/registration` asks for, with the store, the clocks and the keys.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use connectome_codecs::event::AgentUnregistered;
use connectome_codecs::message::{AgentRecord, DownReason};
use connectome_codecs::registration::{Presence, Refusal, Registration};
use connectome_codecs::{AgentName, Fact};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::store::{self, AGAIN};
use super::table::{Registrations, Wishes};
use super::{ReadRefusal, signing};
use crate::event_dispatcher::error_event;
use crate::port::{Bucket, Entry, StreamError, Tail, Watch};
use crate::protocol::Now;
use crate::protocol::registration::{Action, Input, Keeper as Protocol};
use crate::registry::NodeState;
use crate::router::Router;
use crate::service::Service;

/// How long a node that stops removes what it registered: some 10,000 entries. What is left is swept by others.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// Keeps this node's part of the bucket right, and a checked copy of the rest.
pub(crate) struct RegistrationKeeper {
    pub(crate) router: Router,
}

impl Service for RegistrationKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let protocol = Protocol::new(self.router.node_id(), self.router.incarnation());
        let mut keeper = Keeper {
            router: self.router,
            protocol,
            began: Instant::now(),
            bucket: None,
            watch: None,
            refusals: None,
            under_way: FuturesUnordered::new(),
        };
        keeper.begin();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = keeper.keep() => {}
        }
        keeper.tell(Input::Leave);
        // What could not be removed in time is swept by others, or by the next life of this node.
        drop(timeout(LEAVE_MAX, keeper.leave()).await);
        Ok(())
    }
}

struct Keeper {
    router: Router,
    protocol: Protocol,
    began: Instant,
    bucket: Option<Arc<dyn Bucket>>,
    watch: Option<Box<dyn Watch>>,
    refusals: Option<Box<dyn Tail>>,
    under_way: FuturesUnordered<BoxFuture<'static, Event>>,
}

/// What came of something that was under way.
enum Event {
    Told(Input),
    Said,
    Watching(Arc<dyn Bucket>, Box<dyn Watch>, Option<BTreeSet<AgentName>>),
    Listening(Box<dyn Tail>),
}

impl Keeper {
    /// A keeper that follows a crashed one learns everything anew: from the store, and from whoever announces agents.
    fn begin(&mut self) {
        for registration in self.table().forget() {
            self.unfind(&registration);
        }
        self.nodes();
        self.open_watch(Duration::ZERO, false);
        self.open_refusals(Duration::ZERO);
        for name in self.router.local_agents() {
            self.router.inner().announce.add(&name);
        }
    }

    async fn keep(&mut self) {
        loop {
            self.step().await;
        }
    }

    async fn leave(&mut self) {
        while !self.protocol.has_left() {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let router = self.router.clone();
        let tick = self.protocol.next_tick().map(|now| self.began + now.since_origin());
        tokio::select! {
            biased;
            Some(event) = self.under_way.next() => self.happened(event),
            wishes = router.registrations_table().take() => self.wished(wishes),
            () = until(tick) => self.tell(Input::Tick),
            said = next_refusal(&mut self.refusals) => self.heard(said),
            change = next_change(&mut self.watch) => self.watched(change),
        }
    }

    fn table(&self) -> &Registrations {
        self.router.registrations_table()
    }

    fn wished(&mut self, wishes: Wishes) {
        for (name, record) in wishes.agents {
            self.tell(match record {
                Some(record) => Input::Wanted(record),
                None => Input::Unwanted(name),
            });
        }
        if wishes.nodes {
            self.nodes();
        }
    }

    fn nodes(&mut self) {
        let nodes = self.router.nodes();
        let present = nodes.iter().map(|(node, _)| *node).collect();
        let up = nodes.into_iter().filter(|(_, state)| *state == NodeState::Up).map(|(node, _)| node);
        self.tell(Input::Nodes { up: up.collect(), present });
        self.table().set_fallen(self.protocol.fallen());
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Told(input) => self.tell(input),
            Event::Said => {}
            Event::Watching(bucket, watch, names) => {
                (self.bucket, self.watch) = (Some(bucket), Some(watch));
                names.into_iter().for_each(|names| self.tell(Input::Looked(names)));
            }
            Event::Listening(refusals) => self.refusals = Some(refusals),
        }
    }

    fn watched(&mut self, change: Result<Entry, StreamError>) {
        let entry = match change {
            Ok(entry) => entry,
            Err(error) => {
                tracing::debug!(%error, "the watch of the registrations broke; opening it again");
                self.watch = None;
                return self.open_watch(AGAIN, true);
            }
        };
        let Ok(name) = entry.key.parse::<AgentName>() else {
            return self.disbelieve(&entry, &ReadRefusal::Foreign);
        };
        let revision = entry.revision;
        let opened = entry.value.as_ref().map(|value| signing::open_entry(&self.router, &entry.key, value));
        self.tell(match opened {
            Some(Ok(registration)) => Input::Seen { registration: Arc::new(registration), revision },
            Some(Err(refusal)) => {
                self.disbelieve(&entry, &refusal);
                Input::Gone { name, revision }
            }
            None => Input::Gone { name, revision },
        });
    }

    fn disbelieve(&self, entry: &Entry, refusal: &ReadRefusal) {
        tracing::warn!(key = entry.key, %refusal, "an entry of the agents is not believed");
        self.table().count(|counts| counts.note(refusal));
    }

    fn heard(&mut self, said: Result<Refusal, StreamError>) {
        match said {
            Ok(refusal) => self.tell(Input::Refused(refusal)),
            // Whoever is not confirmed asks again.
            Err(StreamError::Gap { .. } | StreamError::Invalid(_)) => {}
            Err(error) => {
                tracing::debug!(%error, "the refusals can't be heard; listening again");
                self.refusals = None;
                self.open_refusals(AGAIN);
            }
        }
    }

    /// With `again`, what went unseen is looked up.
    fn open_watch(&mut self, after: Duration, again: bool) {
        let router = self.router.clone();
        self.begin_with(async move {
            sleep(after).await;
            loop {
                match watch(&router, again).await {
                    Ok((bucket, watch, names)) => return Event::Watching(bucket, watch, names),
                    Err(_) => sleep(AGAIN).await,
                }
            }
        });
    }

    fn open_refusals(&mut self, after: Duration) {
        let router = self.router.clone();
        self.begin_with(async move {
            sleep(after).await;
            loop {
                match store::refusals(&router).await {
                    Ok(tail) => return Event::Listening(tail),
                    Err(_) => sleep(AGAIN).await,
                }
            }
        });
    }

    fn tell(&mut self, input: Input) {
        let now = Now::new(self.began.elapsed());
        let actions: Vec<_> = self.protocol.handle(now, self.router.now(), input).collect();
        for action in actions {
            self.table().count_action(&action);
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Publish(Registration { ref agent, .. })
            | Action::Write { registration: Registration { ref agent, .. }, .. } => {
                self.ask(agent.name.clone(), action);
            }
            Action::Remove { ref name, .. } => {
                self.table().count(|counts| counts.removed += 1);
                self.ask(name.clone(), action);
            }
            Action::Show(registration) => self.find(registration),
            Action::Hide(registration) => {
                self.table().hide(&registration);
                self.unfind(&registration);
            }
            Action::Confirmed(name) => self.answer(&name, None),
            Action::Refused(refusal) => self.refused(refusal),
            Action::Swept(registration) => self.say_unregistered(&registration, DownReason::NodeLost),
            Action::Ended { registration, expired } => {
                let reason = if expired { DownReason::NodeLost } else { DownReason::Normal };
                self.say_unregistered(&registration, reason);
            }
        }
    }

    fn ask(&mut self, name: AgentName, action: Action) {
        let (router, bucket) = (self.router.clone(), self.bucket.clone());
        self.begin_with(async move {
            let done = store::perform(&router, bucket.as_deref(), action).await;
            Event::Told(Input::Done { name, done })
        });
    }

    /// What lives on a node, calls find by what the node says itself. What lives on none is reached through the store, so no
    /// call is led there by what it can do.
    fn find(&self, registration: Arc<Registration>) {
        if registration.presence == Presence::Agent && registration.node != self.router.node_id() {
            let record = AgentRecord { capabilities: Vec::new(), ..registration.agent.clone() };
            self.router.registry().add_remote(registration.node, record);
        }
        self.table().show(registration);
    }

    fn unfind(&self, registration: &Registration) {
        if registration.presence == Presence::Agent {
            self.router.registry().remove_remote(registration.node, &registration.agent.name);
        }
    }

    fn refused(&mut self, refusal: Refusal) {
        let (name, why) = (refusal.agent.clone(), refusal.detail.clone());
        tracing::error!(agent = %name, code = %refusal.code, why, "an agent of this node is not registered");
        self.answer(&name, Some(Box::new(refusal)));
        self.say(Fact::ErrorOccurred(error_event(&format!("not registered: {why}"), Some(name))));
    }

    /// Others hear of an agent unless its name is another one's, so a change of mind is announced.
    fn answer(&self, name: &AgentName, refusal: Option<Box<Refusal>>) {
        if self.router.registry().local(name).is_some() {
            let before = self.table().is_taken(name);
            self.table().answer(name, refusal);
            if self.table().is_taken(name) != before {
                self.router.inner().announce.add(name);
            }
        }
    }

    fn say_unregistered(&mut self, registration: &Registration, reason: DownReason) {
        let (node, agent) = (registration.node, registration.agent.name.clone());
        tracing::info!(%agent, %node, %reason, "an agent is registered no more");
        self.say(Fact::AgentUnregistered(AgentUnregistered { node, agent, reason }));
    }

    fn say(&mut self, fact: Fact) {
        let router = self.router.clone();
        self.begin_with(async move {
            router.say(fact).await;
            Event::Said
        });
    }

    fn begin_with(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }
}

type Watching = (Arc<dyn Bucket>, Box<dyn Watch>, Option<BTreeSet<AgentName>>);

/// Watched first and looked at then, so that nothing goes unseen in between.
async fn watch(router: &Router, look: bool) -> Result<Watching, StreamError> {
    let bucket: Arc<dyn Bucket> = store::bucket(router).await?.into();
    let watch = bucket.watch("").await?;
    let names = if look { Some(bucket.keys("").await?) } else { None };
    let names = names.map(|keys| keys.iter().filter_map(|key| key.parse().ok()).collect());
    Ok((bucket, watch, names))
}

async fn next_change(watch: &mut Option<Box<dyn Watch>>) -> Result<Entry, StreamError> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn next_refusal(tail: &mut Option<Box<dyn Tail>>) -> Result<Refusal, StreamError> {
    let stored = match tail {
        Some(tail) => tail.next().await?,
        None => std::future::pending().await,
    };
    Refusal::decode(&stored.body).map_err(|error| StreamError::Invalid(error.to_string()))
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(tick) => sleep_until(tick).await,
        None => std::future::pending().await,
    }
}
