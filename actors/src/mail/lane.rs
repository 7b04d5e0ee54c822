//! One agent's lane: the supervised actor between its durable messages and its mailbox.
//!
//! What is pushed, saved, acknowledged or set aside, and in which order, is decided in `protocol/delivery`; this file
//! does it. The store may fail for as long as it likes: the lane tries again, and loses nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::event::MessageReceived;
use connectome_codecs::{Envelope, Fact, MessageId, Revision, Sequence, UnixMillis};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answer::{LaneAnswer, Outcome};
use super::inherit;
use super::state::{self, Kept};
use super::{AGENT_MESSAGES, name_of, subject_of};
use crate::agent_ref::push;
use crate::cell::AgentCell;
use crate::dead_letters::{Buried, Reason};
use crate::error::CallError;
use crate::parcel::{Encoded, Meta};
use crate::port::{Consumer, ConsumerConfig, Delivery, DeliveryTag, Publish, Start, Stored, StreamError};
use crate::protocol::delivery::{Action, EXPECTED_MAX, IN_HAND_MAX, Input, Lane as Protocol};
use crate::protocol::restart::Exit;
use crate::router::Router;
use crate::service::Service;
use crate::streams::DEAD_LETTERS;

/// How long a delivery may stay in a lane's hand before the store makes it again. A lane that takes over reads the
/// stream itself and does not wait for that, so it is long.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// How long one fetch waits; arrivals end it at once.
const FETCH_WAIT: Duration = Duration::from_secs(30);

/// Stored messages that a lane looks at in one go: as many as it may have in hand, and those that it is about to get.
const LOOK_PAGE: usize = 2 * IN_HAND_MAX;

/// How long a lane waits before it asks a failing store again.
const RETRY: Duration = Duration::from_millis(200);

/// What an agent's incarnations may say to their lane before it listens: a restart says three things.
pub(crate) const WORDS_MAX: usize = 16;

/// What the agent's incarnations tell its lane.
pub(crate) enum Word {
    /// An incarnation needs the state that was saved last, once no save is on the way.
    Restore(oneshot::Sender<Result<Kept, String>>),
    /// An incarnation runs. `cursor`: how far its state goes, where it loaded one.
    Started { incarnation: u64, cursor: Option<Sequence> },
    /// An incarnation has ended.
    Ended { incarnation: u64, cause: String },
}

/// Brings one agent its durable messages.
pub(super) struct Lane {
    pub(super) router: Router,
    pub(super) cell: Arc<AgentCell>,
}

impl Service for Lane {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let (words, heard) = mpsc::channel(WORDS_MAX);
        self.cell.set_lane(Some(words));
        let agent = self.cell.clone();
        let ended = match Work::open(self.router, self.cell, &stop).await {
            Some(mut work) => work.run(heard, &stop).await,
            None => Ok(()),
        };
        agent.set_lane(None);
        ended
    }
}

/// A lane at work.
struct Work {
    router: Router,
    cell: Arc<AgentCell>,
    protocol: Protocol,
    consumer: Arc<dyn Consumer>,
    revision: Option<Revision>,
    /// The agent's state when it had handled the last message.
    state: Option<Bytes>,
    messages: BTreeMap<Sequence, Stored>,
    tags: BTreeMap<Sequence, DeliveryTag>,
    pushed: Option<Pushed>,
    incarnation: u64,
    saving: bool,
    restoring: Vec<oneshot::Sender<Result<Kept, String>>>,
    under_way: FuturesUnordered<BoxFuture<'static, Event>>,
    fetching: bool,
}

/// The message that the agent has, or will find in its mailbox.
struct Pushed {
    sequence: Sequence,
    outcome: oneshot::Receiver<Outcome>,
    /// Cancelled when the agent crashes before the message's turn.
    gone: CancellationToken,
}

/// What came of something that was under way.
enum Event {
    Fetched(Result<Vec<Delivery>, StreamError>),
    /// What a fetch brought, and what else stands before the newest of it.
    Delivered(Vec<Delivery>, Vec<Sequence>),
    Waiting(Vec<Sequence>),
    Read(Sequence, Option<Stored>),
    Passed(Sequence, Option<Bytes>),
    Saved {
        cursor: Sequence,
        revision: Result<Revision, StreamError>,
    },
    Buried(Sequence),
    Nothing,
}

impl Work {
    /// Opens the consumer, and reads where the lane was left. `None`: stopped meanwhile.
    async fn open(router: Router, cell: Arc<AgentCell>, stop: &CancellationToken) -> Option<Work> {
        loop {
            match Work::try_open(&router, &cell).await {
                Ok(work) => return work,
                Err(error) => {
                    tracing::warn!(agent = %cell.name, %error, "a lane could not be opened; trying again")
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep(RETRY) => {}
            }
        }
    }

    async fn try_open(router: &Router, cell: &Arc<AgentCell>) -> Result<Option<Work>, StreamError> {
        let Some(kept) = inherit::open(router, cell).await? else { return Ok(None) };
        let subject = subject_of(router, &cell.name);
        let consumer = router.streams().consumer(AGENT_MESSAGES, config(cell, &subject)).await?.into();
        #[cfg_attr(
            not(feature = "planted-bugs"),
            expect(unused_mut, reason = "only a planted bug changes it")
        )]
        let (mut kept, revision) = kept;
        #[cfg(feature = "planted-bugs")]
        if router.has_bug(crate::planted::Planted::AppliesTwice) {
            let cursor = Sequence(kept.lane.cursor.0.saturating_sub(1));
            kept.lane = crate::protocol::delivery::Kept { cursor, ..Default::default() };
        }
        let from = kept.lane.cursor.next();
        let waiting = router.streams().read(AGENT_MESSAGES, &subject, from, EXPECTED_MAX).await?;
        let protocol = Protocol::open(kept.lane, waiting.into_iter().map(|stored| stored.sequence));
        Ok(Some(Work {
            router: router.clone(),
            cell: cell.clone(),
            protocol,
            consumer,
            revision,
            state: kept.state,
            messages: BTreeMap::new(),
            tags: BTreeMap::new(),
            pushed: None,
            incarnation: 0,
            saving: false,
            restoring: Vec::new(),
            under_way: FuturesUnordered::new(),
            fetching: false,
        }))
    }

    async fn run(&mut self, mut heard: mpsc::Receiver<Word>, stop: &CancellationToken) -> Result<(), String> {
        if self.cell.is_running() {
            // It began before this lane did, with the state that the lane has just read.
            self.started(self.cell.incarnation(), None);
        }
        loop {
            self.fetch();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = outcome_of(&mut self.pushed) => self.handled(outcome),
                Some(word) = heard.recv() => self.hear(word),
                Some(event) = self.under_way.next() => self.happened(event)?,
            }
        }
        self.detach().await
    }

    /// Saves what was handled, and gives back what was not.
    async fn detach(&mut self) -> Result<(), String> {
        while self.saving {
            let Some(event) = self.under_way.next().await else { break };
            self.happened(event)?;
        }
        self.tell(Input::Detached);
        Ok(())
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Restore(reply) => {
                self.restoring.push(reply);
                self.restore();
            }
            Word::Started { incarnation, cursor } => self.started(incarnation, cursor),
            Word::Ended { incarnation, cause } if incarnation >= self.incarnation => {
                self.last_outcome();
                self.tell(Input::Crashed { sequence: None, cause });
            }
            Word::Ended { .. } => {}
        }
    }

    /// What the incarnation that has ended did to the message it had; where it never came to it, the message is
    /// withdrawn from the mailbox, to be pushed again.
    fn last_outcome(&mut self) {
        let Some(pushed) = &mut self.pushed else { return };
        match pushed.outcome.try_recv() {
            Ok(outcome) => self.handled(outcome),
            Err(_) => {
                pushed.gone.cancel();
                self.pushed = None;
            }
        }
    }

    fn started(&mut self, incarnation: u64, cursor: Option<Sequence>) {
        if incarnation > self.incarnation {
            self.incarnation = incarnation;
            let cursor = cursor.unwrap_or_else(|| self.protocol.applied());
            self.tell(Input::Started { cursor });
        }
    }

    /// Hands out the saved state as soon as no save is on the way.
    fn restore(&mut self) {
        if self.saving || self.restoring.is_empty() {
            return;
        }
        let (router, agent) = (self.router.clone(), self.cell.name.clone());
        let waiting = std::mem::take(&mut self.restoring);
        self.begin(async move {
            let kept =
                state::load(&router, &agent).await.map(|(kept, _)| kept).map_err(|error| error.to_string());
            for reply in waiting {
                // An incarnation that no longer waits has failed to start.
                drop(reply.send(kept.clone()));
            }
            Event::Nothing
        });
    }

    fn happened(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Fetched(fetched) => self.fetched(fetched),
            Event::Delivered(deliveries, missed) => self.delivered(deliveries, missed),
            Event::Waiting(waiting) => {
                self.fetching = false;
                self.tell(Input::Missed { waiting });
            }
            Event::Read(sequence, Some(stored)) => {
                let id = id_of(&stored);
                self.messages.insert(sequence, stored);
                self.tell(Input::Fetched { sequence, id });
            }
            Event::Read(sequence, None) => self.tell(Input::Gone { sequence }),
            Event::Passed(sequence, state) => self.passed(sequence, state),
            Event::Saved { cursor, revision } => self.saved(cursor, revision)?,
            Event::Buried(sequence) => self.tell(Input::SetAside { sequence }),
            Event::Nothing => {}
        }
        Ok(())
    }

    fn fetched(&mut self, fetched: Result<Vec<Delivery>, StreamError>) {
        match fetched {
            Ok(deliveries) if deliveries.is_empty() => self.fetching = false,
            Ok(deliveries) => self.look_before(deliveries),
            Err(error) => {
                tracing::warn!(agent = %self.cell.name, %error, "the mail could not be fetched; trying again");
                self.look_again();
            }
        }
    }

    /// Somebody else may have been given an older message and have died over it: a node that was killed while it waited
    /// for one. So the stream itself is asked what stands before the newest that was delivered.
    fn look_before(&mut self, deliveries: Vec<Delivery>) {
        let (router, subject) = (self.router.clone(), subject_of(&self.router, &self.cell.name));
        let mut from = self.protocol.applied().next();
        let newest = deliveries.iter().map(|delivery| delivery.message.sequence).max().unwrap_or(from);
        self.begin(async move {
            let mut waiting = Vec::new();
            while from <= newest {
                match router.streams().read(AGENT_MESSAGES, &subject, from, LOOK_PAGE).await {
                    Ok(page) => {
                        waiting.extend(page.iter().map(|stored| stored.sequence).filter(|s| *s <= newest));
                        from = page.last().map_or(newest, |stored| stored.sequence).next();
                    }
                    Err(_) => sleep(RETRY).await,
                }
            }
            waiting
                .retain(|sequence| deliveries.iter().all(|delivery| delivery.message.sequence != *sequence));
            Event::Delivered(deliveries, waiting)
        });
    }

    #[cfg_attr(not(feature = "planted-bugs"), expect(unused_mut, reason = "only a planted bug changes it"))]
    fn delivered(&mut self, mut deliveries: Vec<Delivery>, missed: Vec<Sequence>) {
        self.fetching = false;
        #[cfg(feature = "planted-bugs")]
        if self.router.has_bug(crate::planted::Planted::Reorders) {
            deliveries.reverse();
        }
        let unknown: Vec<_> =
            missed.into_iter().filter(|sequence| !self.messages.contains_key(sequence)).collect();
        if !unknown.is_empty() {
            self.tell(Input::Missed { waiting: unknown });
        }
        for Delivery { message, tag, .. } in deliveries {
            let (sequence, id) = (message.sequence, id_of(&message));
            self.tags.insert(sequence, tag);
            self.messages.insert(sequence, message);
            self.tell(Input::Delivered { sequence, id });
        }
    }

    /// A fetch without an answer may have delivered messages that nobody has: before the next one, the stream itself is
    /// asked what waits.
    fn look_again(&mut self) {
        let (router, subject) = (self.router.clone(), subject_of(&self.router, &self.cell.name));
        let from = self.protocol.applied().next();
        self.begin(async move {
            loop {
                sleep(RETRY).await;
                if let Ok(waiting) = router.streams().read(AGENT_MESSAGES, &subject, from, EXPECTED_MAX).await
                {
                    return Event::Waiting(waiting.into_iter().map(|stored| stored.sequence).collect());
                }
            }
        });
    }

    fn handled(&mut self, outcome: Outcome) {
        let Some(Pushed { sequence, .. }) = self.pushed.take() else { return };
        match outcome {
            // Nobody waits for the answer of a durable message, so its error is kept where someone looks.
            Outcome::Done { error: Some(error), state } => self.bury_and_pass(sequence, &error, state),
            Outcome::Done { error: None, state } => self.passed(sequence, state),
            Outcome::Crashed(cause) => self.tell(Input::Crashed { sequence: Some(sequence), cause }),
            Outcome::Withdrawn => {}
        }
    }

    /// The state and the cursor that says what is in it change together.
    fn passed(&mut self, sequence: Sequence, state: Option<Bytes>) {
        if state.is_some() {
            self.state = state;
        }
        if self.router.inner().config.message_events
            && let Some(received) = self.messages.get(&sequence).and_then(received)
        {
            let router = self.router.clone();
            self.begin(async move {
                router.say(Fact::MessageReceived(received)).await;
                Event::Nothing
            });
        }
        self.tell(Input::Handled { sequence });
    }

    fn bury_and_pass(&mut self, sequence: Sequence, error: &CallError, state: Option<Bytes>) {
        let Some(letter) = self.letter(sequence, 1, &error.to_string()) else {
            return self.passed(sequence, state);
        };
        let router = self.router.clone();
        self.begin(async move {
            bury(&router, letter).await;
            Event::Passed(sequence, state)
        });
    }

    fn saved(&mut self, cursor: Sequence, revision: Result<Revision, StreamError>) -> Result<(), String> {
        self.saving = false;
        match revision {
            Ok(revision) => {
                self.revision = Some(revision);
                self.tell(Input::Saved { cursor });
                self.restore();
                Ok(())
            }
            Err(error) => {
                // Another incarnation, elsewhere, goes by this name: this one is the older.
                self.router.fenced(&self.cell);
                self.cell.stop(Exit::Crashed(format!("its state could not be saved: {error}")));
                Err(format!("the state of {} could not be saved: {error}", self.cell.name))
            }
        }
    }

    fn tell(&mut self, input: Input) {
        let actions: Vec<_> = self.protocol.handle(input).collect();
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Push { sequence } => self.push(sequence),
            Action::Save { cursor } => self.save(cursor),
            Action::Ack { sequence } => {
                self.settle(sequence, |consumer, tag| async move { consumer.ack(tag).await })
            }
            Action::Nak { sequence } => {
                self.settle(sequence, |consumer, tag| async move { consumer.nak(tag, Duration::ZERO).await });
            }
            Action::Fetch { sequence } => self.read(sequence),
            Action::DeadLetter { sequence, cause, crashes } => self.set_aside(sequence, &cause, crashes),
        }
    }

    fn push(&mut self, sequence: Sequence) {
        let Some(stored) = self.messages.get(&sequence) else { return };
        let envelope = match Envelope::decode(stored.body.clone()) {
            Ok(envelope) => envelope,
            Err(error) => {
                let error = CallError::BadMessage { message: "-".to_owned(), problem: error.to_string() };
                return self.bury_and_pass(sequence, &error, None);
            }
        };
        let gone = CancellationToken::new();
        let (told, outcome) = oneshot::channel();
        self.pushed = Some(Pushed { sequence, outcome, gone: gone.clone() });
        let meta = Meta {
            from: envelope.from.clone(),
            attempt: envelope.attempt.0,
            trace: envelope.trace.clone().map(Arc::new),
            ..Meta::default()
        };
        let answer = LaneAnswer::new(told, gone);
        let parcel = Encoded { envelope, answer: Some(Box::new(answer)), meta };
        let (router, cell) = (self.router.clone(), self.cell.clone());
        self.begin(async move {
            // Refused or dropped, the parcel answers for itself.
            drop(push(&router, &cell, Box::new(parcel), None).await);
            Event::Nothing
        });
    }

    fn save(&mut self, cursor: Sequence) {
        self.saving = true;
        let kept = Kept { lane: self.protocol.kept(), state: self.state.clone(), term: self.cell.term() };
        let (router, agent, over) = (self.router.clone(), self.cell.name.clone(), self.revision);
        self.begin(async move {
            loop {
                match state::save(&router, &agent, &kept, over).await {
                    Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => sleep(RETRY).await,
                    Err(StreamError::WrongRevision { .. }) => {
                        // Perhaps it was this very save, whose answer was lost.
                        let now = state::load(&router, &agent).await;
                        let revision = match now {
                            Ok((known, Some(revision))) if known == kept => Ok(revision),
                            Ok(_) => {
                                Err(StreamError::Invalid("another incarnation has written it".to_owned()))
                            }
                            Err(StreamError::Unavailable(_) | StreamError::Unknown(_)) => continue,
                            Err(error) => Err(error),
                        };
                        return Event::Saved { cursor, revision };
                    }
                    revision => return Event::Saved { cursor, revision },
                }
            }
        });
    }

    fn settle<F>(&mut self, sequence: Sequence, how: impl FnOnce(Arc<dyn Consumer>, DeliveryTag) -> F)
    where
        F: Future<Output = Result<(), StreamError>> + Send + 'static,
    {
        self.messages.remove(&sequence);
        let Some(tag) = self.tags.remove(&sequence) else { return };
        let settled = how(self.consumer.clone(), tag);
        self.begin(async move {
            // What is not acknowledged is delivered again, and is then behind the cursor.
            drop(settled.await);
            Event::Nothing
        });
    }

    fn read(&mut self, sequence: Sequence) {
        let (router, subject) = (self.router.clone(), subject_of(&self.router, &self.cell.name));
        self.begin(async move {
            loop {
                match router.streams().read(AGENT_MESSAGES, &subject, sequence, 1).await {
                    Ok(found) => {
                        return Event::Read(
                            sequence,
                            found.into_iter().find(|stored| stored.sequence == sequence),
                        );
                    }
                    Err(_) => sleep(RETRY).await,
                }
            }
        });
    }

    fn set_aside(&mut self, sequence: Sequence, cause: &str, crashes: u32) {
        let Some(letter) = self.letter(sequence, crashes, cause) else { return };
        if let Some(envelope) =
            self.messages.get(&sequence).and_then(|m| Envelope::decode(m.body.clone()).ok())
        {
            let (to, from) = (envelope.to.clone(), envelope.from.clone());
            self.router.letter(to, from, name_of(&envelope), Reason::Crashed, cause);
        }
        let router = self.router.clone();
        self.begin(async move {
            bury(&router, letter).await;
            Event::Buried(sequence)
        });
    }

    fn letter(&self, sequence: Sequence, attempts: u32, cause: &str) -> Option<Publish> {
        let stored = self.messages.get(&sequence)?;
        let letter = Buried {
            cause: cause.to_owned(),
            attempts,
            stream: AGENT_MESSAGES.to_owned(),
            subject: stored.subject.clone(),
            payload: stored.body.clone(),
            record: None,
        };
        let body = letter.encode().ok()?;
        Some(Publish {
            subject: self.router.subject(&format!("dead.message.{}", self.cell.name)),
            id: stored.id,
            body,
        })
    }

    fn fetch(&mut self) {
        let room = self.protocol.room();
        if self.fetching || room == 0 {
            return;
        }
        self.fetching = true;
        let consumer = self.consumer.clone();
        self.begin(async move { Event::Fetched(consumer.fetch(room, FETCH_WAIT).await) });
    }

    fn begin(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }
}

/// What becomes of the message that was pushed; never, while there is none.
async fn outcome_of(pushed: &mut Option<Pushed>) -> Outcome {
    match pushed {
        Some(pushed) => (&mut pushed.outcome).await.unwrap_or(Outcome::Withdrawn),
        None => std::future::pending().await,
    }
}

fn config(cell: &AgentCell, subject: &str) -> ConsumerConfig {
    ConsumerConfig {
        name: format!("mail-{}", cell.name),
        filter: subject.to_owned(),
        start: Start::First,
        ack_wait: ACK_WAIT,
        // The lane counts what a message does to its agent; how often it was delivered says nothing about it.
        max_deliver: None,
        max_ack_pending: EXPECTED_MAX,
        backoff: Vec::new(),
    }
}

/// Stores a dead letter, for as long as it takes.
async fn bury(router: &Router, letter: Publish) {
    while let Err(error) = router.streams().publish(DEAD_LETTERS, letter.clone()).await {
        tracing::warn!(%error, "a dead letter could not be stored; trying again");
        sleep(RETRY).await;
    }
}

/// A message without an id, from a foreign hand, is known by its place.
fn id_of(stored: &Stored) -> MessageId {
    stored.id.unwrap_or_else(|| MessageId::from_parts(UnixMillis(0), u128::from(stored.sequence.0)))
}

fn received(stored: &Stored) -> Option<MessageReceived> {
    let envelope = Envelope::decode(stored.body.clone()).ok()?;
    let connectome_codecs::Address::Agent(to) = envelope.to else { return None };
    let bytes = stored.body.len() as u64;
    Some(MessageReceived { message: envelope.id, kind: envelope.kind, from: envelope.from, to, bytes })
}
