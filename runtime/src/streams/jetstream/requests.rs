//! Requests and their answers: one inbox for the whole store, and a table of who waits.
//!
//! The client has requests of its own, which leave an entry behind for each that is not answered; here an entry goes with
//! whoever waits, and a lost connection ends all waits at once. Nothing is tried again here: `attempts` does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use connectome_actors::port::{Part, StreamError};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::transport::nats::{Attended, NatsConnection};

/// What is asked, and of whom.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) subject: String,
    pub(super) headers: Option<HeaderMap>,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// No server is connected, or the way to it is full: it was not sent.
    Away,
    /// Nobody listens there: it had no effect.
    Nobody,
    /// It was sent, and no answer came.
    Silent,
    /// The server would not take so many bytes, or the client such a subject: it was not sent.
    Refused(String),
}

/// The inbox of a store.
#[derive(Debug)]
pub(super) struct Requests {
    connection: NatsConnection,
    inbox: String,
    table: Arc<Table>,
    reader: Attended,
}

#[derive(Debug, Default)]
struct Table {
    waiting: parking_lot::Mutex<HashMap<u64, Wait>>,
    next: AtomicU64,
}

#[derive(Debug)]
enum Wait {
    One(oneshot::Sender<Message>),
    Many(mpsc::Sender<Message>),
}

impl Requests {
    /// Opens the inbox.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] when the connection was closed.
    pub(super) async fn open(connection: NatsConnection) -> Result<Requests, StreamError> {
        let inbox = connection.client().new_inbox();
        let subscription = subscribe(&connection, format!("{inbox}.*")).await?;
        let table = Arc::new(Table::default());
        let arriving = Arc::new(Mutex::new(Arriving { subscription, up: connection.watch_up() }));
        let answered = Arc::clone(&table);
        let reader = Attended::start("store-reader", move |_| {
            read(Arc::clone(&arriving), Arc::clone(&answered)).boxed()
        });
        Ok(Requests { connection, inbox, table, reader })
    }

    /// What reads the answers, for a supervisor.
    pub(super) fn part(&self) -> Arc<dyn Part> {
        self.reader.part()
    }

    pub(super) fn connection(&self) -> &NatsConnection {
        &self.connection
    }

    /// Asks, and waits for one answer.
    pub(super) async fn ask(&self, request: Request, patience: Duration) -> Result<Message, Lost> {
        let (sender, answer) = oneshot::channel();
        let place = self.table.place(Wait::One(sender));
        self.send(request, &place, patience).await?;
        match timeout(patience, answer).await {
            Ok(Ok(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => Err(Lost::Nobody),
            Ok(Ok(message)) => Ok(message),
            Ok(Err(_)) | Err(_) => Err(Lost::Silent),
        }
    }

    /// Asks, and collects answers up to the one that `ends` it, which is not among them; at most `max`.
    pub(super) async fn ask_many(
        &self,
        request: Request,
        max: usize,
        patience: Duration,
        ends: impl Fn(&Message) -> bool,
    ) -> Result<Vec<Message>, Lost> {
        let (sender, mut answers) = mpsc::channel(max + 1);
        let place = self.table.place(Wait::Many(sender));
        self.send(request, &place, patience).await?;
        let mut collected = Vec::new();
        loop {
            match timeout(patience, answers.recv()).await {
                Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                    return Err(Lost::Nobody);
                }
                Ok(Some(message)) if ends(&message) => return Ok(collected),
                Ok(Some(message)) => collected.push(message),
                Ok(None) | Err(_) => return Err(Lost::Silent),
            }
        }
    }

    /// Sends without waiting for an answer.
    pub(super) async fn tell(&self, request: Request, patience: Duration) -> Result<(), Lost> {
        let client = self.connection.client();
        self.sent(patience, client.publish(request.subject, request.body)).await
    }

    async fn send(&self, request: Request, place: &Place<'_>, patience: Duration) -> Result<(), Lost> {
        let client = self.connection.client();
        let reply = format!("{}.{}", self.inbox, place.number);
        let Request { subject, headers, body } = request;
        match headers {
            Some(headers) => {
                let sending = client.publish_with_reply_and_headers(subject, reply, headers, body);
                self.sent(patience, sending).await
            }
            None => self.sent(patience, client.publish_with_reply(subject, reply, body)).await,
        }
    }

    async fn sent(
        &self,
        patience: Duration,
        sending: impl Future<Output = Result<(), async_nats::PublishError>>,
    ) -> Result<(), Lost> {
        if !self.connection.is_up() {
            return Err(Lost::Away);
        }
        match timeout(patience, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(match error.kind() {
                PublishErrorKind::Send => Lost::Away,
                PublishErrorKind::MaxPayloadExceeded | PublishErrorKind::InvalidSubject => {
                    Lost::Refused(error.to_string())
                }
            }),
            Err(_) => Err(Lost::Away),
        }
    }
}

/// Subscribes, or says that the connection was closed.
pub(super) async fn subscribe(
    connection: &NatsConnection,
    subject: String,
) -> Result<Subscriber, StreamError> {
    let subscribed = connection.client().subscribe(subject).await;
    subscribed.map_err(|error| StreamError::Unavailable(format!("the NATS connection is closed: {error}")))
}

/// An entry in the table, for as long as somebody waits.
struct Place<'t> {
    table: &'t Table,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.table.waiting.lock().remove(&self.number);
    }
}

impl Table {
    fn place(&self, wait: Wait) -> Place<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(number, wait);
        Place { table: self, number }
    }

    fn arrived(&self, message: Message) {
        let Some(number) = message.subject.rsplit('.').next().and_then(|token| token.parse().ok()) else {
            return;
        };
        let mut waiting = self.waiting.lock();
        match waiting.get(&number) {
            // Who asked for several has room for as many as it asked for.
            Some(Wait::Many(sender)) => drop(sender.try_send(message)),
            Some(Wait::One(_)) => {
                if let Some(Wait::One(sender)) = waiting.remove(&number) {
                    // Whoever asked may have gone.
                    drop(sender.send(message));
                }
            }
            None => {}
        }
    }

    /// Ends all waits: what was asked over a lost connection is not answered.
    fn end_all(&self) {
        std::mem::take(&mut *self.waiting.lock());
    }
}

/// What the reader of answers hears.
struct Arriving {
    subscription: Subscriber,
    up: watch::Receiver<bool>,
}

async fn read(arriving: Arc<Mutex<Arriving>>, table: Arc<Table>) -> Result<(), String> {
    let mut arriving = arriving.lock().await;
    let Arriving { subscription, up } = &mut *arriving;
    loop {
        tokio::select! {
            biased;
            message = subscription.next() => match message {
                Some(message) => table.arrived(message),
                None => break,
            },
            changed = up.changed() => {
                if changed.is_err() {
                    break;
                }
                if !*up.borrow_and_update() {
                    table.end_all();
                }
            }
        }
    }
    table.end_all();
    Err("the NATS connection was closed, and with it the inbox of the store".to_owned())
}
