//! What carries out the decisions of [`Links`]: three loops and a lock.
//!
//! One loop reads what arrives, one lets time pass, one publishes when the client's queue is full; a sender publishes by
//! itself as long as that is not so. It decides nothing.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use connectome_actors::port::{Inbound, TransportError};
use connectome_codecs::NodeId;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::NatsConnection;
use super::links::{Destination, Links, Post, TICK};
use super::subjects::Subjects;

/// Messages that are read under one lock: enough that the lock costs nothing, few enough that a sender does not wait for it.
const BATCH_MAX: usize = 64;

/// What the server tells of a request that nobody hears: the subject it was for. Since 2.12.
const NOBODY_LISTENS_ON: &str = "Nats-Subject";

/// What arrives on the node's two subjects.
pub(super) type Arriving = Arc<tokio::sync::Mutex<stream::Select<Subscriber, Subscriber>>>;

/// What the loops and the transport share.
pub(super) struct Shell {
    pub(super) connection: NatsConnection,
    /// Our own subject, where NATS answers when nobody hears a probe.
    own: Subject,
    begun: Instant,
    state: Mutex<State>,
    /// Something can be read, or nothing ever will.
    some: Notify,
    /// What somebody may wait for has changed.
    changed: Notify,
    /// There is something for the writer.
    written: Notify,
}

struct State {
    links: Links,
    subjects: Subjects,
    /// Whether the writer publishes; then nobody else does, or the order is lost.
    writing: bool,
    /// Whether the reader was told that it is over.
    closed: bool,
    /// Twins that were warned of.
    twins: u64,
}

impl Shell {
    pub(super) fn new(
        connection: NatsConnection,
        mut subjects: Subjects,
        links: Links,
        node: NodeId,
    ) -> Shell {
        Shell {
            connection,
            own: subjects.of(Destination::Node(node)),
            begun: Instant::now(),
            state: Mutex::new(State { links, subjects, writing: false, closed: false, twins: 0 }),
            some: Notify::new(),
            changed: Notify::new(),
            written: Notify::new(),
        }
    }

    /// Does something with the links, and carries out what they want.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Links, Duration) -> T) -> T {
        let now = self.begun.elapsed();
        let mut state = self.state.lock();
        let result = act(&mut state.links, now);
        self.carry_out(&mut state);
        result
    }

    /// Looks at the links.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Links) -> T) -> T {
        look(&self.state.lock().links)
    }

    pub(super) fn send(&self, to: NodeId, frame: &bytes::Bytes) -> Result<(), TransportError> {
        let payload_max = self.connection.client().max_payload();
        self.with(|links, _| links.send(to, frame, payload_max))
    }

    /// The next thing to tell; `None` when there will never be anything.
    pub(super) async fn receive(&self) -> Option<Inbound> {
        // A reader that always finds something must still let others run.
        tokio::task::coop::consume_budget().await;
        loop {
            if let Some(next) = self.try_receive() {
                return next;
            }
            self.some.notified().await;
        }
    }

    /// Waits until this is so.
    pub(super) async fn until(&self, done: impl Fn(&Links) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enlisted before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.look(&done) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until everything is handed to the client.
    pub(super) async fn until_published(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.state.lock().writing {
                return;
            }
            changed.await;
        }
    }

    /// Nothing is read any more.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.links.close();
        state.links.drop_arrivals();
        drop(state);
        self.some.notify_one();
        self.changed.notify_waiters();
    }

    /// Reads what arrives, until the connection is closed.
    pub(super) async fn read(self: Arc<Shell>, arriving: Arriving) -> Result<(), String> {
        let mut messages = arriving.lock().await;
        while let Some(first) = messages.next().await {
            self.hear(first, &mut *messages);
        }
        self.close();
        Err("the NATS connection was closed, and with it the transport".to_owned())
    }

    /// Reads one message, while the transport opens. Whether there was one.
    pub(super) async fn read_one(&self, inbox: &mut Subscriber, everyone: &mut Subscriber) -> bool {
        let mut messages = stream::select(inbox, everyone);
        match messages.next().await {
            Some(message) => {
                self.hear(message, &mut stream::empty());
                true
            }
            None => false,
        }
    }

    /// Lets time pass.
    pub(super) async fn watch(self: Arc<Shell>) -> Result<(), String> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut up = self.connection.watch_up();
        loop {
            tokio::select! {
                biased;
                // The sender lives as long as the connection, which we hold.
                Ok(()) = up.changed() => {}
                _ = ticks.tick() => {}
            }
            let (connections, cluster) = (self.connection.connections(), self.connection.in_cluster());
            self.with(|links, now| {
                links.in_cluster(cluster);
                links.tick(now, connections);
            });
            self.wake_reader();
            self.warn_of_twins();
        }
    }

    /// Publishes what the client would not take at once.
    pub(super) async fn write(self: Arc<Shell>) -> Result<(), String> {
        loop {
            // Whoever wrote before us may have been cut off, so this comes before the waiting.
            while let Some((post, subject)) = self.next_to_write() {
                let unsent = Unsent { shell: &self, post: Some(post.clone()) };
                let published = self.publish(post, subject).await;
                unsent.sent();
                self.note(&mut self.state.lock(), published);
                self.changed.notify_waiters();
            }
            self.changed.notify_waiters();
            self.written.notified().await;
        }
    }

    fn hear(&self, first: Message, more: &mut (impl Stream<Item = Message> + Unpin)) {
        let now = self.begun.elapsed();
        let mut state = self.state.lock();
        state.hear(now, first);
        for _ in 1..BATCH_MAX {
            match more.next().now_or_never() {
                Some(Some(message)) => state.hear(now, message),
                Some(None) | None => break,
            }
        }
        self.carry_out(&mut state);
        if state.links.has_arrivals() {
            self.some.notify_one();
        }
    }

    fn wake_reader(&self) {
        if self.look(Links::has_arrivals) {
            self.some.notify_one();
        }
    }

    /// `Some(None)`: there will never be anything.
    fn try_receive(&self) -> Option<Option<Inbound>> {
        let mut state = self.state.lock();
        if state.closed {
            self.some.notify_one();
            return Some(None);
        }
        let next = state.links.take()?;
        self.carry_out(&mut state);
        Some(Some(next))
    }

    fn carry_out(&self, state: &mut State) {
        while !state.writing
            && let Some(post) = state.links.poll()
        {
            let subject = state.subjects.of(post.to);
            // Outside the budget of the caller's task: what would have to wait for that goes by the writer.
            let publish = tokio::task::coop::unconstrained(self.publish(post.clone(), subject));
            match publish.now_or_never() {
                Some(published) => self.note(state, published),
                None => {
                    state.links.put_back(post);
                    state.writing = true;
                    self.written.notify_one();
                }
            }
        }
        if state.links.take_changed() {
            self.changed.notify_waiters();
        }
    }

    async fn publish(&self, post: Post, subject: Subject) -> Result<(), async_nats::PublishError> {
        let client: &Client = self.connection.client();
        match post.probes {
            true => client.publish_with_reply(subject, self.own.clone(), post.bytes).await,
            false => client.publish(subject, post.bytes).await,
        }
    }

    fn note(&self, state: &mut State, published: Result<(), async_nats::PublishError>) {
        if let Err(error) = published {
            state.links.unsent();
            tracing::warn!(%error, "a message to another node was not taken by the NATS client");
        }
    }

    fn next_to_write(&self) -> Option<(Post, Subject)> {
        let mut state = self.state.lock();
        let post = state.links.poll();
        state.writing = post.is_some();
        let post = post?;
        let subject = state.subjects.of(post.to);
        Some((post, subject))
    }

    fn warn_of_twins(&self) {
        let mut state = self.state.lock();
        let twins = state.links.counts().twins;
        if twins > state.twins {
            state.twins = twins;
            tracing::warn!(node = %self.own, "another process runs with this node's key: stop one of the two");
        }
    }
}

/// What the writer has in hand: put back where it was, when the writer is cut off.
struct Unsent<'s> {
    shell: &'s Shell,
    post: Option<Post>,
}

impl Unsent<'_> {
    fn sent(mut self) {
        self.post = None;
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(post) = self.post.take() {
            self.shell.state.lock().links.put_back(post);
        }
    }
}

impl State {
    fn hear(&mut self, now: Duration, message: Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            let subject = message.headers.as_ref().and_then(|headers| headers.get(NOBODY_LISTENS_ON));
            let node = subject.and_then(|subject| self.subjects.node(subject.as_str()));
            if let Some(node) = node.and_then(|node| node.parse().ok()) {
                self.links.nobody_listens(now, node);
            }
            return;
        }
        let reply = message.reply.as_deref().and_then(|reply| self.subjects.node(reply));
        self.links.handle(now, message.payload, reply);
    }
}
