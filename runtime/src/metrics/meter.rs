//! The meter: samples the totals of a node once a second, and writes a line to the log where that is wanted.
//!
//! It is a part of the node like those of the ports, so it is supervised too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use connectome_actors::port::{ConnectionFigures, Notices, Part};
use connectome_actors::{OwnershipCounts, TaskCounts, Tree, Turnover};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::measured::Gauges;
use super::window::Window;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);

/// Samples of one turn of the latencies: two turns are a minute, as the window of the rates.
const TURN: u64 = 30;

/// What measures one node.
pub(crate) struct Meter {
    pub(super) name: String,
    pub(super) gauges: Arc<Gauges>,
    pub(super) window: Mutex<Window<Totals>>,
    pub(super) began: Instant,
    log_every: Option<Duration>,
    /// The node, once it has started.
    tree: OnceLock<Tree>,
}

/// What only rises.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    pub(super) turnover: Turnover,
    pub(super) ownership: OwnershipCounts,
    pub(super) tasks: TaskCounts,
    pub(super) connection: ConnectionFigures,
    pub(super) dead_letters: u64,
    pub(super) streams: BTreeMap<String, StreamTotals>,
    pub(super) buckets: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StreamTotals {
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) redelivered: u64,
    pub(super) acknowledged: u64,
}

impl Meter {
    pub(crate) fn new(name: String, gauges: Arc<Gauges>, log_every: Option<Duration>) -> Arc<Meter> {
        let (window, began, tree) = (Mutex::default(), Instant::now(), OnceLock::new());
        Arc::new(Meter { name, gauges, window, began, log_every, tree })
    }

    /// The node has started.
    pub(crate) fn watch(&self, tree: &Tree) {
        // A meter has one node, and is told of it once.
        drop(self.tree.set(tree.clone()));
        self.sample();
    }

    pub(crate) fn tree(&self) -> Option<&Tree> {
        self.tree.get()
    }

    fn sample(&self) {
        if let Some(tree) = self.tree.get() {
            self.window.lock().add(self.began.elapsed(), self.totals(tree));
        }
    }

    pub(super) fn totals(&self, tree: &Tree) -> Totals {
        let router = tree.router();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let streams = self.gauges.streams.all().into_iter().map(|(name, gauge)| {
            let totals = StreamTotals {
                published: read(&gauge.published),
                delivered: read(&gauge.delivered),
                redelivered: read(&gauge.redelivered),
                acknowledged: read(&gauge.acknowledged),
            };
            (name, totals)
        });
        let buckets = self.gauges.buckets.all().into_iter();
        Totals {
            turnover: router.turnover(),
            ownership: router.ownership_counts(),
            tasks: router.task_counts(),
            connection: router.connection().unwrap_or_default(),
            dead_letters: router.dead_letter_counts().values().sum(),
            streams: streams.collect(),
            buckets: buckets.map(|(name, gauge)| (name, read(&gauge.written))).collect(),
        }
    }

    async fn log(&self) {
        if let Some(tree) = self.tree() {
            tracing::info!(target: "connectome::status", "{}", self.status(tree).await.line());
        }
    }
}

#[async_trait]
impl Part for Meter {
    fn name(&self) -> &str {
        "meter"
    }

    async fn run(&self, stop: CancellationToken, _: &dyn Notices) -> Result<(), String> {
        let (mut ticks, mut ticked, mut logged) = (interval(EVERY), 0_u64, Instant::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            ticked += 1;
            self.sample();
            if ticked % TURN == 0 {
                self.gauges.turn();
            }
            if self.log_every.is_some_and(|every| logged.elapsed() >= every) {
                logged = Instant::now();
                self.log().await;
            }
        }
    }
}
