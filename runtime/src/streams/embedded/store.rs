//! The shell around the core: one lock, one clock, the queue to the disk, and who is to be woken.
//!
//! Everything that waits is in `sleeper.rs`; everything that decides is in `core.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use connectome_actors::port::{StreamError, World};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::commit::{Batch, GATHER, Progress, Queue, Ticket, Urgency};
use super::core::effects::{Bell, Effects};
use super::core::reading::Seen;
use super::core::record::Place;
use super::core::{Core, Now};
use super::disk::Disk;
use super::sleeper::Sleeper;

/// A store that is open. When the last handle goes, what is queued is written and the disk is let go.
pub(crate) struct Store {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What the handles and the writer's thread have in common.
struct Shared {
    state: Mutex<State>,
    /// The writer waits here for work.
    work: Condvar,
    progress: watch::Sender<Progress>,
    disk: Option<Box<dyn Disk>>,
    world: Arc<dyn World>,
    opened: Instant,
}

struct State {
    core: Core,
    queue: Queue,
    sleepers: BTreeMap<Bell, Arc<Sleeper>>,
    closing: bool,
}

impl Store {
    /// A store without a disk: no thread, and nothing to wait for.
    pub(crate) fn in_memory(world: Arc<dyn World>) -> Self {
        Self { shared: Arc::new(Shared::new(Core::new(false), None, world)), writer: None }
    }

    /// A store on `disk`, whose records `load` puts into the core.
    ///
    /// # Errors
    /// Those of `load`, and of starting the thread that writes.
    pub(crate) fn on_disk<E: From<std::io::Error>>(
        disk: Box<dyn Disk>,
        world: Arc<dyn World>,
        load: impl FnOnce(&mut Core, Now) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut core = Core::new(true);
        load(&mut core, Now { wall: world.now(), tick: 0 })?;
        let shared = Arc::new(Shared::new(core, Some(disk), world));
        let for_writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("connectome-store".to_owned());
        #[expect(clippy::disallowed_methods, reason = "it waits for the disk; a simulated store has none")]
        let writer = thread.spawn(move || for_writer.write_until_closed())?;
        Ok(Self { shared, writer: Some(writer) })
    }

    /// Runs one operation of the core; its rows are queued, its sleepers woken.
    ///
    /// # Errors
    /// The operation's, and [`StreamError::Unavailable`] once the disk has failed.
    pub(crate) fn apply<T>(
        &self,
        urgency: Urgency,
        operation: impl FnOnce(&mut Core, Now, &mut Effects) -> Result<T, StreamError>,
    ) -> Result<(T, Ticket), StreamError> {
        let mut effects = Effects::default();
        let mut state = self.shared.state.lock();
        self.shared.progress.borrow().check()?;
        let answer = operation(&mut state.core, self.now(), &mut effects);
        state.core.hold(&effects);
        let was_idle = state.queue.is_empty();
        let was_gathered = state.queue.is_gathered();
        let ticket = state.queue.push(&mut effects, urgency);
        let has_work = was_idle && !state.queue.is_empty();
        let is_gathered = !was_gathered && state.queue.is_gathered();
        let woken = state.sleepers_of(&effects.bells);
        drop(state);
        if has_work || is_gathered {
            self.shared.work.notify_one();
        }
        woken.iter().for_each(|sleeper| sleeper.wake());
        answer.map(|answer| (answer, ticket))
    }

    /// Waits until the disk has come as far as the ticket says.
    ///
    /// # Errors
    /// [`StreamError::Unknown`] or [`StreamError::Unavailable`] when it never will.
    pub(crate) async fn settled(&self, ticket: Ticket) -> Result<(), StreamError> {
        if self.shared.disk.is_none() {
            return Ok(());
        }
        let mut progress = self.shared.progress.subscribe();
        let outcome = progress.wait_for(|progress| progress.outcome(ticket).is_some()).await;
        let outcome = outcome.ok().and_then(|progress| progress.outcome(ticket));
        outcome.unwrap_or_else(|| Err(StreamError::Unknown("the store was closed".to_owned())))
    }

    /// Waits until there is room for more rows.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] once the disk has failed.
    pub(crate) async fn room(&self) -> Result<(), StreamError> {
        loop {
            let newest = {
                let state = self.shared.state.lock();
                if state.queue.has_room() {
                    return Ok(());
                }
                state.queue.newest()
            };
            self.settled(newest).await?;
        }
    }

    /// The body of a message that was looked up; `None` when it was removed meanwhile.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] when it can't be read.
    pub(crate) fn body(&self, seen: &Seen) -> Result<Option<Bytes>, StreamError> {
        match &seen.body {
            Some(body) => Ok(Some(body.clone())),
            None => self.read(seen.place, seen.sequence),
        }
    }

    /// A body from the disk; `None` when it is not there any more.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] when it can't be read.
    pub(crate) fn read(&self, place: Place, number: u64) -> Result<Option<Bytes>, StreamError> {
        match &self.shared.disk {
            Some(disk) => disk.body(place, number).map_err(StreamError::Unavailable),
            None => Ok(None),
        }
    }

    /// The place to wait for a bell.
    pub(crate) fn sleeper(&self, bell: Bell) -> Arc<Sleeper> {
        Arc::clone(self.shared.state.lock().sleepers.entry(bell).or_default())
    }

    /// Nobody waits for this bell any more.
    pub(crate) fn forget_sleeper(&self, bell: Bell) {
        self.shared.state.lock().sleepers.remove(&bell);
    }

    /// When a tick of the core comes.
    pub(crate) fn instant(&self, tick: u64) -> Instant {
        super::sleeper::later(self.shared.opened, std::time::Duration::from_millis(tick))
    }

    /// The time, as the core is told it.
    pub(crate) fn now(&self) -> Now {
        let elapsed = Instant::now().saturating_duration_since(self.shared.opened);
        // Rounded up, so that a wait that begins now is not a part of a millisecond too short.
        let tick = u64::try_from(elapsed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Now { wall: self.shared.world.now(), tick }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("on_disk", &self.shared.disk.is_some()).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so through the progress; here it is only waited for.
            let _ = writer.join();
        }
    }
}

impl State {
    fn sleepers_of(&self, bells: &[Bell]) -> Vec<Arc<Sleeper>> {
        bells.iter().filter_map(|bell| self.sleepers.get(bell).cloned()).collect()
    }
}

impl Shared {
    fn new(core: Core, disk: Option<Box<dyn Disk>>, world: Arc<dyn World>) -> Self {
        let state = State { core, queue: Queue::default(), sleepers: BTreeMap::new(), closing: false };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            progress: watch::Sender::new(Progress::default()),
            disk,
            world,
            opened: Instant::now(),
        }
    }

    /// The writer's life: batch after batch, until the store is closed or the disk fails.
    fn write_until_closed(&self) {
        let _fuse = Fuse(self);
        while let Some((batch, ticket)) = self.next_batch() {
            match self.commit(&batch) {
                Ok(()) => self.settle(&batch, ticket),
                Err(cause) => return self.fail(ticket, &cause),
            }
        }
    }

    fn next_batch(&self) -> Option<(Batch, Ticket)> {
        let mut state = self.state.lock();
        while state.queue.is_empty() {
            if state.closing {
                return None;
            }
            self.work.wait(&mut state);
        }
        if !state.queue.is_gathered() && !state.closing {
            self.work.wait_for(&mut state, GATHER);
        }
        Some(state.queue.take())
    }

    fn commit(&self, batch: &Batch) -> Result<(), String> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.commit(&batch.writes, batch.durable))
    }

    /// The disk has a batch: what it brought may be seen, and who waited for it goes on.
    fn settle(&self, batch: &Batch, ticket: Ticket) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        for appended in &batch.appended {
            state.core.show(appended.place, appended.number, &mut effects);
        }
        let woken = state.sleepers_of(&effects.bells);
        drop(state);
        self.progress.send_modify(|progress| progress.settle(ticket));
        woken.iter().for_each(|sleeper| sleeper.wake());
    }

    fn fail(&self, ticket: Ticket, cause: &str) {
        let state: MutexGuard<'_, State> = self.state.lock();
        self.progress.send_modify(|progress| progress.fail(ticket, cause));
        state.sleepers.values().for_each(|sleeper| sleeper.wake());
    }
}

/// Says that the writer is gone, should it ever panic.
struct Fuse<'a>(&'a Shared);

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let newest = self.0.state.lock().queue.newest();
            self.0.fail(newest, "the thread that writes to the disk has stopped; reopen the store");
        }
    }
}
