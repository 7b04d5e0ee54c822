//! Shards: the partitions that agents and tasks are spread over by a stable hash, the same on every node and in every version.

/// Partitions of a cluster that does not say otherwise.
pub const SHARDS: usize = 16;

/// The most there may be: a task's shard is made of one byte.
pub const SHARDS_MAX: usize = 256;

/// The partition of a name: FNV-1a over its bytes, modulo the number of partitions.
///
/// ```
/// use connectome_actors::protocol::shard::shard_of;
///
/// assert_eq!(shard_of("greeter", 16), 13);
/// assert_eq!(shard_of("greeter", 1), 0);
/// ```
pub fn shard_of(name: &str, shards: usize) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    (hash % shards.max(1) as u64) as usize
}
