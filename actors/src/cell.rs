//! The part of an agent that lives as long as its name does: mailbox, watchers, orders to stop.
//!
//! Incarnations come and go below it; whoever holds a cell never notices.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use connectome_codecs::{AgentName, Capability, Sequence, Term};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::bell::Bell;
use crate::mail::{Kept, LaneHandle, MailKeys, Word};
use crate::mailbox::{Mailbox, MailboxConfig, Pushed};
use crate::monitor::{MonitorId, Signal, Watcher, Watchers};
use crate::parcel::Parcel;
use crate::protocol::restart::Exit;
use crate::remote::Paused;

pub(crate) struct AgentCell {
    pub(crate) name: AgentName,
    pub(crate) role: Option<String>,
    pub(crate) version: String,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) mailbox: Mailbox,
    bell: Bell,
    running: Mutex<bool>,
    orders: Mutex<Orders>,
    /// Whether there may be orders: most of the time there are none, and no lock is needed to see that.
    ordered: AtomicBool,
    watchers: Mutex<Watchers>,
    incarnation: AtomicU64,
    /// Its first start has succeeded, and others were told.
    known: AtomicBool,
    killed: AtomicBool,
    kill: Notify,
    /// The agent's lane of durable messages, while it has one.
    lane: Mutex<Option<LaneHandle>>,
    /// What its last lane opened mail with: the store may have lost it.
    mail_keys: Mutex<Option<MailKeys>>,
    lane_ended: Notify,
    /// Who writes to it from other nodes and was told to pause.
    pub(crate) paused: Paused,
    /// Under which its node owns the name, where several nodes offer it.
    term: Option<Term>,
    /// What it kept, as it was when the term began: for the first incarnation.
    inherited: Mutex<Option<Kept>>,
    /// Rises with each [`Pulse::beats`]; `beaten` follows when the running handler was polled.
    beat: AtomicU64,
    beaten: AtomicU64,
}

/// What the agent is told beside its messages.
#[derive(Default)]
struct Orders {
    stop: Option<Exit>,
    signals: VecDeque<Signal>,
}

/// One of them.
pub(crate) enum Order {
    Stop(Exit),
    Hear(Signal),
}

impl Orders {
    /// An order to stop stays: it is for as long as the incarnation runs.
    fn next(&mut self) -> Option<Order> {
        let stop = self.stop.clone().map(Order::Stop);
        stop.or_else(|| self.signals.pop_front().map(Order::Hear))
    }
}

impl AgentCell {
    pub(crate) fn new(
        name: AgentName,
        role: Option<String>,
        version: String,
        capabilities: Vec<Capability>,
        mailbox: MailboxConfig,
    ) -> AgentCell {
        AgentCell {
            name,
            role,
            version,
            capabilities,
            mailbox: Mailbox::new(mailbox),
            bell: Bell::default(),
            running: Mutex::default(),
            orders: Mutex::default(),
            ordered: AtomicBool::new(false),
            watchers: Mutex::default(),
            incarnation: AtomicU64::new(0),
            known: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            kill: Notify::new(),
            lane: Mutex::default(),
            mail_keys: Mutex::default(),
            lane_ended: Notify::new(),
            paused: Paused::default(),
            term: None,
            inherited: Mutex::default(),
            beat: AtomicU64::new(0),
            beaten: AtomicU64::new(0),
        }
    }

    /// The same agent, owned under a term, with what it kept until then.
    pub(crate) fn owned(self, term: Option<Term>, inherited: Option<Kept>) -> AgentCell {
        AgentCell { term, inherited: Mutex::new(inherited), ..self }
    }

    /// The term under which this node owns the name, where several nodes offer it.
    pub(crate) fn term(&self) -> Option<Term> {
        self.term
    }

    pub(crate) fn take_inherited(&self) -> Option<Kept> {
        self.inherited.lock().take()
    }

    /// Puts a parcel into the mailbox and wakes the agent where nobody is at work.
    pub(crate) fn push(&self, parcel: Box<dyn Parcel>) -> Pushed {
        let pushed = self.mailbox.push(parcel);
        if let Pushed::Queued { wake: true, .. } = &pushed {
            self.wake();
        }
        pushed
    }

    /// The same for one that another node has sent.
    pub(crate) fn push_arrived(&self, parcel: Box<dyn Parcel>) -> Pushed {
        let pushed = self.mailbox.push_arrived(parcel);
        if let Pushed::Queued { wake: true, .. } = &pushed {
            self.wake();
        }
        pushed
    }

    /// Tells the incarnation that runs, if one does, to look at its mailbox and orders.
    pub(crate) fn wake(&self) {
        self.bell.ring();
    }

    /// Ends when there may be something in the mailbox or in the orders.
    pub(crate) async fn woken(&self) {
        self.bell.heard().await;
    }

    /// A new incarnation takes over, and answers which one it is: 1 is the first.
    pub(crate) fn begin(&self) -> u64 {
        let mut orders = self.orders.lock();
        orders.signals.clear();
        orders.stop = None;
        self.killed.store(false, Ordering::Release);
        let mut running = self.running.lock();
        *running = true;
        self.incarnation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The incarnation of this number is over; whoever watched it is returned, to be told.
    pub(crate) fn end(&self, number: u64) -> Vec<Watcher> {
        let mut running = self.running.lock();
        if self.incarnation() != number {
            return Vec::new();
        }
        *running = false;
        self.watchers.lock().take_all()
    }

    pub(crate) fn is_running(&self) -> bool {
        *self.running.lock()
    }

    /// Says whether others must be told of this agent: the first time.
    pub(crate) fn make_known(&self) -> bool {
        !self.known.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Acquire)
    }

    /// Adds a watcher of the incarnation that runs, and says which that is. Hands it back when none does.
    pub(crate) fn watch(&self, watcher: Watcher) -> Result<u64, Watcher> {
        let running = self.running.lock();
        if !*running {
            return Err(watcher);
        }
        self.watchers.lock().add(watcher);
        Ok(self.incarnation())
    }

    pub(crate) fn unwatch(&self, remove: impl FnOnce(&mut Watchers)) {
        remove(&mut self.watchers.lock());
    }

    /// Asks the incarnation to stop before its next message.
    pub(crate) fn stop(&self, exit: Exit) {
        let mut orders = self.orders.lock();
        orders.stop.get_or_insert(exit);
        self.ordered.store(true, Ordering::Release);
        drop(orders);
        self.wake();
    }

    /// What the incarnation is told next: to stop, before anything else.
    pub(crate) fn next_order(&self) -> Option<Order> {
        if !self.ordered.load(Ordering::Acquire) {
            return None;
        }
        let mut orders = self.orders.lock();
        let next = orders.next();
        self.ordered.store(next.is_some(), Ordering::Release);
        next
    }

    /// Ends the handler that runs now, wherever it waits.
    pub(crate) fn kill(&self) {
        self.stop(Exit::Killed);
        self.killed.store(true, Ordering::Release);
        self.kill.notify_waiters();
    }

    /// Ends when the incarnation is killed.
    pub(crate) async fn killed(&self) {
        loop {
            let notified = self.kill.notified();
            self.beaten.store(self.beat.load(Ordering::Acquire), Ordering::Release);
            if self.killed.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }

    pub(crate) fn keep_mail_keys(&self, keys: Option<MailKeys>) {
        *self.mail_keys.lock() = keys;
    }

    pub(crate) fn take_mail_keys(&self) -> Option<MailKeys> {
        self.mail_keys.lock().take()
    }

    pub(crate) fn set_lane(&self, lane: Option<LaneHandle>) {
        *self.lane.lock() = lane;
        self.lane_ended.notify_waiters();
    }

    /// Ends when the agent has no lane, and so nothing that is still to be saved.
    pub(crate) async fn lane_ended(&self) {
        loop {
            let changed = self.lane_ended.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.has_lane() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn lane(&self) -> Option<mpsc::Sender<Word>> {
        self.lane.lock().as_ref().map(|lane| lane.words.clone())
    }

    /// Says that this message has arrived in the stream; whether there is a lane to say it to.
    pub(crate) fn mail_arrived(&self, sequence: Sequence) -> bool {
        self.lane.lock().as_ref().is_some_and(|lane| lane.arrived(sequence))
    }

    pub(crate) fn has_lane(&self) -> bool {
        self.lane.lock().is_some()
    }

    /// Tells the lane, where there is one, what became of an incarnation.
    pub(crate) async fn tell_lane(&self, word: Word) {
        if let Some(lane) = self.lane() {
            // A lane that has ended finds out for itself when it begins again.
            drop(lane.send(word).await);
        }
    }

    /// Feels whether the agent is alive, from one question to the next.
    pub(crate) fn pulse(self: &Arc<Self>) -> Pulse {
        Pulse { cell: self.clone(), asked: None }
    }

    /// Tells the incarnation of this number; what an earlier one watched does not concern the present one.
    pub(crate) fn signal(&self, incarnation: u64, signal: Signal) {
        let mut orders = self.orders.lock();
        if self.incarnation() == incarnation {
            orders.signals.push_back(signal);
            self.ordered.store(true, Ordering::Release);
            drop(orders);
            self.wake();
        }
    }

    /// A monitor was taken back: what it has told already is not heard any more.
    pub(crate) fn unheard(&self, monitor: MonitorId) {
        self.orders.lock().signals.retain(|signal| match signal {
            Signal::Down(down) => down.monitor != monitor,
            Signal::LinkDown { .. } => true,
        });
    }
}

/// Feels whether a handler hangs: a handler that waits is polled when it is asked, one that blocks its thread is not.
pub(crate) struct Pulse {
    cell: Arc<AgentCell>,
    asked: Option<u64>,
}

impl Pulse {
    /// Whether the agent has answered the question before this one; asks the next.
    pub(crate) fn beats(&mut self) -> bool {
        let cell = &self.cell;
        let is_idle = cell.mailbox.in_hand() == 0;
        let answered = self.asked.is_none_or(|asked| cell.beaten.load(Ordering::Acquire) >= asked);
        self.asked = Some(cell.beat.fetch_add(1, Ordering::AcqRel) + 1);
        cell.kill.notify_waiters();
        is_idle || answered
    }
}
