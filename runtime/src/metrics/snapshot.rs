//! The figures, as plain data. Names end in their unit; totals count from the node's start, rates are of the last minute.

use std::collections::BTreeMap;

use connectome_actors::port::{ConnectionFigures, Storage};
use connectome_actors::{
    Accounts, Branch, OutboxCounts, OwnershipCounts, SealCounts, SealingCounts, TaskCounts,
};
use connectome_codecs::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::health::Health;

/// Consumers of one stream that are told of by name, those with the longest backlog first; the others are in the sums.
pub const CONSUMERS_SHOWN_MAX: usize = 32;

/// Everything that one node tells of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether it is well.
    pub health: Health,
    /// Its figures.
    pub metrics: Metrics,
    /// What runs on it. `None`: it does not run any more, or did not say in time.
    pub tree: Option<Branch>,
}

/// The figures of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Which node.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// When they were taken.
    pub at: UnixMillis,
    /// How long the node had run then.
    pub up_ms: u64,
    /// What time the rates are taken over: up to a minute.
    pub rates_over_ms: u64,
    /// Nodes that are heard from, this one not counted.
    pub nodes_up: usize,
    /// Nodes that have been silent for longer than a live one is.
    pub nodes_suspected: usize,
    /// Agents, and what they have handled.
    pub agents: AgentMetrics,
    /// Names that several nodes offer.
    pub ownership: OwnershipMetrics,
    /// Tasks.
    pub tasks: TaskMetrics,
    /// What was sealed and opened, and what was not believed.
    pub sealing: SealingMetrics,
    /// Durable messages that were handed to nodes with another store, and taken from them.
    #[serde(default)]
    pub outbox: OutboxCounts,
    /// Messages that were given up on this node, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    /// All of them together.
    pub dead_letters_per_second: f64,
    /// The streams that the node uses, sorted by name.
    pub streams: Vec<StreamMetrics>,
    /// The buckets that the node has written to, sorted by name.
    pub buckets: Vec<BucketMetrics>,
    /// The connection to the broker. `None`: there is no broker.
    pub connection: Option<ConnectionMetrics>,
}

/// A total, and how fast it rises.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Since the node's start.
    pub total: u64,
    /// In the last minute.
    pub per_second: f64,
}

/// How long something took in the last minute. A figure is never too low, and at most a sixteenth too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// How often.
    pub count: u64,
    /// Half of all took at most this long.
    pub p50_us: u64,
    /// All but a hundredth.
    pub p99_us: u64,
    /// All.
    pub max_us: u64,
}

/// Agents, and what they have handled.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentMetrics {
    /// On this node.
    pub here: usize,
    /// On other nodes, as far as this one knows.
    pub elsewhere: usize,
    /// What became of all messages that agents of this node accepted.
    pub accounts: Accounts,
    /// Agents that this node has made known.
    pub registered: Counted,
    /// Agents of which it has said that they are gone.
    pub unregistered: Counted,
}

/// Names that several nodes offer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnershipMetrics {
    /// What has happened to the leases of this node.
    pub counts: OwnershipCounts,
    /// Leases that were taken, lost and given back.
    pub changes_per_second: f64,
    /// Leases that were renewed.
    pub renewed_per_second: f64,
}

/// What was sealed and opened, and what was not believed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SealingMetrics {
    /// Messages of this node and of others.
    pub messages: SealCounts,
    /// What the store gave back.
    pub store: SealingCounts,
}

/// Tasks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskMetrics {
    /// What this node has done with tasks.
    pub counts: TaskCounts,
    /// Handed over.
    pub submitted_per_second: f64,
    /// Attempts begun: claims that were granted.
    pub started_per_second: f64,
    /// Completed.
    pub completed_per_second: f64,
}

/// One stream: what this node did with it, and what it holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StreamMetrics {
    /// Its name.
    pub name: String,
    /// Published by this node, and acknowledged.
    pub published: Counted,
    /// Their bytes.
    pub published_bytes: u64,
    /// Publishes that were refused, or of which nobody knows.
    pub publish_failed: u64,
    /// From the publish to its acknowledgement.
    pub publish: Latency,
    /// Delivered to consumers of this node.
    pub delivered: Counted,
    /// Of these, deliveries of what had been delivered before.
    pub redelivered: Counted,
    /// Taken and done: acknowledged, or removed, as agents do with their mail.
    pub acknowledged: Counted,
    /// From the store's taking it to its first delivery here, by both clocks: backlog is in it.
    pub delivery: Latency,
    /// What the store says. `None`: it could not be asked, see `problem`.
    pub kept: Option<Kept>,
    /// Why the store could not be asked.
    pub problem: Option<String>,
}

/// What a stream holds, over all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kept {
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many bytes there may be.
    pub bytes_max: Option<u64>,
    /// Whether a full one refuses; otherwise its oldest messages make room.
    pub refuses_when_full: bool,
    /// Whether it outlives the process.
    pub on_disk: bool,
    /// Messages that were never delivered, over all consumers.
    pub backlog: u64,
    /// Messages in hand, over all consumers.
    pub in_hand: u64,
    /// Messages that ran out of deliveries.
    pub exhausted: u64,
    /// How many consumers there are.
    pub consumers: usize,
    /// Those with the longest backlog.
    pub busiest: Vec<ConsumerMetrics>,
}

impl Kept {
    pub(super) fn of(info: connectome_actors::port::StreamInfo) -> Kept {
        let mut busiest: Vec<ConsumerMetrics> = info.consumers.into_iter().map(ConsumerMetrics::of).collect();
        let sum = |read: fn(&ConsumerMetrics) -> u64| busiest.iter().map(read).sum();
        let (backlog, in_hand) = (sum(|consumer| consumer.backlog), sum(|consumer| consumer.in_hand));
        let (exhausted, consumers) = (sum(|consumer| consumer.exhausted), busiest.len());
        busiest.sort_by_key(|consumer| std::cmp::Reverse(consumer.backlog + consumer.in_hand));
        busiest.truncate(CONSUMERS_SHOWN_MAX);
        Kept {
            messages: info.messages,
            bytes: info.bytes,
            bytes_max: info.config.max_bytes,
            refuses_when_full: info.config.discard == connectome_actors::port::Discard::New,
            on_disk: info.config.storage == Storage::File,
            backlog,
            in_hand,
            exhausted,
            consumers,
            busiest,
        }
    }
}

/// One consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConsumerMetrics {
    /// Its name.
    pub name: String,
    /// Messages that were never delivered.
    pub backlog: u64,
    /// Messages in hand, or to be delivered again.
    pub in_hand: u64,
    /// Deliveries beyond the first.
    pub redelivered: u64,
    /// Messages that ran out of deliveries.
    pub exhausted: u64,
}

impl ConsumerMetrics {
    fn of(info: connectome_actors::port::ConsumerInfo) -> ConsumerMetrics {
        let connectome_actors::port::ConsumerInfo { name, waiting, in_flight, redelivered, exhausted } = info;
        ConsumerMetrics { name, backlog: waiting, in_hand: in_flight, redelivered, exhausted }
    }
}

/// One bucket: what this node did with it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BucketMetrics {
    /// Its name.
    pub name: String,
    /// Entries that were written or removed.
    pub written: Counted,
    /// Writes that found another revision than they expected: somebody else was first.
    pub overtaken: u64,
    /// From the write to its acknowledgement.
    pub write: Latency,
}

/// The connection to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionMetrics {
    /// Where it stands.
    pub figures: ConnectionFigures,
    /// Times that it was lost in the last minute.
    pub lost_lately: u64,
    /// Times that messages were dropped in the last minute, since they were not read fast enough.
    pub slow_lately: u64,
    /// Servers that said in the last minute that they are about to stop.
    pub leaving_lately: u64,
    /// Refusals of the server in the last minute.
    pub refused_lately: u64,
    /// Messages that come in.
    pub messages_in_per_second: f64,
    /// Messages that go out.
    pub messages_out_per_second: f64,
    /// Bytes that come in.
    pub bytes_in_per_second: f64,
    /// Bytes that go out.
    pub bytes_out_per_second: f64,
}
