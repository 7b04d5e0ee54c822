//! Taking a snapshot: the totals and rates of this moment, and what the store says that it holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[cfg(feature = "nats")]
use bytes::Bytes;
use connectome_actors::port::StreamError;
use connectome_actors::{NodeState, Tree};
use futures_util::future::join_all;
use tokio::time::timeout;

use super::health::{Health, judge};
use super::measured::{BucketGauge, StreamGauge};
use super::meter::{Meter, Totals};
use super::snapshot::{
    AgentMetrics, BucketMetrics, ConnectionMetrics, Counted, Kept, Metrics, OwnershipMetrics, SealingMetrics,
    Status, StreamMetrics, TaskMetrics,
};

/// How long the store, or the tree, may take to say where it stands: whoever asks how a node is must be answered.
const ASK_MAX: Duration = Duration::from_secs(2);

/// The totals of this moment, against the oldest sample.
struct Moment<'a> {
    meter: &'a Meter,
    at: Duration,
    now: Totals,
}

impl Moment<'_> {
    fn per_second(&self, read: impl Fn(&Totals) -> u64) -> f64 {
        let rate = self.meter.window.lock().per_second(self.at, &self.now, read);
        (rate * 100.0).round() / 100.0
    }

    fn lately(&self, read: impl Fn(&Totals) -> u64) -> u64 {
        self.meter.window.lock().risen(&self.now, read)
    }

    fn counted(&self, read: impl Fn(&Totals) -> u64) -> Counted {
        Counted { total: read(&self.now), per_second: self.per_second(read) }
    }
}

impl Meter {
    /// Everything at once.
    pub(crate) async fn status(&self, tree: &Tree) -> Status {
        let (metrics, branch) = tokio::join!(self.metrics(tree), timeout(ASK_MAX, tree.look()));
        let branch = branch.ok().and_then(Result::ok);
        let health: Health = judge(&metrics, branch.as_ref(), tree.router().is_draining());
        Status { health, metrics, tree: branch }
    }

    /// The same as JSON. Nothing, before the node has started.
    #[cfg(feature = "nats")]
    pub(crate) async fn encoded(self: Arc<Self>) -> Bytes {
        let Some(tree) = self.tree() else { return Bytes::new() };
        serde_json::to_vec(&self.status(tree).await).map(Bytes::from).unwrap_or_default()
    }

    /// The figures.
    pub(crate) async fn metrics(&self, tree: &Tree) -> Metrics {
        // Asked first: what takes long must not make the other figures old.
        let asked = self.ask(tree).await;
        let (router, at) = (tree.router(), self.began.elapsed());
        let moment = Moment { meter: self, at, now: self.totals(tree) };
        let nodes = router.nodes();
        let nodes_up = nodes.iter().filter(|(_, state)| *state == NodeState::Up).count();
        let letters = router.dead_letter_counts();
        let rates_over = self.window.lock().length(at);
        let streams = asked.into_iter().map(|asked| stream(&moment, asked)).collect();
        Metrics {
            node: router.node_id(),
            name: self.name.clone(),
            at: router.now(),
            up_ms: millis(at),
            rates_over_ms: millis(rates_over),
            nodes_up,
            nodes_suspected: nodes.len() - nodes_up,
            agents: agents(&moment, tree),
            ownership: ownership(&moment),
            tasks: tasks(&moment),
            sealing: SealingMetrics { messages: router.seal_counts(), store: router.sealing_counts() },
            outbox: router.outbox_counts(),
            dead_letters: letters
                .into_iter()
                .map(|(reason, count)| (reason.as_str().to_owned(), count))
                .collect(),
            dead_letters_per_second: moment.per_second(|totals| totals.dead_letters),
            streams,
            buckets: buckets(&moment),
            connection: router.connection().map(|_| connection(&moment)),
        }
    }

    async fn ask(&self, tree: &Tree) -> Vec<Asked> {
        join_all(self.gauges.streams.all().into_iter().map(|(name, gauge)| ask(tree, name, gauge))).await
    }
}

/// A stream, and what the store says of it.
struct Asked {
    name: String,
    gauge: Arc<StreamGauge>,
    kept: Result<Kept, StreamError>,
}

async fn ask(tree: &Tree, name: String, gauge: Arc<StreamGauge>) -> Asked {
    let silent = |_| Err(StreamError::Unavailable(format!("it did not answer within {ASK_MAX:?}")));
    let asked = timeout(ASK_MAX, tree.router().stream_info(&name)).await.unwrap_or_else(silent);
    Asked { name, gauge, kept: asked.map(Kept::of) }
}

fn stream(moment: &Moment<'_>, asked: Asked) -> StreamMetrics {
    let Asked { name, gauge, kept } = asked;
    let (kept, problem) = match kept {
        Ok(kept) => (Some(kept), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let of = |totals: &Totals| totals.streams.get(&name).copied().unwrap_or_default();
    StreamMetrics {
        published: moment.counted(|totals| of(totals).published),
        published_bytes: gauge.published_bytes.load(Ordering::Relaxed),
        publish_failed: gauge.failed.load(Ordering::Relaxed),
        publish: gauge.publish.snapshot(),
        delivered: moment.counted(|totals| of(totals).delivered),
        redelivered: moment.counted(|totals| of(totals).redelivered),
        acknowledged: moment.counted(|totals| of(totals).acknowledged),
        delivery: gauge.delivery.snapshot(),
        kept,
        problem,
        name,
    }
}

fn buckets(moment: &Moment<'_>) -> Vec<BucketMetrics> {
    let bucket = |(name, gauge): (String, Arc<BucketGauge>)| BucketMetrics {
        written: moment.counted(|totals| totals.buckets.get(&name).copied().unwrap_or_default()),
        overtaken: gauge.overtaken.load(Ordering::Relaxed),
        write: gauge.write.snapshot(),
        name,
    };
    moment.meter.gauges.buckets.all().into_iter().map(bucket).collect()
}

fn agents(moment: &Moment<'_>, tree: &Tree) -> AgentMetrics {
    let router = tree.router();
    AgentMetrics {
        here: router.local_agents().len(),
        elsewhere: router.remote_agents().len(),
        accounts: router.accounts(),
        registered: moment.counted(|totals| totals.turnover.registered),
        unregistered: moment.counted(|totals| totals.turnover.unregistered),
    }
}

fn ownership(moment: &Moment<'_>) -> OwnershipMetrics {
    OwnershipMetrics {
        counts: moment.now.ownership,
        changes_per_second: moment.per_second(|totals| {
            let counts = &totals.ownership;
            counts.acquired + counts.lost + counts.released
        }),
        renewed_per_second: moment.per_second(|totals| totals.ownership.renewed),
    }
}

fn tasks(moment: &Moment<'_>) -> TaskMetrics {
    TaskMetrics {
        counts: moment.now.tasks,
        submitted_per_second: moment.per_second(|totals| totals.tasks.submitted),
        started_per_second: moment.per_second(|totals| totals.tasks.started),
        completed_per_second: moment.per_second(|totals| totals.tasks.completed),
    }
}

fn connection(moment: &Moment<'_>) -> ConnectionMetrics {
    ConnectionMetrics {
        figures: moment.now.connection,
        lost_lately: moment.lately(|totals| totals.connection.disconnected),
        slow_lately: moment.lately(|totals| totals.connection.slow_consumer),
        leaving_lately: moment.lately(|totals| totals.connection.lame_duck),
        refused_lately: moment.lately(|totals| totals.connection.server_errors),
        messages_in_per_second: moment.per_second(|totals| totals.connection.messages_in),
        messages_out_per_second: moment.per_second(|totals| totals.connection.messages_out),
        bytes_in_per_second: moment.per_second(|totals| totals.connection.bytes_in),
        bytes_out_per_second: moment.per_second(|totals| totals.connection.bytes_out),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
