//! Who comes first: rendezvous hashing, the same on every node and in every version.

use connectome_codecs::{AgentName, NodeId};

/// How many of `others` come before `me` when this name is to be taken. 0: it is `me` who takes it.
///
/// Each node weighs itself against each name (rendezvous hashing), so the names are spread evenly, and a node that
/// leaves or comes moves only the names that are its own.
///
/// ```
/// use connectome_actors::protocol::ownership::rank;
/// use connectome_codecs::NodeId;
///
/// let nodes: Vec<_> = (1..=3).map(|n| NodeId([n; 32])).collect();
/// let name = "billing".parse()?;
/// let mut ranks: Vec<_> = nodes.iter().map(|me| rank(&name, *me, nodes.iter().copied())).collect();
/// ranks.sort();
/// assert_eq!(ranks, [0, 1, 2]);
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
pub fn rank(name: &AgentName, me: NodeId, others: impl IntoIterator<Item = NodeId>) -> u32 {
    u32::try_from(before(name, me, others).count()).unwrap_or(u32::MAX)
}

/// Those of `others` that come before `me`.
pub(super) fn before(
    name: &AgentName,
    me: NodeId,
    others: impl IntoIterator<Item = NodeId>,
) -> impl Iterator<Item = NodeId> {
    let mine = (weight(name, me), me);
    others.into_iter().filter(move |other| (weight(name, *other), *other) > mine)
}

/// FNV-1a over both, and the finish of MurmurHash3, without which neighbouring names would go to the same node.
fn weight(name: &AgentName, node: NodeId) -> u64 {
    let bytes = name.as_str().bytes().chain(*node.as_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}
