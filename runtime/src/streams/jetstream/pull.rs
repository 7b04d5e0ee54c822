//! Pull requests of one consumer, and the lines that they are answered on.
//!
//! A line is a subscription with one pull at a time. Whoever fetches holds a line; when a fetch is dropped its pull stays open
//! on the server, so its line is left here with what comes on it, for the next fetch to take up. A line that nobody takes up
//! is given up, and what came on it is given back. What a message means `consumer` and `watch` know.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use connectome_actors::port::StreamError;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::acknowledge::Place;
use super::config::nanos;
use super::requests::subscribe;
use crate::transport::nats::NatsConnection;

/// One pull waits at most so long on the server: a pull that was lost with its server is noticed this late.
const PULL_MAX: Duration = Duration::from_secs(5);

/// And at least so long, so that what is there comes even from a busy server to whoever does not want to wait.
const PULL_MIN: Duration = Duration::from_millis(100);

/// The same where the server that serves the consumer first hears of a message from another one.
const PULL_MIN_REPLICATED: Duration = Duration::from_millis(500);

/// When some messages have come, and no more come for so long, the consumer has as many in hand as it may.
const NO_MORE: Duration = Duration::from_millis(100);

/// A pull whose end the server does not tell so long after its time is lost.
const SLACK: Duration = Duration::from_secs(1);

/// How long a line is left for a next fetch.
const LEFT_MAX: Duration = Duration::from_secs(1);

/// Lines that are kept without a pull, and lines that are left: workers beyond these pay for a subscription at each fetch.
const LINES_MAX: usize = 64;

/// How one pull ended.
#[derive(Debug)]
pub(super) enum Pulled {
    /// With these; never none.
    Messages(Vec<Message>),
    /// With none, after its time.
    Nothing,
    /// Nobody serves the consumer: it is gone, or has no leader now.
    Nobody,
    /// The consumer was deleted.
    Deleted,
    /// The connection or the server went, or refused: try again.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// Others wait for more than there is: stand in line for one.
    InLine,
    Nobody,
    Deleted,
    Lost,
}

/// The pulls of a consumer.
#[derive(Debug)]
pub(super) struct Pulls(Arc<Shared>);

/// What is done with messages beside handing them out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Messages before this one are acknowledged unseen.
    pub(super) start: u64,
    /// How long lines may be left, if what came on them is to be given back at all.
    pub(super) give_back: Option<Duration>,
    /// Whether the server that serves the consumer may be behind the one that took a message.
    pub(super) is_replicated: bool,
}

#[derive(Debug)]
struct Shared {
    connection: NatsConnection,
    subject: String,
    manner: Manner,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// Those whose fetch was dropped, oldest first.
    left: VecDeque<Line>,
    /// Those without a pull.
    idle: Vec<Line>,
    next: u64,
}

/// A subscription and its pull.
#[derive(Debug)]
struct Line {
    number: u64,
    inbox: String,
    subscriber: Subscriber,
    /// The number of its pull, which the end of a pull names.
    pull: u64,
    /// How many may still come.
    wanted: usize,
    got: VecDeque<Message>,
    last_at: Instant,
    end: Option<End>,
    /// When the server ends the pull.
    until: Instant,
    /// How often the connection had been made when the pull was asked for: it does not outlive its connection.
    connected: u64,
}

impl Pulls {
    /// For the consumer `consumer` of `stream`, as the server calls them.
    pub(super) fn new(connection: &NatsConnection, stream: &str, consumer: &str, manner: Manner) -> Pulls {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let (connection, lines) = (connection.clone(), Mutex::default());
        Pulls(Arc::new(Shared { connection, subject, manner, lines }))
    }

    /// Takes what was left, or asks for up to `max` until `end`. Dropping the future loses nothing.
    pub(super) async fn pull(&self, max: usize, end: Instant) -> Result<Pulled, StreamError> {
        // Whoever does not want to wait is given all that comes within the shortest pull, also from a server that is behind.
        let all = self.0.manner.is_replicated && end <= Instant::now();
        match self.pull_once(max, end, all).await? {
            Ok(pulled) => Ok(pulled),
            Err(InLine) => Ok(self.pull_once(1, end, true).await?.unwrap_or(Pulled::Nothing)),
        }
    }

    async fn pull_once(
        &self,
        max: usize,
        end: Instant,
        stays: bool,
    ) -> Result<Result<Pulled, InLine>, StreamError> {
        if let Some(held) = self.take_up() {
            let until = end.max(Instant::now() + self.shortest()).min(held.line().until + SLACK);
            return Ok(held.wait(max, until).await);
        }
        let mut held = self.line().await?;
        let wait = end.saturating_duration_since(Instant::now()).clamp(self.shortest(), PULL_MAX);
        if !held.ask(max, wait, stays).await {
            return Ok(Ok(Pulled::Lost));
        }
        let until = held.line().until + SLACK;
        Ok(held.wait(max, until).await)
    }

    fn shortest(&self) -> Duration {
        if self.0.manner.is_replicated { PULL_MIN_REPLICATED } else { PULL_MIN }
    }

    /// A line that a dropped fetch has left.
    fn take_up(&self) -> Option<Held<'_>> {
        let mut line = self.0.lines.lock().left.pop_front()?;
        if line.connected != self.0.connection.counts().connected || line.until + SLACK < Instant::now() {
            line.take_ready();
            line.end = line.end.or(Some(End::Lost));
        }
        Some(Held { shared: &self.0, line: Some(line) })
    }

    /// A line without a pull.
    async fn line(&self) -> Result<Held<'_>, StreamError> {
        let idle = self.0.lines.lock().idle.pop();
        let line = match idle {
            Some(line) => line,
            None => self.0.new_line().await?,
        };
        Ok(Held { shared: &self.0, line: Some(line) })
    }

    /// Waits until a server is connected, until `end` at the most.
    pub(super) async fn wait_for_server(&self, end: Instant) {
        let mut up = self.0.connection.watch_up();
        // Whoever waits looks again.
        drop(timeout_at(end, up.wait_for(|up| *up)).await);
    }
}

impl Drop for Pulls {
    fn drop(&mut self) {
        let left = std::mem::take(&mut self.0.lines.lock().left);
        left.into_iter().for_each(|line| self.0.give_up(line));
    }
}

impl Shared {
    async fn new_line(&self) -> Result<Line, StreamError> {
        let inbox = self.connection.client().new_inbox();
        let subscriber = subscribe(&self.connection, format!("{inbox}.*")).await?;
        let mut lines = self.lines.lock();
        lines.next += 1;
        let (number, now) = (lines.next, Instant::now());
        Ok(Line {
            number,
            inbox,
            subscriber,
            pull: 0,
            wanted: 0,
            got: VecDeque::new(),
            last_at: now,
            end: Some(End::Done),
            until: now,
            connected: 0,
        })
    }

    /// Leaves a line to the next fetch, and gives it up if there is none in time.
    fn leave(self: &Arc<Self>, line: Line) {
        let number = line.number;
        let one_too_many = self.lines.lock().leave(line);
        one_too_many.into_iter().for_each(|line| self.give_up(line));
        let (Some(age), Ok(runtime)) = (self.manner.give_back, tokio::runtime::Handle::try_current()) else {
            return;
        };
        let shared = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep(age.min(LEFT_MAX)).await;
            if let Some(shared) = shared.upgrade()
                && let Some(line) = shared.take(number)
            {
                shared.give_up(line);
            }
        });
    }

    fn take(&self, number: u64) -> Option<Line> {
        let mut lines = self.lines.lock();
        let at = lines.left.iter().position(|line| line.number == number)?;
        lines.left.remove(at)
    }

    /// Gives back what came on a line; its pull ends with its subscription.
    fn give_up(&self, mut line: Line) {
        line.take_ready();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.manner.give_back.is_some() && !line.got.is_empty() {
            runtime.spawn(give_back(self.connection.client().clone(), line.got));
        }
    }
}

/// What a fetch hears.
enum Heard {
    Line(Option<Message>),
    /// The connection is lost, and the pull with it.
    Down,
}

async fn down(up: &mut watch::Receiver<bool>) {
    // A connection that was given up is as lost.
    drop(up.wait_for(|up| !*up).await);
}

/// A pull must wait in line.
struct InLine;

/// A line that a fetch holds.
struct Held<'p> {
    shared: &'p Arc<Shared>,
    line: Option<Line>,
}

impl Held<'_> {
    fn line(&self) -> &Line {
        self.line.as_ref().expect("a fetch holds its line until it is over")
    }

    fn line_mut(&mut self) -> &mut Line {
        self.line.as_mut().expect("a fetch holds its line until it is over")
    }

    /// Asks the server; whether it was sent. A pull that `stays` does so for its whole time, and any other until it has given
    /// what there is.
    async fn ask(&mut self, max: usize, wait: Duration, stays: bool) -> bool {
        let connection = &self.shared.connection;
        let (connected, subject) = (connection.counts().connected, self.shared.subject.clone());
        if !connection.is_up() {
            return false;
        }
        let reply = self.line_mut().begin(max, wait, connected);
        let request = json!({ "batch": max, "expires": nanos(wait), "no_wait": !stays }).to_string();
        let sending = connection.client().publish_with_reply(subject, reply, request.into());
        let is_sent = matches!(timeout(SLACK, sending).await, Ok(Ok(())));
        self.line_mut().end = if is_sent { None } else { Some(End::Lost) };
        is_sent
    }

    /// Waits for what comes, until `end` if nothing does.
    async fn wait(mut self, max: usize, end: Instant) -> Result<Pulled, InLine> {
        let mut up = self.shared.connection.watch_up();
        while self.line().end.is_none() && self.line().got.len() < max {
            let line = self.line_mut();
            let until = if line.got.is_empty() { end } else { line.last_at + NO_MORE };
            let heard = tokio::select! {
                biased;
                message = line.subscriber.next() => Heard::Line(message),
                () = down(&mut up) => Heard::Down,
                () = sleep_until(until) => break,
            };
            match heard {
                Heard::Line(Some(message)) => self.came(message).await,
                Heard::Line(None) => line.end = Some(End::Lost),
                Heard::Down => {
                    line.take_ready();
                    line.end = Some(End::Lost);
                }
            }
        }
        self.over(max)
    }

    async fn came(&mut self, message: Message) {
        let start = self.shared.manner.start;
        let is_early = Place::of(&message).is_some_and(|place| place.sequence < start);
        let Some(reply) = message.reply.clone().filter(|_| is_early) else {
            return self.line_mut().came(message);
        };
        self.line_mut().passed_over();
        // One that stays unacknowledged comes again, and is passed over again.
        drop(self.shared.connection.client().publish(reply, "+ACK".into()).await);
    }

    fn over(mut self, max: usize) -> Result<Pulled, InLine> {
        let line = self.line_mut();
        let now = Instant::now();
        if line.end.is_none() && line.got.is_empty() && line.until + SLACK <= now {
            line.end = Some(End::Lost);
        }
        let some = max.min(line.got.len());
        if some > 0 {
            return Ok(Pulled::Messages(line.got.drain(..some).collect()));
        }
        match line.end {
            Some(End::Done) | None => Ok(Pulled::Nothing),
            Some(End::InLine) => Err(InLine),
            Some(End::Nobody) => Ok(Pulled::Nobody),
            Some(End::Deleted) => Ok(Pulled::Deleted),
            Some(End::Lost) => Ok(Pulled::Lost),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        match line.end {
            // A pull that was lost may still be answered: its subscription ends with it.
            Some(End::Lost) if line.got.is_empty() => {}
            Some(_) if line.got.is_empty() => self.shared.lines.lock().rest(line),
            Some(_) | None => self.shared.leave(line),
        }
    }
}

impl Lines {
    /// Leaves a line; gives the oldest one when there are too many.
    fn leave(&mut self, line: Line) -> Option<Line> {
        self.left.push_back(line);
        (self.left.len() > LINES_MAX).then(|| self.left.pop_front()).flatten()
    }

    fn rest(&mut self, line: Line) {
        if self.idle.len() < LINES_MAX {
            self.idle.push(line);
        }
    }
}

impl Line {
    /// Begins a pull; gives the subject of its answers. Until it is sent it counts as lost.
    fn begin(&mut self, max: usize, wait: Duration, connected: u64) -> String {
        self.pull += 1;
        self.wanted = max;
        self.until = Instant::now() + wait;
        self.connected = connected;
        self.end = Some(End::Lost);
        format!("{}.{}", self.inbox, self.pull)
    }

    /// A message comes under its own subject, the end of a pull under that of the pull.
    fn came(&mut self, message: Message) {
        let Some(status) = message.status else {
            self.got.push_back(message);
            self.last_at = Instant::now();
            return self.passed_over();
        };
        let names_pull =
            message.subject.rsplit('.').next().and_then(|token| token.parse().ok()) == Some(self.pull);
        if names_pull {
            self.end = end(status.as_u16(), message.description.as_deref().unwrap_or_default()).or(self.end);
        }
    }

    fn passed_over(&mut self) {
        self.wanted = self.wanted.saturating_sub(1);
        if self.wanted == 0 {
            self.end = Some(End::Done);
        }
    }

    /// Takes what has come, without waiting.
    fn take_ready(&mut self) {
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            self.came(message);
        }
    }
}

/// What a status of the server means to a pull; nothing, if it goes on.
fn end(status: u16, description: &str) -> Option<End> {
    match status {
        100 => None,
        404 => Some(End::Done),
        408 if description == "Requests Pending" => Some(End::InLine),
        408 => Some(End::Done),
        409 if description == "Consumer Deleted" => Some(End::Deleted),
        503 => Some(End::Nobody),
        _ => Some(End::Lost),
    }
}

async fn give_back(client: Client, messages: VecDeque<Message>) {
    for reply in messages.into_iter().filter_map(|message| message.reply) {
        // One that is not given back comes again when its time is over.
        drop(client.publish(reply, "-NAK".into()).await);
    }
}
