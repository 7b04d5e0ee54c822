//! The least and the most that a key's value may be, and why.

use std::time::Duration;

use connectome_codecs::limits::FRAME_MAX;

/// The longest node name: that of a host is at most this long (RFC 1035).
pub(super) const NAME_MAX: usize = 63;

/// The longest namespace: it stands in every subject, of 256 bytes.
pub(super) const NAMESPACE_MAX: usize = 32;

/// A wait shorter than this can't be measured; one longer than a day is no wait, but a mistake in the unit.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(1);
pub(super) const WAIT_MAX: Duration = Duration::from_secs(86_400);

/// Heartbeats closer than this would be most of the traffic; rarer ones than hourly tell nothing.
pub(super) const BEAT_MIN: Duration = Duration::from_millis(10);
pub(super) const BEAT_MAX: Duration = Duration::from_secs(3_600);

/// A lease must outlive a slow write to the disk.
pub(super) const LEASE_MIN: Duration = Duration::from_millis(100);
/// An owner renews each third of it: a store that chooses a leader meanwhile takes seconds.
pub(super) const OWNERSHIP_MIN: Duration = Duration::from_secs(1);
/// An attempt may take weeks where a person takes part in it.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A century: longer ages than this are written as `none`.
pub(super) const AGE_MAX: Duration = Duration::from_secs(36_525 * 86_400);
/// The store looks for what is too old once a second.
pub(super) const AGE_MIN: Duration = Duration::from_secs(1);

/// A stream must take the largest message there is.
pub(super) const STREAM_BYTES_MIN: u64 = FRAME_MAX as u64;
/// More than one disk holds.
pub(super) const STREAM_BYTES_MAX: u64 = 1 << 50;

/// A mailbox of a million is a stream, and belongs in one.
pub(super) const MAILBOX_CAPACITY_MAX: usize = 1_000_000;
/// Each agent may have this much in memory.
pub(super) const MAILBOX_BYTES_MAX: u64 = 1 << 30;

/// An agent works on one message at a time; tasks in hand beyond this only wait with a lease.
pub(super) const TASKS_PER_WORKER_MAX: usize = 1_024;

/// What is in hand is in the memory of whoever has it.
pub(super) const ACK_PENDING_MAX: usize = 1_000_000;
/// More than a store delivers.
pub(super) const RATE_MAX: u64 = 10_000_000;

/// JetStream keeps no more copies.
pub(super) const REPLICAS_MAX: usize = 5;
/// A request that waits longer outlives what it is for.
pub(super) const REQUEST_MAX: Duration = Duration::from_secs(60);

/// One that carries and one that takes its place, with three peers.
pub(super) const CONNECTIONS_MIN: usize = 8;
/// More than a process may have files.
pub(super) const CONNECTIONS_MAX: usize = 65_536;
/// A handshake and a hello pass in it.
pub(super) const CIRCUIT_BYTES_MIN: u64 = 64 << 10;
/// A link is up in less.
pub(super) const CIRCUIT_MIN: Duration = Duration::from_secs(1);
/// It is announced again after a third of it, to some twenty nodes.
pub(super) const ANNOUNCED_MIN: Duration = Duration::from_secs(30);
/// Whoever is gone is forgotten within it.
pub(super) const ANNOUNCED_MAX: Duration = Duration::from_secs(3_600);
/// A node that does nothing uses a quarter of it.
pub(super) const MEMORY_MIN: u64 = 64 << 20;
