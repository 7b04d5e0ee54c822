//! All keys, in the order they are shown. A new one is a row here and a field of `Config`.

mod bounds;

use std::time::Duration;

use connectome_actors::protocol::shard::SHARDS_MAX;
use connectome_codecs::limits::FRAME_MAX;

use self::bounds::*;
use super::field::Field;
use super::{Config, direct, nats, sealing};

/// One key.
pub(super) struct Key {
    /// Its name in the file and among the flags.
    pub(super) name: &'static str,
    /// What it is for, in a line.
    pub(super) about: &'static str,
    /// Other variables that set it, where its own is not set.
    pub(super) aliases: &'static [&'static str],
    /// Where its value is.
    pub(super) field: fn(&mut Config) -> Field<'_>,
}

impl Key {
    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("CONNECTOME_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }
}

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// What the key of this name has when nobody sets it.
pub(super) fn default_of(name: &str) -> Option<String> {
    find(name).map(|key| (key.field)(&mut Config::default()).to_string())
}

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "name",
        about: "the node's name; with the root key it makes the node's own key",
        aliases: &[],
        field: |c| Field::Name { value: &mut c.name, longest: NAME_MAX, dots: true },
    },
    Key {
        name: "namespace",
        about: "clusters with different namespaces do not see each other",
        aliases: &[],
        field: |c| Field::Name { value: &mut c.namespace, longest: NAMESPACE_MAX, dots: false },
    },
    Key {
        name: "data_dir",
        about: "where the node keeps its files; relative to the current directory",
        aliases: &[],
        field: |c| Field::Path(&mut c.data_dir),
    },
    Key {
        name: "key_file",
        about: "the file of the root key, the same on all nodes of a cluster; none: root.key in data_dir",
        aliases: &[],
        field: |c| Field::OptionalPath(&mut c.key_file),
    },
    Key {
        name: "key_passphrase_file",
        about: "the file of the passphrase that the root key is under; none: it is in the open",
        aliases: &[],
        field: |c| Field::OptionalPath(&mut c.key_passphrase_file),
    },
    Key {
        name: "storage",
        about: "where streams are kept: file, or memory (gone with the process)",
        aliases: &["NATS_STREAM_STORAGE"],
        field: |c| Field::Word(&mut c.streams.storage),
    },
    Key {
        name: "call_timeout",
        about: "how long a call waits unless it says otherwise",
        aliases: &[],
        field: |c| Field::Duration(&mut c.router.call_timeout, WAIT_MIN..=WAIT_MAX),
    },
    Key {
        name: "stream_timeout",
        about: "how long the whole of a streamed answer may take",
        aliases: &[],
        field: |c| Field::Duration(&mut c.router.stream_timeout, WAIT_MIN..=WAIT_MAX),
    },
    Key {
        name: "drain_timeout",
        about: "how long a stopping node lets the work in hand come to its end",
        aliases: &[],
        field: |c| Field::Duration(&mut c.drain_timeout, Duration::ZERO..=WAIT_MAX),
    },
    Key {
        name: "stop_timeout",
        about: "how long it then takes to stop its actors before it leaves without them",
        aliases: &[],
        field: |c| Field::Duration(&mut c.stop_timeout, WAIT_MIN..=WAIT_MAX),
    },
    Key {
        name: "membership.heartbeat",
        about: "between two heartbeats",
        aliases: &[],
        field: |c| Field::Duration(&mut c.membership.heartbeat_every, BEAT_MIN..=BEAT_MAX),
    },
    Key {
        name: "membership.suspect_after",
        about: "silence after which a node is suspected",
        aliases: &[],
        field: |c| Field::Duration(&mut c.membership.suspect_after, BEAT_MIN..=BEAT_MAX),
    },
    Key {
        name: "membership.down_after",
        about: "silence after which a node is down",
        aliases: &[],
        field: |c| Field::Duration(&mut c.membership.down_after, BEAT_MIN..=BEAT_MAX),
    },
    Key {
        name: "mailbox.capacity",
        about: "messages a mailbox holds",
        aliases: &[],
        field: |c| Field::Count(&mut c.mailbox.capacity, 1..=MAILBOX_CAPACITY_MAX),
    },
    Key {
        name: "mailbox.bytes",
        about: "bytes of encoded messages a mailbox holds",
        aliases: &[],
        field: |c| Field::Size(&mut c.mailbox.bytes, FRAME_MAX as u64..=MAILBOX_BYTES_MAX),
    },
    Key {
        name: "mailbox.overflow",
        about: "what a full mailbox does: block, fail or drop_oldest",
        aliases: &[],
        field: |c| Field::Word(&mut c.mailbox.overflow),
    },
    Key {
        name: "ownership.lease",
        about: "how long a node owns an agent that several offer, between two renewals",
        aliases: &[],
        field: |c| Field::Duration(&mut c.router.ownership_lease, OWNERSHIP_MIN..=WAIT_MAX),
    },
    Key {
        name: "tasks.lease",
        about: "how long a worker owns a task between two extensions",
        aliases: &[],
        field: |c| Field::Duration(&mut c.router.task_lease, LEASE_MIN..=WAIT_MAX),
    },
    Key {
        name: "tasks.attempt_max",
        about: "how long one attempt at a task may take",
        aliases: &[],
        field: |c| Field::Duration(&mut c.router.task_attempt_max, LEASE_MIN..=ATTEMPT_MAX),
    },
    Key {
        name: "tasks.per_worker",
        about: "tasks of one capability that one worker is given at a time",
        aliases: &[],
        field: |c| Field::Count(&mut c.router.tasks_per_worker, 1..=TASKS_PER_WORKER_MAX),
    },
    Key {
        name: "streams.retention",
        about: "what makes a message leave a stream",
        aliases: &["NATS_STREAM_RETENTION"],
        field: |_| {
            Field::Only("limits", "logs are kept by limits, and the queue of tasks is always a work queue")
        },
    },
    Key {
        name: "streams.max_age",
        about: "older messages leave; none: never",
        aliases: &["NATS_STREAM_MAX_AGE"],
        field: |c| Field::OptionalDuration(&mut c.streams.max_age, AGE_MIN..=AGE_MAX),
    },
    Key {
        name: "streams.max_bytes",
        about: "the oldest messages leave when a stream is larger; none: never",
        aliases: &["NATS_STREAM_MAX_BYTES"],
        field: |c| Field::OptionalSize(&mut c.streams.max_bytes, STREAM_BYTES_MIN..=STREAM_BYTES_MAX),
    },
    Key {
        name: "streams.duplicate_window",
        about: "how long a message id is remembered, to store it once",
        aliases: &["NATS_STREAM_DUPLICATE_WINDOW"],
        field: |c| Field::Duration(&mut c.streams.duplicate_window, AGE_MIN..=WAIT_MAX),
    },
    Key {
        name: "streams.shards",
        about: "partitions that agents and tasks are spread over; the same on all nodes of a cluster, for good",
        aliases: &["NATS_STREAM_SHARDS"],
        field: |c| Field::Count(&mut c.router.shards, 1..=SHARDS_MAX),
    },
    Key {
        name: "consumers.ack_pending_max",
        about: "tasks in hand of one consumer over all nodes; messages that the agents of a node may have read ahead",
        aliases: &[],
        field: |c| Field::Count(&mut c.router.ack_pending_max, 1..=ACK_PENDING_MAX),
    },
    Key {
        name: "consumers.rate_limit",
        about: "messages that each consumer of a node takes in a second; none: as fast as it can",
        aliases: &[],
        field: |c| Field::OptionalCount(&mut c.consumer_rate, 1..=RATE_MAX),
    },
    Key {
        name: "nats.url",
        about: "the NATS servers, separated by commas; none: a store of its own, and the nodes that libp2p reaches",
        aliases: &["NATS_URL"],
        field: |c| Field::Servers(&mut c.nats.url),
    },
    Key {
        name: "nats.credentials",
        about: "a credentials file (user JWT and nkey seed) for servers that want one",
        aliases: &["NATS_CREDS"],
        field: |c| Field::OptionalPath(&mut c.nats.credentials),
    },
    Key {
        name: "nats.ca_file",
        about: "a certificate authority to trust besides the system's",
        aliases: &["NATS_CA"],
        field: |c| Field::OptionalPath(&mut c.nats.ca_file),
    },
    Key {
        name: "nats.replicas",
        about: "on how many servers each stream and bucket is kept: 1, 3 or 5",
        aliases: &["NATS_STREAM_REPLICAS"],
        field: |c| Field::Count(&mut c.nats.replicas, 1..=REPLICAS_MAX),
    },
    Key {
        name: "nats.profile",
        about: "what an acknowledged write survives: fast (kill -9), or durable (loss of power, and of a machine)",
        aliases: &[],
        field: |c| Field::Word(&mut c.nats.profile),
    },
    Key {
        name: "nats.monitors",
        about: "the servers' monitoring endpoints, as http://host:8222, separated by commas; durable is checked there",
        aliases: &[],
        field: |c| Field::Listed(&mut c.nats.monitors, nats::check_monitors),
    },
    Key {
        name: "nats.request_timeout",
        about: "how long one request waits for its answer before it is tried again",
        aliases: &[],
        field: |c| Field::Duration(&mut c.nats.request_timeout, BEAT_MIN..=REQUEST_MAX),
    },
    Key {
        name: "libp2p.listen",
        about: "where other nodes reach this one directly: /ip4/0.0.0.0/tcp/4001, several separated by commas; none: nowhere",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.listen, direct::check_addresses),
    },
    Key {
        name: "libp2p.announce",
        about: "where others are told to dial it; none: where it listens",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.announce, direct::check_addresses),
    },
    Key {
        name: "libp2p.peers",
        about: "nodes that are dialled first: /dns/host/tcp/4001, with /p2p/12D3… where one must be there; the others are told by them",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.peers, direct::check_targets),
    },
    Key {
        name: "libp2p.mdns",
        about: "whether nodes of the local network find each other by mDNS",
        aliases: &[],
        field: |c| Field::Word(&mut c.libp2p.mdns),
    },
    Key {
        name: "libp2p.relays",
        about: "relays over which others reach this node where they can't dial it: /dns/host/tcp/4001/p2p/12D3…, separated by commas",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.relays, direct::check_relays),
    },
    Key {
        name: "libp2p.relay",
        about: "whether this node carries connections for others, who know it as a relay; members only, where there is a secret",
        aliases: &[],
        field: |c| Field::Word(&mut c.libp2p.relay),
    },
    Key {
        name: "libp2p.relay_reservations",
        about: "nodes that may be reached over this one, where it is a relay",
        aliases: &[],
        field: |c| Field::Count(&mut c.libp2p.relay_reservations, 1..=CONNECTIONS_MAX),
    },
    Key {
        name: "libp2p.relay_circuits",
        about: "connections that it carries at a time",
        aliases: &[],
        field: |c| Field::Count(&mut c.libp2p.relay_circuits, 1..=CONNECTIONS_MAX),
    },
    Key {
        name: "libp2p.relay_circuit_bytes",
        about: "after so many bytes such a connection is cut, and made again by its nodes; none: never",
        aliases: &[],
        field: |c| {
            Field::OptionalSize(&mut c.libp2p.relay_circuit_bytes, CIRCUIT_BYTES_MIN..=STREAM_BYTES_MAX)
        },
    },
    Key {
        name: "libp2p.relay_circuit_duration",
        about: "after so long such a connection is cut, and made again by its nodes",
        aliases: &[],
        field: |c| Field::Duration(&mut c.libp2p.relay_circuit_duration, CIRCUIT_MIN..=AGE_MAX),
    },
    Key {
        name: "libp2p.upnp",
        about: "whether the router of the local network is asked to let others in",
        aliases: &[],
        field: |c| Field::Word(&mut c.libp2p.upnp),
    },
    Key {
        name: "libp2p.dht",
        about: "whether this node and its agents are found across a wide network, and it finds others, by a distributed hash table",
        aliases: &[],
        field: |c| Field::Word(&mut c.libp2p.dht),
    },
    Key {
        name: "libp2p.dht_announced_for",
        about: "for how long others believe there what this node has announced, once it is gone",
        aliases: &[],
        field: |c| Field::Duration(&mut c.libp2p.dht_announced_for, ANNOUNCED_MIN..=ANNOUNCED_MAX),
    },
    Key {
        name: "libp2p.store",
        about: "without NATS: serve on the node that keeps the streams of the cluster, and that node's peer id or address \
                (/dns/host/tcp/4001/p2p/12D3…) on the others; none: each node has its own",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.store, direct::check_store),
    },
    Key {
        name: "libp2p.allow",
        about: "peer ids (12D3…) that may connect, separated by commas; none: all",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.allow, direct::check_peers),
    },
    Key {
        name: "libp2p.deny",
        about: "peer ids that may not, even where they are allowed",
        aliases: &[],
        field: |c| Field::Listed(&mut c.libp2p.deny, direct::check_peers),
    },
    Key {
        name: "libp2p.secret_file",
        about: "a file with what all nodes of the cluster know and nobody else; none: whoever may connect is a member",
        aliases: &[],
        field: |c| Field::OptionalPath(&mut c.libp2p.secret_file),
    },
    Key {
        name: "libp2p.connections",
        about: "connections there may be; others make three quarters of them at the most",
        aliases: &[],
        field: |c| Field::Count(&mut c.libp2p.connections, CONNECTIONS_MIN..=CONNECTIONS_MAX),
    },
    Key {
        name: "libp2p.connections_per_address",
        about: "connections that come from one network address",
        aliases: &[],
        field: |c| Field::Count(&mut c.libp2p.connections_per_address, 1..=CONNECTIONS_MAX),
    },
    Key {
        name: "libp2p.memory",
        about: "no more connections are taken while the process uses more than this; none: no bound",
        aliases: &[],
        field: |c| Field::OptionalSize(&mut c.libp2p.memory, MEMORY_MIN..=STREAM_BYTES_MAX),
    },
    Key {
        name: "events.messages",
        about: "whether every durable message that is handled is followed by an event",
        aliases: &[],
        field: |c| Field::Word(&mut c.router.message_events),
    },
    Key {
        name: "sealing.enabled",
        about: "whether messages, tasks and dead letters are sealed, and refused where they are not; the same on all nodes",
        aliases: &[],
        field: |c| Field::Word(&mut c.router.sealed),
    },
    Key {
        name: "sealing.peers",
        about: "whom this node talks to beside its owner's agents and nodes: any, or listed; the same on all nodes of an owner",
        aliases: &[],
        field: |c| Field::Word(&mut c.sealing.peers),
    },
    Key {
        name: "sealing.allow",
        about: "agents and nodes that are listed, by their ids (did:key:…, node:…), separated by commas",
        aliases: &[],
        field: |c| Field::Listed(&mut c.sealing.allow, sealing::check_ids),
    },
    Key {
        name: "sealing.organisations",
        about: "whoever these vouch for is listed too: ids (did:key:…), separated by commas",
        aliases: &[],
        field: |c| Field::Listed(&mut c.sealing.organisations, sealing::check_ids),
    },
    Key {
        name: "compression.enabled",
        about: "whether bodies are made smaller on their way; see SECURITY.md",
        aliases: &[],
        field: |c| Field::Word(&mut c.compression.enabled),
    },
    Key {
        name: "compression.encodings",
        about: "what is offered to peers, best first",
        aliases: &[],
        field: |c| Field::Encodings(&mut c.router.encodings),
    },
    Key {
        name: "compression.threshold",
        about: "shorter bodies go as they are",
        aliases: &[],
        field: |c| Field::Size(&mut c.compression.threshold, 0..=FRAME_MAX as u64),
    },
    Key {
        name: "log.filter",
        about: "targets and levels, as in info,connectome=debug",
        aliases: &["RUST_LOG"],
        field: |c| Field::Filter(&mut c.log.filter),
    },
    Key {
        name: "log.format",
        about: "text or json, one line an event",
        aliases: &[],
        field: |c| Field::Word(&mut c.log.format),
    },
    Key {
        name: "log.status_every",
        about: "how often the node's figures are logged, in a line; none: never",
        aliases: &[],
        field: |c| Field::OptionalDuration(&mut c.log.status_every, AGE_MIN..=WAIT_MAX),
    },
];
