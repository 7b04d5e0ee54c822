//! Events: published in order, kept in a stream, read live or from any place in the past.
//!
//! Whoever emits for itself waits for the store. What the machinery has to say goes through a bounded outbox that the
//! [`Publisher`] empties; when that is full, the machinery waits too: an event is never dropped without a word.

use std::sync::Arc;

use connectome_codecs::event::{AgentRegistered, AgentUnregistered, ErrorOccurred};
use connectome_codecs::message::AgentRecord;
use connectome_codecs::{
    AgentName, CorrelationId, Event, EventSource, EventType, Fact, MessageId, Sequence, TaskId,
};
use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cell::AgentCell;
use crate::port::{Publish, Start, Stored, StreamError, Tail};
use crate::protocol::restart::Exit;
use crate::remote::exit_reason;
use crate::router::Router;
use crate::service::Service;

/// The stream that keeps events.
pub const SYSTEM_EVENTS: &str = "SYSTEM_EVENTS";

/// Events that the publisher has under way at a time: one group commit's worth.
const PUBLISH_BATCH: usize = 256;

/// Stored events that history reads at a time.
const HISTORY_PAGE: usize = 256;

/// Where the machinery's events wait.
pub(crate) struct Events {
    outbox: mpsc::Sender<Fact>,
}

impl Events {
    pub(crate) fn new(waiting_max: usize) -> (Events, mpsc::Receiver<Fact>) {
        let (outbox, waiting) = mpsc::channel(waiting_max);
        (Events { outbox }, waiting)
    }
}

/// Publishes what the machinery has to say, in order.
pub(crate) struct Publisher {
    pub(crate) router: Router,
    /// Outlives a crash of the publisher.
    pub(crate) waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Fact>>>,
}

impl Service for Publisher {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let mut waiting = self.waiting.lock().await;
        let mut batch = Vec::new();
        loop {
            let taken = tokio::select! {
                biased;
                taken = waiting.recv_many(&mut batch, PUBLISH_BATCH) => taken,
                () = stop.cancelled() => return Ok(()),
            };
            if taken == 0 {
                return Ok(());
            }
            // Polled in order, so stored in order; committed together.
            let published = join_all(batch.drain(..).map(|fact| self.router.emit(fact))).await;
            for error in published.into_iter().filter_map(Result::err) {
                tracing::error!(%error, "an event of the machinery could not be published");
            }
        }
    }
}

/// What an event listener wants to hear. Everything, unless narrowed.
///
/// ```
/// use connectome_actors::EventFilter;
/// use connectome_codecs::EventType;
///
/// let filter = EventFilter::default().of(EventType::TaskFailed).of(EventType::ErrorOccurred);
/// ```
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    types: Vec<EventType>,
    source: Option<EventSource>,
    correlation: Option<CorrelationId>,
}

impl EventFilter {
    /// Only these types; may be said several times.
    #[must_use]
    pub fn of(mut self, event_type: EventType) -> Self {
        self.types.push(event_type);
        self
    }

    /// Only from this agent or node.
    #[must_use]
    pub fn from(mut self, source: EventSource) -> Self {
        self.source = Some(source);
        self
    }

    /// Only what belongs to this call, task or piece of work.
    #[must_use]
    pub fn about(mut self, correlation: impl Into<CorrelationId>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    /// Whether this event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let by_type = self.types.is_empty() || self.types.contains(&event.fact.event_type());
        let by_source = self.source.as_ref().is_none_or(|source| *source == event.source);
        let by_correlation = self.correlation.is_none_or(|wanted| event.correlation == Some(wanted));
        by_type && by_source && by_correlation
    }

    /// The subjects to read: one type can be asked of the store, several are filtered here.
    fn subject(&self, router: &Router) -> String {
        match self.types.as_slice() {
            [one] => router.subject(&format!("event.{one}.>")),
            _ => router.subject("event.>"),
        }
    }
}

/// An event and where it stands: go on from the next sequence to read on later.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Where it stands in the stream.
    pub sequence: Sequence,
    /// What happened.
    pub event: Event,
}

/// Reads events as they come.
///
/// A reader that falls behind reads from the store, so it misses nothing that is kept; what was removed before it came
/// is told as [`StreamError::Gap`].
pub struct EventListener {
    tail: Box<dyn Tail>,
    filter: EventFilter,
}

impl EventListener {
    /// The next event that the filter wants.
    ///
    /// # Errors
    /// [`StreamError::Gap`] where events were removed unread; reading may go on. Others are the store's.
    pub async fn next(&mut self) -> Result<Heard, StreamError> {
        loop {
            let stored = self.tail.next().await?;
            if let Some(heard) = hear(&stored).filter(|heard| self.filter.wants(&heard.event)) {
                return Ok(heard);
            }
        }
    }
}

fn hear(stored: &Stored) -> Option<Heard> {
    match Event::decode(&stored.body) {
        Ok(event) => Some(Heard { sequence: stored.sequence, event }),
        Err(error) => {
            tracing::warn!(sequence = %stored.sequence, %error, "an event that can't be read is passed over");
            None
        }
    }
}

impl Router {
    /// Publishes a fact as this node.
    ///
    /// # Errors
    /// When the store did not take it, or may not have.
    pub async fn emit(&self, fact: Fact) -> Result<Sequence, StreamError> {
        self.emit_as(None, fact).await
    }

    pub(crate) async fn emit_as(
        &self,
        agent: Option<&AgentName>,
        fact: Fact,
    ) -> Result<Sequence, StreamError> {
        let source = match agent {
            Some(agent) => EventSource::Agent(agent.clone()),
            None => EventSource::Node(self.node_id()),
        };
        let correlation = correlation_of(&fact);
        let id = self.event_id();
        let subject = self.subject(&format!("event.{}.{}", fact.event_type(), token(&source)));
        let event = Event { id, at: self.now(), source, correlation, fact };
        let body = event.encode().map_err(|error| StreamError::Invalid(error.to_string()))?;
        let message = Publish { subject, id: Some(MessageId::from_bytes(id.to_bytes())), body };
        Ok(self.streams().publish(SYSTEM_EVENTS, message).await?.sequence)
    }

    /// Listens to events, live or from a place in the past.
    ///
    /// # Errors
    /// The store's.
    pub async fn listen(&self, filter: EventFilter, start: Start) -> Result<EventListener, StreamError> {
        let tail = self.streams().tail(SYSTEM_EVENTS, &filter.subject(self), start).await?;
        Ok(EventListener { tail, filter })
    }

    /// Up to `max` events that are kept and that the filter wants, from a sequence on, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn event_history(
        &self,
        filter: &EventFilter,
        from: Sequence,
        max: usize,
    ) -> Result<Vec<Heard>, StreamError> {
        let (mut found, mut from) = (Vec::new(), from);
        loop {
            let page = self.streams().read(SYSTEM_EVENTS, &filter.subject(self), from, HISTORY_PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            from = last.sequence.next();
            found.extend(page.iter().filter_map(hear).filter(|heard| filter.wants(&heard.event)));
            if found.len() >= max {
                found.truncate(max);
                return Ok(found);
            }
        }
    }

    /// For the machinery: the publisher says it, a little later; waits while the outbox is full.
    pub(crate) async fn say(&self, fact: Fact) {
        // Closed only once the node has stopped: then nobody listens.
        drop(self.inner().events.outbox.send(fact).await);
    }

    pub(crate) async fn note_registered(&self, cell: &AgentCell) {
        self.say(Fact::AgentRegistered(AgentRegistered { node: self.node_id(), agent: record_of(cell) }))
            .await;
    }

    pub(crate) async fn note_unregistered(&self, cell: &AgentCell, exit: &Exit) {
        let (reason, detail) = exit_reason(exit);
        let agent = cell.name.clone();
        if let Exit::GaveUp = exit {
            let text = format!("{agent} crashed more often than its intensity allows and was given up");
            self.say(Fact::ErrorOccurred(error_event(&text, Some(agent.clone())))).await;
        }
        tracing::debug!(%agent, %exit, detail, "an agent has stopped for good");
        self.say(Fact::AgentUnregistered(AgentUnregistered { node: self.node_id(), agent, reason })).await;
    }
}

pub(crate) fn error_event(text: &str, agent: Option<AgentName>) -> ErrorOccurred {
    use connectome_codecs::message::{Blame, Effect, Error, ErrorCode};
    let error = Error::new(ErrorCode::UNAVAILABLE, Blame::Peer, Effect::Possible, text);
    ErrorOccurred { error, agent, message: None }
}

/// What is told of an agent.
pub(crate) fn record_of(cell: &AgentCell) -> AgentRecord {
    AgentRecord {
        name: cell.name.clone(),
        id: None,
        role: cell.role.clone(),
        capabilities: cell.capabilities.clone(),
        version: cell.version.clone(),
        in_flight: u32::try_from(cell.mailbox.pending()).unwrap_or(u32::MAX),
        term: cell.term(),
    }
}

/// An event source as one token of a subject.
fn token(source: &EventSource) -> String {
    match source {
        EventSource::Agent(name) => name.to_string(),
        EventSource::Node(node) => node.to_string(),
    }
}

/// What an event belongs to: all events of a task have its id.
fn correlation_of(fact: &Fact) -> Option<CorrelationId> {
    let task: Option<TaskId> = match fact {
        Fact::TaskCreated(created) => Some(created.task),
        Fact::TaskAssigned(assigned) => Some(assigned.task),
        Fact::TaskCompleted(completed) => Some(completed.task),
        Fact::TaskFailed(failed) => Some(failed.task),
        Fact::MessageReceived(received) => return Some(received.message.into()),
        Fact::AgentRegistered(_)
        | Fact::AgentUnregistered(_)
        | Fact::AgentStatusUpdated(_)
        | Fact::SystemReady(_)
        | Fact::SystemShutdown(_)
        | Fact::ErrorOccurred(_)
        | Fact::ResourceLow(_)
        | Fact::Unknown { .. } => None,
    };
    task.map(CorrelationId::from)
}
