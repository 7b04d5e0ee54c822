//! The simulated store: one real in-memory store on a machine of its own, and the faulty way to it.
//!
//! The store is the embedded one, on a runtime of its own, so that its clock is one clock whoever asks. A request of a
//! node is a job that travels: to the store, where it runs, and back with the answer. The way loses requests, loses
//! answers of what has happened, delays, doubles publishes, refuses, and can be cut for one node or for all. The store
//! itself forgets nothing: what it does when it loses its disk is the store's own test.
//!
//! The client's side, with the types of the port, is in `streams.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::StreamError;
use connectome_actors::protocol::Dice;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::config::StoreFaults;
use super::journal::Journal;
use super::streams::Told;
use super::world::{Clock, Rolls, SimWorld, dice_for};
use crate::streams::Embedded;

/// Requests and answers under way at the most: far more than the nodes of a simulation have hands for, so that a
/// runaway shows as refusals and not as memory.
pub const JOBS_MAX: usize = 65_536;

/// For how long a caller whose request or answer was lost hears nothing at all, unless it gives up before: longer than
/// any caller waits, so that it sees silence and not a broken line.
const SILENCE_MS: u64 = 120_000;

/// How long a job that must not be lost waits before it tries a path that is cut again.
const RETRY_MS: u64 = 100;

/// Who writes in the log when it is the store.
const STORE: &str = "store";

/// Something to be run when it is due: a request at the store, or an answer at a node.
type Run = Box<dyn FnOnce() + Send>;

/// The machine of the store.
pub(super) struct StoreMachine {
    pub(super) runtime: Runtime,
    pub(super) store: Arc<Embedded>,
    pub(super) wire: Arc<Wire>,
}

/// The way to the store and back, shared by all nodes.
pub(super) struct Wire {
    clock: Clock,
    journal: Journal,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    faults: StoreFaults,
    jobs: BTreeMap<(u64, u64), Job>,
    requests: u64,
    numbers: u64,
    /// What was lost: kept until nobody can still wait for it.
    silent: BTreeMap<(u64, u64), Box<dyn std::any::Any + Send>>,
    /// Nodes that can't reach the store.
    cut: BTreeSet<String>,
    down: bool,
    /// What clients let go of; it is dropped where the store's clock is.
    let_go: Vec<Box<dyn std::any::Any + Send>>,
}

struct Job {
    node: String,
    what: String,
    way: Way,
    kind: Kind,
    run: Run,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

/// What happens to a job whose path is cut.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is lost.
    Once,
    /// It waits: a reader that follows a stream comes back to where it was.
    Following,
}

/// What was rolled for one request.
pub(super) struct Fate {
    number: u64,
    refused: bool,
    request_lost: bool,
    answer_lost: bool,
    /// When a publish arrives a second time, after its first.
    pub(super) again_after: Option<Duration>,
    pub(super) timeout: Duration,
}

impl StoreMachine {
    pub(super) fn new(clock: &Clock, journal: &Journal, seed: u64, faults: StoreFaults) -> StoreMachine {
        let runtime = super::machine::paused_runtime();
        let world = SimWorld::new(clock.clone(), Duration::ZERO, dice_for(seed, "store's world", 0));
        let store = {
            let _at_the_store = runtime.enter();
            Arc::new(Embedded::in_memory(Arc::new(world)))
        };
        let wire = Arc::new(Wire::new(clock, journal, dice_for(seed, "way to the store", 0), faults));
        StoreMachine { runtime, store, wire }
    }

    /// Runs what is due and lets the store's own time pass.
    pub(super) fn step(&self, tick: Duration) {
        {
            let _at_the_store = self.runtime.enter();
            drop(self.wire.take_let_go());
            self.wire.run_due();
        }
        self.runtime.block_on(async { sleep(tick).await });
    }
}

impl Drop for StoreMachine {
    fn drop(&mut self) {
        let _at_the_store = self.runtime.enter();
        self.wire.clear();
    }
}

impl Wire {
    fn new(clock: &Clock, journal: &Journal, dice: Dice, faults: StoreFaults) -> Wire {
        let state = State {
            dice,
            faults,
            jobs: BTreeMap::new(),
            silent: BTreeMap::new(),
            requests: 0,
            numbers: 0,
            cut: BTreeSet::new(),
            down: false,
            let_go: Vec::new(),
        };
        Wire { clock: clock.clone(), journal: journal.clone(), state: Mutex::new(state) }
    }

    pub(super) fn set_faults(&self, faults: StoreFaults) {
        self.state.lock().faults = faults;
    }

    pub(super) fn cut(&self, node: &str, cut: bool) {
        let mut state = self.state.lock();
        match cut {
            true => state.cut.insert(node.to_owned()),
            false => state.cut.remove(node),
        };
    }

    pub(super) fn mend(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.down = false;
    }

    pub(super) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// Takes something that belongs to the store off a client's hands.
    pub(super) fn let_go(&self, handle: Box<dyn std::any::Any + Send>) {
        self.state.lock().let_go.push(handle);
    }

    /// Asks the store once, and waits for the answer, or for no answer.
    pub(super) async fn ask<T: Told>(
        self: &Arc<Self>,
        node: &str,
        what: String,
        operation: impl FnOnce(&Fate) -> BoxFuture<'static, Result<T, StreamError>>,
    ) -> Result<T, StreamError> {
        let fate = self.roll();
        let answer = self.begin(node, &what, Kind::Once, &fate, operation(&fate))?;
        match timeout(fate.timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => {
                self.journal.add(node, format_args!("gives up ?{} {what}", fate.number));
                Err(StreamError::Unknown(format!("{what}: no answer came in time")))
            }
        }
    }

    /// Sends a request on its way. The receiver gets the answer, unless it is lost.
    pub(super) fn begin<T: Told>(
        self: &Arc<Self>,
        node: &str,
        what: &str,
        kind: Kind,
        fate: &Fate,
        operation: BoxFuture<'static, Result<T, StreamError>>,
    ) -> Result<oneshot::Receiver<Result<T, StreamError>>, StreamError> {
        let (refused, lost) = match kind {
            Kind::Once => (fate.refused, fate.request_lost),
            Kind::Following => (false, false),
        };
        let word = if refused {
            ", refused"
        } else if lost {
            ", lost"
        } else {
            ""
        };
        self.journal.add(node, format_args!("asks ?{} {what}{word}", fate.number));
        if refused || self.is_full() {
            return Err(StreamError::Unavailable(format!("{what}: refused")));
        }
        let (give, answer) = oneshot::channel();
        if lost {
            self.silence(Box::new(give));
            return Ok(answer);
        }
        let reply = Reply {
            wire: self.clone(),
            node: node.to_owned(),
            what: what.to_owned(),
            kind,
            number: fate.number,
            answer_lost: fate.answer_lost && kind == Kind::Once,
            give,
        };
        let run = Box::new(move || drop(tokio::spawn(reply.run(operation))));
        let delay = self.way();
        self.later(node, what, Way::There, kind, delay, run);
        Ok(answer)
    }

    pub(super) fn roll(&self) -> Fate {
        let mut state = self.state.lock();
        let StoreFaults { refused, request_lost, answer_lost, duplication, timeout, delay } = state.faults;
        let dice = &mut state.dice;
        let rolled = (dice.happens(refused), dice.happens(request_lost), dice.happens(answer_lost));
        let (again, after) = (dice.happens(duplication), dice.between(delay.0, delay.1 * 4));
        state.requests += 1;
        Fate {
            number: state.requests,
            refused: rolled.0,
            request_lost: rolled.1,
            answer_lost: rolled.2,
            again_after: again.then_some(Duration::from_millis(after)),
            timeout,
        }
    }

    fn is_full(&self) -> bool {
        self.state.lock().jobs.len() >= JOBS_MAX
    }

    /// How long one way takes this time.
    fn way(&self) -> Duration {
        let mut state = self.state.lock();
        let (from, to) = state.faults.delay;
        Duration::from_millis(state.dice.between(from, to).max(1))
    }

    fn later(&self, node: &str, what: &str, way: Way, kind: Kind, delay: Duration, run: Run) {
        let due = self.clock.now() + super::world::millis(delay).max(1);
        let mut state = self.state.lock();
        state.put(due, Job { node: node.to_owned(), what: what.to_owned(), way, kind, run });
    }

    /// Runs the jobs whose time has come. Called where the store's clock is.
    fn run_due(&self) {
        let now = self.clock.now();
        while let Some(job) = self.next_due(now) {
            (job.run)();
        }
    }

    fn next_due(&self, now: u64) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            let entry = state.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
            let job = entry.remove();
            if !state.down && !state.cut.contains(&job.node) {
                return Some(job);
            }
            match job.kind {
                Kind::Following => state.put(now + RETRY_MS, job),
                Kind::Once => {
                    let lost = if job.way == Way::There { "request" } else { "answer" };
                    self.journal.add(STORE, format_args!("loses the {lost} of {}: {}", job.node, job.what));
                    state.silence(now, Box::new(job.run));
                }
            }
        }
    }

    fn silence(&self, lost: Box<dyn std::any::Any + Send>) {
        self.state.lock().silence(self.clock.now(), lost);
    }

    /// What can be dropped now. The lock is not held while it is.
    fn take_let_go(&self) -> Vec<Box<dyn std::any::Any + Send>> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let mut let_go = std::mem::take(&mut state.let_go);
        while let Some(entry) = state.silent.first_entry().filter(|entry| entry.key().0 <= now) {
            let_go.push(entry.remove());
        }
        let_go
    }

    fn clear(&self) {
        let mut state = self.state.lock();
        let all = (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.silent),
            std::mem::take(&mut state.let_go),
        );
        drop(state);
        drop(all);
    }
}

impl State {
    fn put(&mut self, due: u64, job: Job) {
        self.numbers += 1;
        self.jobs.insert((due, self.numbers), job);
    }

    fn silence(&mut self, now: u64, lost: Box<dyn std::any::Any + Send>) {
        self.numbers += 1;
        self.silent.insert((now + SILENCE_MS, self.numbers), lost);
    }
}

/// What is needed to answer a request once it has run.
struct Reply<T> {
    wire: Arc<Wire>,
    node: String,
    what: String,
    kind: Kind,
    number: u64,
    answer_lost: bool,
    give: oneshot::Sender<Result<T, StreamError>>,
}

impl<T: Told> Reply<T> {
    /// Runs the operation at the store. A reader that has gone away is not waited for: its place is let go.
    async fn run(mut self, operation: BoxFuture<'static, Result<T, StreamError>>) {
        let result = tokio::select! {
            biased;
            () = gone(&mut self.give, self.kind) => return,
            result = operation => result,
        };
        self.answer(result);
    }

    fn answer(self, result: Result<T, StreamError>) {
        let Reply { wire, node, what, kind, number, answer_lost, give } = self;
        let outcome = result.as_ref().map_or_else(|error| format!("no: {error}"), Told::told);
        let word = if answer_lost { ", the answer is lost" } else { "" };
        wire.journal.add(STORE, format_args!("does ?{number} of {node}: {outcome}{word}"));
        if answer_lost {
            return wire.silence(Box::new((give, result)));
        }
        let delay = wire.way();
        // Its caller may have gone away.
        wire.later(&node, &what, Way::Back, kind, delay, Box::new(move || drop(give.send(result))));
    }
}

async fn gone<T>(give: &mut oneshot::Sender<T>, kind: Kind) {
    match kind {
        Kind::Following => give.closed().await,
        Kind::Once => std::future::pending().await,
    }
}
