//! The forwarder: hands what waits in the outbox to the nodes where its agents are.
//!
//! It goes by events: something was put in, or an agent came into view. Where a node is known and does not answer it tries again
//! soon; where nobody is known it looks once in a while, and gives up what has become too old.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message::{Body, Control};
use connectome_codecs::{Address, AgentName, Envelope, Kind, NodeId, Sequence};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{AGENT_OUTBOX, HANDED, count, handed_bucket, outbox_subject};
use crate::dead_letters::{Buried, Reason};
use crate::mail::{agent_of, name_of};
use crate::port::{Arrival, Expect, Publish, Stored, StreamError};
use crate::registry::Place;
use crate::router::Router;
use crate::service::Service;
use crate::streams::DEAD_LETTERS;

/// Agents whose messages are handed over at the same time: enough to keep a link busy.
const HANDS_MAX: usize = 32;

/// Messages that are read at once.
const PAGE: usize = 64;

/// How long a receiver may take to store one message.
const HAND_MAX: Duration = Duration::from_secs(10);

/// After a failure it is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// What waits for an agent that nobody knows is looked at each so often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The key of this outbox's own name.
const OWN: &str = "own";

/// Empties the outbox.
pub(crate) struct Forwarder {
    pub(crate) router: Router,
}

/// How an agent's turn has ended.
enum Turn {
    /// Nothing waits for it any more.
    Done,
    /// Something does, and nobody is known who would take it.
    Nobody,
    /// Something does, and did not get there.
    Failed,
}

type Hand = BoxFuture<'static, (AgentName, Turn)>;

/// What is under way.
struct Work {
    router: Router,
    /// The name of this outbox: of these sequences, in this store.
    outbox: u64,
    waiting: BTreeSet<AgentName>,
    busy: BTreeSet<AgentName>,
    /// For whom more came while they had their turn.
    again: BTreeSet<AgentName>,
    hands: FuturesUnordered<Hand>,
    look: Instant,
    /// Of those that nobody knows, the last one that was looked at.
    last: Option<AgentName>,
}

impl Service for Forwarder {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let router = self.router;
        let said = |error: StreamError| error.to_string();
        let mut arrivals = router.streams().arrivals(AGENT_OUTBOX).await.map_err(said)?;
        arrivals.listen(&router.subject("outbox.*")).await.map_err(said)?;
        let mut work = Work::begin(&router).await.map_err(said)?;
        loop {
            let known = router.registry().arrival();
            tokio::pin!(known);
            known.as_mut().enable();
            work.start();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some((agent, turn)) = work.hands.next() => work.ended(agent, turn),
                arrival = arrivals.next() => match arrival.map_err(said)? {
                    Arrival::Stored { subject, .. } => work.arrived(&subject),
                    Arrival::Missed { .. } | Arrival::Anew => work.look_through().await.map_err(said)?,
                },
                () = known => work.look = Instant::now(),
                () = sleep_until(work.look) => {}
            }
        }
    }
}

impl Work {
    async fn begin(router: &Router) -> Result<Work, StreamError> {
        let mut work = Work {
            router: router.clone(),
            outbox: name(router).await?,
            waiting: BTreeSet::new(),
            busy: BTreeSet::new(),
            again: BTreeSet::new(),
            hands: FuturesUnordered::new(),
            look: Instant::now(),
            last: None,
        };
        work.look_through().await?;
        Ok(work)
    }

    /// Finds out for whom something waits.
    async fn look_through(&mut self) -> Result<(), StreamError> {
        let mut from = Sequence(0);
        loop {
            let filter = self.router.subject("outbox.*");
            let page = self.router.streams().read(AGENT_OUTBOX, &filter, from, PAGE).await?;
            page.iter().for_each(|stored| self.arrived(&stored.subject));
            let Some(last) = page.last() else { return Ok(()) };
            from = last.sequence.next();
        }
    }

    fn arrived(&mut self, subject: &str) {
        let Some(agent) = agent_of(subject) else { return };
        if self.busy.contains(&agent) {
            self.again.insert(agent);
        } else if self.waiting.insert(agent) {
            self.look = Instant::now();
        }
    }

    /// Gives turns, when it is time to look.
    fn start(&mut self) {
        if Instant::now() < self.look {
            return;
        }
        self.look = Instant::now() + LOOK_EVERY;
        let free = HANDS_MAX.saturating_sub(self.busy.len());
        let is_known = |agent: &&AgentName| self.router.registry().find(agent).is_some();
        // Those whose node is known first: there may be many others.
        let (known, mut unknown): (Vec<_>, Vec<_>) = self.waiting.iter().partition(is_known);
        let seen = unknown.partition_point(|agent| self.last.as_ref().is_some_and(|last| *agent <= last));
        unknown.rotate_left(seen);
        let next: Vec<_> = known.into_iter().chain(unknown).take(free).cloned().collect();
        self.last = next.last().cloned();
        if self.waiting.len() > next.len() {
            self.look = Instant::now() + RETRY;
        }
        for agent in next {
            self.waiting.remove(&agent);
            self.busy.insert(agent.clone());
            let (router, outbox) = (self.router.clone(), self.outbox);
            self.hands.push(Box::pin(async move {
                let turn = turn(&router, outbox, &agent).await;
                (agent, turn)
            }));
        }
    }

    fn ended(&mut self, agent: AgentName, turn: Turn) {
        self.busy.remove(&agent);
        let again = self.again.remove(&agent);
        let soon = match turn {
            Turn::Done if !again => return,
            Turn::Done => Some(Duration::ZERO),
            Turn::Failed => Some(RETRY),
            Turn::Nobody => None,
        };
        self.waiting.insert(agent);
        if let Some(soon) = soon {
            self.look = self.look.min(Instant::now() + soon);
        }
    }
}

/// Hands over what waits for an agent, the oldest first.
async fn turn(router: &Router, outbox: u64, agent: &AgentName) -> Turn {
    loop {
        let subject = outbox_subject(router, agent);
        let page = match router.streams().read(AGENT_OUTBOX, &subject, Sequence(0), PAGE).await {
            Ok(page) => page,
            Err(error) => return failed(router, agent, &error),
        };
        if page.is_empty() {
            return Turn::Done;
        }
        for stored in page {
            match hand(router, outbox, agent, &stored).await {
                Ok(true) => {}
                Ok(false) => return Turn::Nobody,
                Err(error) => return failed(router, agent, &*error),
            }
            // One that is not removed is handed over again, and recognised.
            if let Err(error) = router.streams().delete(AGENT_OUTBOX, stored.sequence).await {
                return failed(router, agent, &error);
            }
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Hands over one message, or gives it up. `false`: nobody is known who would take it, and it may wait on.
async fn hand(router: &Router, outbox: u64, agent: &AgentName, stored: &Stored) -> Result<bool, Failure> {
    let opened = router.seals().open_waiting(agent, &stored.body);
    let envelope = match opened.map_err(|error| error.to_string()).and_then(|body| read(&body)) {
        Ok(envelope) => envelope,
        Err(problem) => return bury(router, agent, stored, None, &problem).await,
    };
    match router.registry().find(agent) {
        Some(Place::Here(_)) => router.store_for(agent, envelope.id, &envelope).await?,
        Some(Place::There(node)) => {
            keep(router, node, agent, (outbox, stored.sequence), &envelope).await?;
        }
        None if router.now().since(envelope.sent) > router.mail_age() => {
            let cause = format!("nobody was there to take it within {:?}", router.mail_age());
            return bury(router, agent, stored, Some(envelope), &cause).await;
        }
        None => return Ok(false),
    }
    count(&router.inner().outbox.handed);
    Ok(true)
}

fn read(body: &[u8]) -> Result<Envelope, String> {
    Envelope::decode(Bytes::copy_from_slice(body)).map_err(|error| error.to_string())
}

/// Asks the agent's node to keep a message, and waits until it has.
async fn keep(
    router: &Router,
    node: NodeId,
    agent: &AgentName,
    (outbox, sequence): (u64, Sequence),
    envelope: &Envelope,
) -> Result<(), Failure> {
    let control = Control::Keep { outbox, sequence: sequence.0, envelope: envelope.encode()? };
    let to = Address::Agent(agent.clone());
    let request = Envelope::new(router.message_id(), Kind::Control, to, router.now(), control.encode()?);
    router.ask_quietly(node, router.asking(request, HAND_MAX), HAND_MAX).await?;
    Ok(())
}

fn failed(router: &Router, agent: &AgentName, error: &dyn std::fmt::Display) -> Turn {
    count(&router.inner().outbox.failed);
    tracing::debug!(%agent, %error, "a message was not handed over; it is tried again");
    Turn::Failed
}

async fn bury(
    router: &Router,
    agent: &AgentName,
    stored: &Stored,
    envelope: Option<Envelope>,
    cause: &str,
) -> Result<bool, Failure> {
    let code = if envelope.is_some() { Reason::Expired } else { Reason::Malformed };
    let payload = match &envelope {
        Some(envelope) => envelope.encode()?,
        None => stored.body.clone(),
    };
    let letter = Buried {
        code: code.as_str().to_owned(),
        cause: cause.to_owned(),
        attempts: 1,
        stream: AGENT_OUTBOX.to_owned(),
        subject: stored.subject.clone(),
        payload,
        record: None,
        sealed: None,
    };
    let body = router.seals().seal_letter(letter)?.encode()?;
    let subject = router.subject(&format!("dead.message.{agent}"));
    router.streams().publish(DEAD_LETTERS, Publish { subject, id: stored.id, body }).await?;
    count(&router.inner().outbox.expired);
    if let Some(envelope) = &envelope {
        router.letter(envelope.to.clone(), envelope.from.clone(), name_of(envelope), code, cause);
    }
    Ok(true)
}

/// The name of this node's outbox: made with it, and gone with it, so that sequences that begin anew are not taken for old ones.
async fn name(router: &Router) -> Result<u64, StreamError> {
    let bucket = router.streams().bucket(handed_bucket(router.mail_age())).await?;
    let read = |value: Bytes| Some(u64::from_be_bytes(value[..].try_into().ok()?));
    let entry = bucket.get(OWN).await?;
    let known = entry.as_ref().and_then(|entry| entry.value.clone()).and_then(read);
    let name = known.unwrap_or_else(|| router.dice());
    // Written at each start, so that it does not expire while the node is used.
    let expect = entry.map_or(Expect::Absent, |entry| Expect::Revision(entry.revision));
    bucket.put(OWN, Bytes::copy_from_slice(&name.to_be_bytes()), expect, None).await.map_err(|error| {
        StreamError::Unavailable(format!("the name of the outbox could not be kept in {HANDED}: {error}"))
    })?;
    Ok(name)
}
