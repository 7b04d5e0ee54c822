//! One agent's lane: the supervised actor between its durable messages and its mailbox.
//!
//! What is pushed, saved, removed or set aside, and in which order, is decided in `protocol/delivery`; this file and those
//! below it do it. The store may fail for as long as it likes: the lane tries again, and loses nothing.

mod letters;
mod open;
mod opening;
mod pushing;
mod reading;
mod saving;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::{MessageId, Sequence};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::pushing::{Pushed, outcome_of};
use self::reading::Reading;
use super::credit::Credit;
use super::opening::{Letter, NotOpened, Opener};
use super::state::{Kept, Place};
use crate::cell::AgentCell;
use crate::port::{Stored, StreamError};
use crate::protocol::delivery::{Action, Input, Lane as Protocol};
use crate::router::Router;
use crate::service::Service;

/// How long a lane waits before it asks a failing store again.
const RETRY: Duration = Duration::from_millis(200);

/// What an agent's incarnations may say to their lane before it listens: a restart says three things.
const WORDS_MAX: usize = 16;

/// What the agent's incarnations tell its lane.
pub(crate) enum Word {
    /// An incarnation needs the state that was saved last, once no save is on the way.
    Restore(oneshot::Sender<Result<Kept, String>>),
    /// An incarnation runs. `cursor`: how far its state goes, where it loaded one.
    Started { incarnation: u64, cursor: Option<Sequence> },
    /// An incarnation has ended.
    Ended { incarnation: u64, cause: String },
}

/// How the agent's incarnations and the mail keeper reach its lane.
pub(crate) struct LaneHandle {
    pub(crate) words: mpsc::Sender<Word>,
    newest: watch::Sender<Sequence>,
}

impl LaneHandle {
    /// Says how far the stream goes; false when the lane has ended.
    pub(crate) fn arrived(&self, sequence: Sequence) -> bool {
        self.newest.send(sequence).is_ok()
    }
}

/// What a lane hears.
struct Heard {
    words: mpsc::Receiver<Word>,
    newest: watch::Receiver<Sequence>,
}

/// Brings one agent its durable messages.
pub(super) struct Lane {
    pub(super) router: Router,
    pub(super) cell: Arc<AgentCell>,
    pub(super) credit: Arc<Credit>,
}

impl Service for Lane {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let ((words, heard), (newest, arrivals)) = (mpsc::channel(WORDS_MAX), watch::channel(Sequence(0)));
        // Before the stream is read for the first time, so that nothing arrives unseen in between.
        self.cell.set_lane(Some(LaneHandle { words, newest }));
        let agent = self.cell.clone();
        let ended = match Work::open(self, &stop).await {
            Some(mut work) => {
                let ended = work.run(Heard { words: heard, newest: arrivals }, &stop).await;
                agent.keep_mail_keys(work.opener.leave_keys());
                ended
            }
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
    credit: Arc<Credit>,
    protocol: Protocol,
    reading: Reading,
    place: Option<Place>,
    /// The agent's state when it had handled the last message.
    state: Option<Bytes>,
    messages: BTreeMap<Sequence, Stored>,
    opener: Arc<Opener>,
    /// The message that is being opened, and which time that is.
    opening: Option<(Sequence, u64)>,
    openings: u64,
    /// The last messages that did not open, by id: their senders may have stored them once more.
    unopened: VecDeque<MessageId>,
    /// What was opened and is not removed.
    letters: BTreeMap<Sequence, Letter>,
    pushed: Option<Pushed>,
    incarnation: u64,
    saving: bool,
    /// Removals under way.
    removing: usize,
    restoring: Vec<oneshot::Sender<Result<Kept, String>>>,
    under_way: FuturesUnordered<BoxFuture<'static, Event>>,
    stop: CancellationToken,
}

/// What came of something that was under way.
enum Event {
    Read(Result<Vec<Stored>, StreamError>),
    Opened(Sequence, u64, Box<Result<Letter, NotOpened>>),
    Passed(Sequence, Option<Bytes>),
    Saved { cursor: Sequence, place: Result<Place, StreamError> },
    Buried(Sequence),
    Removed,
    Nothing,
}

impl Work {
    async fn run(&mut self, mut heard: Heard, stop: &CancellationToken) -> Result<(), String> {
        if self.cell.is_running() {
            // It began before this lane did, with the state that the lane has just read.
            self.started(self.cell.incarnation(), None);
        }
        loop {
            self.read_on();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                outcome = outcome_of(&mut self.pushed) => self.handled(outcome),
                Some(word) = heard.words.recv() => self.hear(word),
                Ok(()) = heard.newest.changed() => self.reading.arrived(*heard.newest.borrow_and_update()),
                Some(event) = self.under_way.next() => self.happened(event)?,
            }
        }
        self.detach().await
    }

    /// Saves what was handled, and removes what was saved; what was not handled stays in the stream.
    async fn detach(&mut self) -> Result<(), String> {
        while self.saving || self.removing > 0 {
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

    fn started(&mut self, incarnation: u64, cursor: Option<Sequence>) {
        if incarnation > self.incarnation {
            self.incarnation = incarnation;
            let cursor = cursor.unwrap_or_else(|| self.protocol.applied());
            self.tell(Input::Started { cursor });
        }
    }

    fn happened(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Read(read) => self.read(read),
            Event::Opened(sequence, opening, opened) => self.opened(sequence, opening, *opened),
            Event::Passed(sequence, state) => self.passed(sequence, state),
            Event::Saved { cursor, place } => self.saved(cursor, place)?,
            Event::Buried(sequence) => self.tell(Input::SetAside { sequence }),
            Event::Removed => self.removing -= 1,
            Event::Nothing => {}
        }
        Ok(())
    }

    fn tell(&mut self, input: Input) {
        let actions: Vec<_> = self.protocol.handle(input).collect();
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Push { sequence } => self.open_letter(sequence),
            Action::Save { cursor } => self.save(cursor),
            Action::Remove { sequence } => self.remove(sequence),
            Action::DeadLetter { sequence, cause, crashes } => self.set_aside(sequence, &cause, crashes),
        }
    }

    fn begin(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        self.under_way.push(Box::pin(work));
    }
}
