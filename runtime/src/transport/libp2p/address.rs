//! Where a node can be dialled: multiaddresses of a few kinds, with or without the node that must be there.

use connectome_codecs::NodeId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::options::Libp2pError;
use super::peer_key::node_of;

/// The longest address in bytes: a name of a host has at most 253.
pub(super) const ADDRESS_BYTES_MAX: usize = 300;

/// Where somebody can be dialled, and who that must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) address: Multiaddr,
    pub(super) node: Option<NodeId>,
}

/// Reads an address to listen at or to announce.
pub(super) fn parse(text: &str) -> Result<Multiaddr, Libp2pError> {
    let wrong = |problem: String| Libp2pError::Address { address: text.to_owned(), problem };
    let address: Multiaddr = text.trim().parse().map_err(|error| wrong(format!("{error}")))?;
    match is_usable(&address) {
        true => Ok(address),
        false => Err(wrong("it is not /ip4, /ip6 or /dns with /tcp or /udp/…/quic-v1".to_owned())),
    }
}

/// Reads an address to dial; it may end with `/p2p/` and a peer id.
pub(super) fn parse_target(text: &str) -> Result<Target, Libp2pError> {
    let wrong =
        |problem: &str| Libp2pError::Address { address: text.to_owned(), problem: problem.to_owned() };
    let mut address: Multiaddr =
        text.trim().parse().map_err(|error: libp2p::multiaddr::Error| wrong(&error.to_string()))?;
    let peer = take_peer(&mut address);
    let node = match peer {
        Some(peer) => Some(node_of(&peer).ok_or_else(|| wrong("its peer id is not an Ed25519 key"))?),
        None => None,
    };
    if !is_usable(&address) {
        return Err(wrong("it is not /ip4, /ip6 or /dns with /tcp or /udp/…/quic-v1"));
    }
    Ok(Target { address, node })
}

/// Reads a peer id.
///
/// # Errors
/// [`Libp2pError::Peer`].
pub(crate) fn parse_peer(text: &str) -> Result<NodeId, Libp2pError> {
    let peer: Option<PeerId> = text.trim().parse().ok();
    peer.and_then(|peer| node_of(&peer)).ok_or_else(|| Libp2pError::Peer { peer: text.to_owned() })
}

/// Whether a node can listen there.
pub(crate) fn check_address(text: &str) -> Result<(), Libp2pError> {
    parse(text).map(drop)
}

/// Whether a node can be dialled there.
pub(crate) fn check_target(text: &str) -> Result<(), Libp2pError> {
    parse_target(text).map(drop)
}

/// Takes the peer off the end of an address.
pub(super) fn take_peer(address: &mut Multiaddr) -> Option<PeerId> {
    let last = address.iter().last()?;
    let Protocol::P2p(peer) = last else { return None };
    address.pop();
    Some(peer)
}

/// Whether it says a host and one of our ways to it, and nothing else.
pub(super) fn is_usable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = matches!(
        parts.next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    );
    let way = match parts.next() {
        Some(Protocol::Tcp(_)) => true,
        Some(Protocol::Udp(_)) => matches!(parts.next(), Some(Protocol::QuicV1)),
        Some(_) | None => false,
    };
    host && way && parts.next().is_none() && address.len() <= ADDRESS_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_their_node() {
        let target = parse_target("/ip4/127.0.0.1/tcp/4001").unwrap();
        assert_eq!((target.address.to_string(), target.node), ("/ip4/127.0.0.1/tcp/4001".to_owned(), None));
        let with = "/ip6/::1/udp/4001/quic-v1/p2p/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7";
        let target = parse_target(with).unwrap();
        assert!(target.node.is_some() && target.address.to_string() == "/ip6/::1/udp/4001/quic-v1");
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_its_text() {
        for text in
            ["", "127.0.0.1:4001", "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/1", "/unix/a", "/ip4/1.2.3.4/tcp/1/ws"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("/ip4/0.0.0.0/tcp/4001"), "{error}");
            assert!(parse_target(text).is_err());
        }
    }
}
