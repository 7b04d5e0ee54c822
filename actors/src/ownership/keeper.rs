//! The ownership keeper: does what `protocol/ownership` asks for, with the store, the clock and the agents.

use std::collections::BTreeSet;
use std::time::Duration;

use connectome_codecs::{AgentName, Term};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::lease_store;
use super::offer::NotStarted;
use super::table::News;
use crate::cell::AgentCell;
use crate::dead_letters::Reason;
use crate::error::CallError;
use crate::port::{Entry, StreamError, Watch};
use crate::protocol::Now;
use crate::protocol::membership::Timing;
use crate::protocol::ownership::{Action, Input, Ownership, Rules};
use crate::protocol::restart::Exit;
use crate::registry::NodeState;
use crate::router::Router;
use crate::service::Service;
use crate::supervisor::{Supervisor, SupervisorSlot};

/// How much longer each next node in the order waits before it takes a name: a few round trips to a busy store.
const STAGGER: Duration = Duration::from_millis(300);

/// How much longer than a heartbeat a node waits for what others offer.
const SETTLE: Duration = Duration::from_millis(250);

/// Before a watch that broke is opened again.
const WATCH_AGAIN: Duration = Duration::from_millis(500);

/// How long an agent that is handed over may finish what it has in hand and in pipes: most of a node's drain.
const FINISH_MAX: Duration = Duration::from_secs(8);

/// How long its lane may then save what was handled. What is not saved comes again, to the next owner.
const LANE_MAX: Duration = Duration::from_secs(2);

/// Why a message of an agent that is handed over was not begun.
const MOVES: &str = "it moves to another node";

/// Keeps the leases of the names that this node offers.
pub(crate) struct OwnershipKeeper {
    pub(crate) router: Router,
    pub(crate) timing: Timing,
    pub(crate) agents: SupervisorSlot,
}

impl Service for OwnershipKeeper {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let rules = Rules {
            ttl: self.router.inner().config.ownership_lease,
            stagger: STAGGER,
            settle: self.timing.heartbeat_every + SETTLE,
            strange_after: self.timing.suspect_after,
        };
        let ownership = Ownership::new(self.router.node_id(), rules, Now::ZERO);
        stop_what_runs(&self.router, &self.agents).await;
        let mut keeper = Keeper {
            router: self.router,
            agents: self.agents,
            ownership,
            began: Instant::now(),
            watch: None,
            under_way: FuturesUnordered::new(),
        };
        keeper.begin();
        keeper.keep(stop).await;
        Ok(())
    }
}

struct Keeper {
    router: Router,
    agents: SupervisorSlot,
    ownership: Ownership,
    began: Instant,
    watch: Option<Box<dyn Watch>>,
    under_way: FuturesUnordered<BoxFuture<'static, Event>>,
}

/// What came of something that was under way.
enum Event {
    Told(Vec<Input>),
    Watching(Box<dyn Watch>),
}

impl Keeper {
    fn begin(&mut self) {
        self.open_watch(Duration::ZERO);
        self.hear(News::Nodes);
        for name in self.router.offers().names_here() {
            self.hear(News::Offer(name));
        }
        if self.router.offers().is_leaving() {
            self.hear(News::Leave);
        }
    }

    async fn keep(&mut self, stop: CancellationToken) {
        let router = self.router.clone();
        loop {
            let tick = self.ownership.next_tick().map(|now| self.began + now.since_origin());
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(event) = self.under_way.next() => self.happened(event),
                news = router.offers().news() => news.into_iter().for_each(|news| self.hear(news)),
                change = next_of(&mut self.watch) => self.watched(change),
                () = until(tick) => self.tell(Input::Tick),
            }
            *self.router.offers().counts.lock() = self.ownership.counts();
            if self.router.offers().is_leaving() && self.ownership.has_left() {
                self.router.offers().has_left();
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Told(inputs) => inputs.into_iter().for_each(|input| self.tell(input)),
            Event::Watching(watch) => self.watch = Some(watch),
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Fallen(node) => self.tell(Input::Fallen { node }),
            News::Nodes => self.tell(Input::Up { nodes: self.up() }),
            News::Heard(name, term) => self.tell(Input::Heard { name, term }),
            News::Offer(name) if self.router.offers().is_here(&name) => {
                let nodes = self.router.offers().others(&name);
                self.tell(Input::Offer { name: name.clone() });
                self.tell(Input::Offerers { name, nodes });
            }
            News::Offer(name) => self.tell(Input::Withdraw { name }),
            News::Wanted(name) => self.tell(Input::Wanted { name }),
            News::Ended(name, term) => self.tell(Input::Ended { name, term }),
            News::Fenced(name, term) => self.tell(Input::Fenced { name, term }),
            News::Leave => self.tell(Input::Leave),
        }
    }

    fn up(&self) -> BTreeSet<connectome_codecs::NodeId> {
        let nodes = self.router.registry().nodes().into_iter();
        nodes.filter(|(_, state)| *state == NodeState::Up).map(|(node, _)| node).collect()
    }

    fn watched(&mut self, change: Result<Entry, StreamError>) {
        match change {
            Ok(entry) => {
                let record = lease_store::record_of(&entry);
                if let Ok(name) = entry.key.parse() {
                    self.tell(Input::Seen { name, record, revision: entry.revision });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the watch of the leases broke; opening it again");
                self.watch = None;
                self.open_watch(WATCH_AGAIN);
            }
        }
    }

    fn open_watch(&mut self, after: Duration) {
        let router = self.router.clone();
        self.begin_with(async move {
            sleep(after).await;
            loop {
                match lease_store::watch(&router).await {
                    Ok(watch) => return Event::Watching(watch),
                    Err(_) => sleep(WATCH_AGAIN).await,
                }
            }
        });
    }

    fn tell(&mut self, input: Input) {
        let now = Now::new(self.began.elapsed());
        let actions: Vec<_> = self.ownership.handle(now, self.router.now(), input).collect();
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        let router = self.router.clone();
        match action {
            Action::Read { name, ticket } => self.begin_with(async move {
                let told = match lease_store::read(&router, &name).await {
                    Ok(entry) => Input::Read { name, ticket, entry },
                    Err(()) => Input::ReadFailed { name, ticket },
                };
                Event::Told(vec![told])
            }),
            Action::Write { name, ticket, record, expect } => self.begin_with(async move {
                let answer = lease_store::write(&router, &name, record, expect).await;
                Event::Told(vec![Input::Wrote { name, ticket, answer }])
            }),
            Action::Start { name, term } => self.start(name, term),
            Action::Stop { name, term, hand_over } => {
                tracing::info!(agent = %name, %term, hand_over, "an agent that this node owned is stopped");
                router.offers().forbid(&name, term);
                let agents = self.agents.clone();
                self.begin_with(async move {
                    stop(&router, &agents, &name, term, hand_over).await;
                    Event::Told(vec![Input::Ended { name, term }])
                });
            }
        }
    }

    fn start(&mut self, name: AgentName, term: Term) {
        let (router, agents) = (self.router.clone(), self.agents.clone());
        router.offers().allow(&name, term);
        self.begin_with(async move {
            let Err(why) = start(&router, &agents, &name, term).await else {
                tracing::info!(agent = %name, %term, "an agent is owned and runs here");
                return Event::Told(vec![Input::Started { name, term }]);
            };
            router.offers().forbid(&name, term);
            match why {
                NotStarted::Fenced(newest) => {
                    tracing::warn!(agent = %name, %term, %newest, "fenced before it was started");
                    Event::Told(vec![Input::Fenced { name: name.clone(), term }, Input::Ended { name, term }])
                }
                NotStarted::Failed(why) => {
                    tracing::error!(agent = %name, %term, why, "an agent could not be started; others may try");
                    Event::Told(vec![Input::Ended { name, term }])
                }
            }
        });
    }

    fn begin_with(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }
}

/// A keeper that follows a crashed one knows no terms: what runs is stopped, and taken anew.
async fn stop_what_runs(router: &Router, agents: &SupervisorSlot) {
    for (name, term) in router.offers().allowed() {
        router.offers().forbid(&name, term);
        stop(router, agents, &name, term, false).await;
    }
}

async fn start(
    router: &Router,
    agents: &SupervisorSlot,
    name: &AgentName,
    term: Term,
) -> Result<(), NotStarted> {
    let failed = |why: String| NotStarted::Failed(why);
    let offer = router.offers().of_this_node(name).ok_or_else(|| failed("it was withdrawn".to_owned()))?;
    let below: Supervisor = agents.current().map_err(|error| failed(error.to_string()))?;
    offer.start(router, &below, term).await
}

/// Stops an agent, and returns when nothing of it is left. One that is handed over finishes what it has begun; what it has
/// not begun goes back to its callers, who ask the next owner.
async fn stop(router: &Router, agents: &SupervisorSlot, name: &AgentName, term: Term, hand_over: bool) {
    let cell = router.registry().local(name).filter(|cell| cell.term() == Some(term));
    if let Some(cell) = &cell {
        if hand_over {
            give_back(router, cell);
            drop(timeout(FINISH_MAX, cell.mailbox.idle()).await);
        }
        cell.stop(Exit::Shutdown);
        if let Ok(agents) = agents.current() {
            // It may have ended of itself meanwhile.
            drop(agents.terminate(name.as_str()).await);
        }
        if hand_over {
            drop(timeout(LANE_MAX, cell.lane_ended()).await);
        }
    }
}

fn give_back(router: &Router, cell: &AgentCell) {
    for parcel in cell.mailbox.close(MOVES) {
        router.dead_letter(&cell.name, parcel, Reason::Stopped, CallError::Stopped(MOVES.to_owned()));
    }
}

async fn next_of(watch: &mut Option<Box<dyn Watch>>) -> Result<Entry, StreamError> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(tick) => sleep_until(tick).await,
        None => std::future::pending().await,
    }
}
