//! One stream to the node that serves, from its welcome on: what was asked and who waits for it.
//!
//! Dropping a question cancels it, and what comes of it all the same goes back.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind, Result as IoResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::StreamError;
use futures_util::io::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval, timeout};

use super::asking::Answered;
use crate::streams::served::io::{self, Outgoing};
use crate::streams::served::parts::List;
use crate::streams::served::said::{Answer, Ask, Said, Told};
use crate::streams::served::wire::{self, UNIT_MAX, Unit};

/// Questions under way that are answered at once; others wait here for their turn.
const ASKED_MAX: usize = 256;

/// Questions that wait for something to happen: fetches and readers.
const WAITING_MAX: usize = 2_048;

/// Units that wait to be written, beside those that can't wait.
const UNITS_WAITING_MAX: usize = 64;

/// The longest answer: a node that sends more is none of ours.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// How often it is asked whether the node is there, and how long it may say nothing.
const PING_EVERY: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long one unit may take to be written or to come.
const UNIT_WITHIN: Duration = Duration::from_secs(30);

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// It certainly did not leave.
    Unsent,
    /// It left, perhaps.
    Silent,
    /// It never will have one.
    Final(StreamError),
}

/// What went over all sessions.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) connected: AtomicU64,
    pub(super) disconnected: AtomicU64,
    pub(super) units_in: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) units_out: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

/// One session.
pub(super) struct Session {
    /// Never given twice.
    pub(super) number: u64,
    out: mpsc::Sender<Unit>,
    /// What is told without being asked: as much as is under way or open.
    urgent: Mutex<VecDeque<Unit>>,
    has_urgent: Notify,
    state: Mutex<State>,
    ids: AtomicU64,
    handles: AtomicU32,
    asking: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<u64, Pending>,
    is_over: bool,
}

/// A question that was asked.
struct Pending {
    reply: oneshot::Sender<Answered>,
    lists: Vec<List>,
    bytes: usize,
    returns: Returns,
    _turn: OwnedSemaphorePermit,
}

/// Where what nobody waits for any more goes.
#[derive(Debug, Clone, Copy)]
enum Returns {
    Nowhere,
    Deliveries(u32),
    Exhausted(u32),
}

/// Who waits for an answer.
pub(super) struct Asked {
    session: Arc<Session>,
    id: u64,
    answered: oneshot::Receiver<Answered>,
    returns: Returns,
    is_done: bool,
}

impl Session {
    /// One, and what it has to write.
    pub(super) fn new(number: u64) -> (Arc<Session>, mpsc::Receiver<Unit>) {
        let (out, units) = mpsc::channel(UNITS_WAITING_MAX);
        let session = Session {
            number,
            out,
            urgent: Mutex::default(),
            has_urgent: Notify::new(),
            state: Mutex::default(),
            ids: AtomicU64::new(1),
            handles: AtomicU32::new(1),
            asking: Arc::new(Semaphore::new(ASKED_MAX)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        };
        (Arc::new(session), units)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().is_over
    }

    /// A number for something to open.
    pub(super) fn new_handle(&self) -> u32 {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks. From the moment that this returns the question is under way.
    pub(super) async fn begin(self: &Arc<Session>, ask: Ask, body: Option<Bytes>) -> Result<Asked, Lost> {
        let waits = matches!(ask, Ask::Fetch { .. } | Ask::Next { .. });
        let turns = if waits { &self.waiting } else { &self.asking };
        let turn = turns.clone().acquire_owned().await.map_err(|_| Lost::Unsent)?;
        let slot = self.out.reserve().await.map_err(|_| Lost::Unsent)?;
        let returns = match &ask {
            Ask::Fetch { handle, .. } => Returns::Deliveries(*handle),
            Ask::Exhausted { handle } => Returns::Exhausted(*handle),
            _ => Returns::Nowhere,
        };
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let unit = Unit::new(&Said::Ask { id, ask }, body.into_iter().collect())
            .map_err(|problem| Lost::Final(StreamError::Invalid(problem.to_string())))?;
        let (reply, answered) = oneshot::channel();
        let pending = Pending { reply, lists: Vec::new(), bytes: 0, returns, _turn: turn };
        {
            let mut state = self.state.lock();
            if state.is_over {
                return Err(Lost::Unsent);
            }
            state.pending.insert(id, pending);
        }
        slot.send(unit);
        Ok(Asked { session: self.clone(), id, answered, returns, is_done: false })
    }

    /// Says something that is not answered, before all that waits.
    pub(super) fn tell(&self, said: &Said) {
        // Small and of ours: it fits.
        let Ok(unit) = Unit::bare(said) else { return };
        if !self.is_over() {
            self.urgent.lock().push_back(unit);
            self.has_urgent.notify_one();
        }
    }

    /// Nobody waits for this any more.
    fn give_back(&self, returns: Returns, answered: Answered) {
        match returns {
            Returns::Nowhere => {}
            Returns::Deliveries(handle) => {
                for tags in answered.deliveries().chunks(GIVEN_BACK_MAX) {
                    let tags = tags.iter().map(|delivery| delivery.tag.into()).collect();
                    self.tell(&Said::TakeBack { handle, tags });
                }
            }
            Returns::Exhausted(handle) => {
                for told in answered.messages().chunks(GIVEN_BACK_MAX) {
                    let sequences = told.iter().map(|stored| stored.sequence.0).collect();
                    self.tell(&Said::Untell { handle, sequences });
                }
            }
        }
    }

    /// Reads and writes until one of them ends. Then whoever waits is told.
    pub(super) async fn run(
        &self,
        mut units: mpsc::Receiver<Unit>,
        mut reader: impl AsyncRead + Unpin,
        mut writer: impl AsyncWrite + Unpin,
        figures: &Figures,
    ) -> Error {
        let _over = Over(self);
        let ended = tokio::select! {
            biased;
            ended = self.read(&mut reader, figures) => ended,
            ended = self.write(&mut units, &mut writer, figures) => ended,
        };
        ended.err().unwrap_or_else(|| ErrorKind::UnexpectedEof.into())
    }

    async fn read(&self, reader: &mut (impl AsyncRead + Unpin), figures: &Figures) -> IoResult<()> {
        while let Some(length) = timeout(SILENCE_MAX, io::read_length(reader, UNIT_MAX)).await?? {
            let rest = timeout(UNIT_WITHIN, io::read_rest(reader, length)).await??;
            figures.units_in.fetch_add(1, Ordering::Relaxed);
            figures.bytes_in.fetch_add(length as u64, Ordering::Relaxed);
            let (told, bodies) = wire::read::<Told>(rest).map_err(io::broken)?;
            match told {
                Told::Part { id, items } => {
                    self.came(id, List::join(items, bodies).map_err(io::broken)?, length)?;
                }
                Told::Done { id, answer } => self.done(id, answer)?,
                Told::Pong => {}
                Told::Welcome { .. } => return Err(Error::other("it said welcome twice")),
                Told::Refused { why } => return Err(Error::other(why)),
            }
        }
        Ok(())
    }

    fn came(&self, id: u64, list: List, bytes: usize) -> IoResult<()> {
        let mut state = self.state.lock();
        let pending = state.pending.get_mut(&id).ok_or_else(|| unasked(id))?;
        pending.bytes += bytes;
        pending.lists.push(list);
        match pending.bytes > ANSWER_BYTES_MAX {
            true => Err(Error::other(format!("an answer of more than {ANSWER_BYTES_MAX} bytes"))),
            false => Ok(()),
        }
    }

    fn done(&self, id: u64, answer: Answer) -> IoResult<()> {
        let pending = self.state.lock().pending.remove(&id).ok_or_else(|| unasked(id))?;
        let answered = Answered { lists: pending.lists, answer };
        if let Err(answered) = pending.reply.send(answered) {
            self.give_back(pending.returns, answered);
        }
        Ok(())
    }

    async fn write(
        &self,
        units: &mut mpsc::Receiver<Unit>,
        writer: &mut (impl AsyncWrite + Unpin),
        figures: &Figures,
    ) -> IoResult<()> {
        let (mut outgoing, mut pings) = (Outgoing::default(), interval(PING_EVERY));
        let begun = Instant::now();
        loop {
            let first = tokio::select! {
                biased;
                () = self.has_urgent.notified() => None,
                unit = units.recv() => match unit {
                    Some(unit) => Some(unit),
                    None => return Ok(()),
                },
                _ = pings.tick() => {
                    self.tell(&Said::Ping);
                    tracing::trace!(age = ?begun.elapsed(), "the session with the store is alive");
                    None
                }
            };
            let mut next = first;
            loop {
                let urgent = self.urgent.lock().pop_front();
                let Some(unit) = urgent.or_else(|| next.take()).or_else(|| units.try_recv().ok()) else {
                    break;
                };
                figures.units_out.fetch_add(1, Ordering::Relaxed);
                figures.bytes_out.fetch_add(unit.length() as u64, Ordering::Relaxed);
                timeout(UNIT_WITHIN, outgoing.put(unit, writer)).await??;
                if !outgoing.has_room() {
                    timeout(UNIT_WITHIN, outgoing.flush(writer)).await??;
                }
            }
            timeout(UNIT_WITHIN, outgoing.flush(writer)).await??;
        }
    }
}

/// Names in one unit that gives something back: they fit a head.
const GIVEN_BACK_MAX: usize = 1_024;

fn unasked(id: u64) -> Error {
    Error::other(format!("it answers question {id}, which was not asked"))
}

/// Ends a session, however its loop ends.
struct Over<'s>(&'s Session);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let pending = {
            let mut state = self.0.state.lock();
            state.is_over = true;
            std::mem::take(&mut state.pending)
        };
        self.0.asking.close();
        self.0.waiting.close();
        self.0.urgent.lock().clear();
        // Whoever waits hears that there is no answer.
        drop(pending);
    }
}

impl Asked {
    /// Waits for the answer. Dropping the future loses nothing.
    pub(super) async fn answer(&mut self) -> Result<Answered, Lost> {
        let answered = (&mut self.answered).await;
        self.is_done = true;
        answered.map_err(|_| Lost::Silent)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        self.answered.close();
        match self.answered.try_recv() {
            Ok(answered) => self.session.give_back(self.returns, answered),
            Err(_) => self.session.tell(&Said::Cancel { id: self.id }),
        }
    }
}
