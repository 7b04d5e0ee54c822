//! How a node routes and seals, in numbers.

use std::time::Duration;

use connectome_codecs::Encoding;
use connectome_codecs::identity::Accept;
use connectome_codecs::limits::COMPRESSION_THRESHOLD;
use connectome_codecs::session::Policy;

use crate::mailbox::MailboxConfig;
use crate::protocol::shard::SHARDS;
use crate::streams::StreamLimits;

/// Messages in hand of one consumer, unless it is said: enough for a hundred workers with forty tasks each.
const ACK_PENDING_MAX: usize = 4_096;

/// The age that a frame can reach on its way to another node: for so long its keys are kept. Whatever is older was lost.
const FRAME_AGE_MAX: Duration = Duration::from_secs(600);

/// For how long the keys of durable messages are kept where their stream has no bound by age.
pub(crate) const MAIL_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a node routes, in numbers.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// How long a `call` waits unless it says otherwise.
    pub call_timeout: Duration,
    /// How long the whole of a streamed answer may take unless its reader says otherwise.
    pub stream_timeout: Duration,
    /// How long a worker owns a task between two extensions.
    pub task_lease: Duration,
    /// How long a node owns the name of an agent that several nodes offer, between two renewals. A renewal begins after a
    /// third of it, and the owner stops after two; between them must fit two elections of a store's leader, 5 to 9 s each,
    /// and the requests that nobody answered meanwhile. A dead owner is replaced long before.
    pub ownership_lease: Duration,
    /// Partitions that agents and tasks are spread over: the same on every node of a cluster, 1 to
    /// [`SHARDS_MAX`](crate::protocol::shard::SHARDS_MAX).
    pub shards: usize,
    /// Tasks in hand of one consumer over all nodes at the most; then nothing more is delivered until some are acknowledged.
    /// Also the durable messages that all agents of this node together may have read ahead, beyond the one that each works
    /// on: what is not read waits in the stream.
    pub ack_pending_max: usize,
    /// How long one attempt at a task may take altogether.
    pub task_attempt_max: Duration,
    /// Tasks of one capability that one worker agent is given at a time.
    pub tasks_per_worker: usize,
    /// The bounds of a mailbox whose agent does not set its own.
    pub mailbox: MailboxConfig,
    /// The first token of every subject: clusters with different namespaces share a store and do not see each other.
    pub namespace: String,
    /// Shorter bodies are not compressed, in bytes.
    pub compression_threshold: usize,
    /// Encodings of bodies that this node reads, and writes to nodes that read them too.
    pub encodings: Vec<Encoding>,
    /// How messages to other nodes are sealed.
    pub sealing: Policy,
    /// Whether messages, tasks and dead letters are sealed, and refused where they are not: the same on all nodes of a cluster.
    /// Kept states always are.
    pub sealed: bool,
    /// Whom this node talks to, beside its owner's agents; the same on all nodes of an owner.
    pub accept: Accept,
    /// The age that a durable message can reach on its stream: for so long the keys for it are kept.
    pub mail_age: Duration,
    /// Whether all nodes have one store. Where each has its own, durable messages to agents of others wait in an outbox until
    /// those have them.
    pub store_is_shared: bool,
    /// Whether every durable message that is handled is followed by a `MESSAGE_RECEIVED` event.
    pub message_events: bool,
    /// A bug on purpose.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<crate::planted::Planted>,
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            call_timeout: Duration::from_secs(5),
            stream_timeout: Duration::from_secs(600),
            task_lease: Duration::from_secs(10),
            ownership_lease: Duration::from_secs(45),
            shards: SHARDS,
            ack_pending_max: ACK_PENDING_MAX,
            task_attempt_max: Duration::from_secs(3600),
            tasks_per_worker: 1,
            mailbox: MailboxConfig::default(),
            namespace: "connectome".to_owned(),
            compression_threshold: COMPRESSION_THRESHOLD,
            encodings: Encoding::KNOWN.to_vec(),
            sealing: Policy { retention: FRAME_AGE_MAX, ..Policy::default() },
            sealed: true,
            accept: Accept::Anybody,
            mail_age: StreamLimits::default().max_age.unwrap_or(MAIL_AGE_MAX),
            store_is_shared: true,
            message_events: false,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }
}
