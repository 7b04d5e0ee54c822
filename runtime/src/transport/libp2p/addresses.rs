//! What linked nodes tell each other of where nodes can be dialled, so that each comes to know all of a cluster.
//!
//! It is a hint and no more: whoever is dialled proves its key. The list is bounded on both sides; what does not fit is left
//! out, and told another time.

use bytes::{Buf, BufMut, Bytes};
use connectome_codecs::NodeId;
use libp2p::Multiaddr;

use super::address::{ADDRESS_BYTES_MAX, is_usable};
use super::wire::ADDRESSES_BYTES_MAX;

/// Nodes that are told of at once, at the most.
pub(super) const NODES_TOLD_MAX: usize = 64;

/// Addresses of one node that are told, kept and dialled: two ways, each over IPv4 and IPv6, and as many relays.
pub(super) const ADDRESSES_PER_NODE_MAX: usize = 8;

/// A node and where it can be dialled.
pub(super) type Known = (NodeId, Vec<Multiaddr>);

/// As many as fit.
pub(super) fn encode<'a>(known: impl IntoIterator<Item = &'a Known>) -> Vec<u8> {
    let mut out = Vec::new();
    for (node, addresses) in known.into_iter().take(NODES_TOLD_MAX) {
        let mut entry = node.as_bytes().to_vec();
        let fits = |address: &&Multiaddr| address.len() <= ADDRESS_BYTES_MAX;
        let addresses: Vec<_> = addresses.iter().filter(fits).take(ADDRESSES_PER_NODE_MAX).collect();
        entry.put_u8(addresses.len() as u8);
        for address in addresses {
            entry.put_u16(address.len() as u16);
            entry.put_slice(address.as_ref());
        }
        if out.len() + entry.len() <= ADDRESSES_BYTES_MAX {
            out.extend(entry);
        }
    }
    out
}

/// What was told. `None`: it is no such list. Addresses that we can't dial are left out.
pub(super) fn decode(mut rest: Bytes) -> Option<Vec<Known>> {
    let mut known = Vec::new();
    while rest.has_remaining() {
        let node = NodeId(*rest.first_chunk()?);
        rest.advance(32);
        let count = usize::from(rest.try_get_u8().ok()?);
        if count > ADDRESSES_PER_NODE_MAX || known.len() >= NODES_TOLD_MAX {
            return None;
        }
        let mut addresses = Vec::with_capacity(count);
        for _ in 0..count {
            addresses.extend(address(&mut rest)?);
        }
        known.push((node, addresses));
    }
    Some(known)
}

/// `Some(None)`: one that we can't dial.
fn address(rest: &mut Bytes) -> Option<Option<Multiaddr>> {
    let length = usize::from(rest.try_get_u16().ok()?);
    if length > ADDRESS_BYTES_MAX || length > rest.len() {
        return None;
    }
    let address = Multiaddr::try_from(rest.split_to(length).to_vec()).ok();
    Some(address.filter(is_usable))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(nodes: usize) -> Vec<Known> {
        let address = |port: usize| format!("/ip4/127.0.0.1/tcp/{}", port % 60_000 + 1).parse().unwrap();
        (0..nodes).map(|at| (NodeId([at as u8; 32]), vec![address(at), address(at + 1)])).collect()
    }

    #[test]
    fn what_is_told_is_heard_up_to_its_bounds() {
        let told = known(100);
        assert_eq!(decode(encode(&told).into()).unwrap(), told[..NODES_TOLD_MAX]);
        assert_eq!(decode(Bytes::new()).unwrap(), []);
    }

    #[test]
    fn addresses_that_lead_nowhere_are_left_out() {
        let told = vec![(NodeId([1; 32]), vec!["/memory/7".parse().unwrap()])];
        assert_eq!(decode(encode(&told).into()).unwrap(), [(NodeId([1; 32]), vec![])]);
    }

    proptest! {
        /// Any bytes are a list within its bounds, or none.
        #[test]
        fn rubbish_is_no_list(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            if let Some(known) = decode(bytes.into()) {
                prop_assert!(known.len() <= NODES_TOLD_MAX);
            }
        }
    }
}
