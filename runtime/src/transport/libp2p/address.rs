//! Where a node can be dialled: multiaddresses of a few kinds, with or without the node that must be there.

use connectome_codecs::NodeId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::options::Libp2pError;
use super::peer_key::{node_of, peer_of};

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
    match is_direct(&address) {
        true => Ok(address),
        false => Err(wrong("it is not /ip4, /ip6 or /dns with /tcp or /udp/…/quic-v1".to_owned())),
    }
}

/// Reads an address to dial; it may end with `/p2p/` and a peer id, and one through a relay must.
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
    if node.is_none() && is_relayed(&address) {
        return Err(wrong("behind a relay there may be many: it does not end with /p2p/ and a peer id"));
    }
    Ok(Target { address, node })
}

/// Reads the address of a relay: a direct one that says who must be there. The answer is where this node is reached over it,
/// and who the relay is.
pub(super) fn parse_relay(text: &str) -> Result<(Multiaddr, NodeId), Libp2pError> {
    let wrong =
        |problem: &str| Libp2pError::Address { address: text.to_owned(), problem: problem.to_owned() };
    let Target { address, node } = parse_target(text)?;
    let node = node.ok_or_else(|| wrong("a relay's address ends with /p2p/ and its peer id"))?;
    let relay = peer_of(node).ok_or_else(|| wrong("its peer id is no key"))?;
    match is_relayed(&address) {
        true => Err(wrong("a relay is not reached over another one")),
        false => Ok((address.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit), node)),
    }
}

/// Reads a peer id.
///
/// # Errors
/// [`Libp2pError::Peer`].
pub(crate) fn parse_peer(text: &str) -> Result<NodeId, Libp2pError> {
    let peer: Option<PeerId> = text.trim().parse().ok();
    peer.and_then(|peer| node_of(&peer)).ok_or_else(|| Libp2pError::Peer { peer: text.to_owned() })
}

/// Reads who must be at the end of an address.
///
/// # Errors
/// [`Libp2pError::Address`] when it does not say.
pub(crate) fn parse_peer_at(text: &str) -> Result<NodeId, Libp2pError> {
    let problem = "it does not end with /p2p/ and the peer id of who must be there".to_owned();
    parse_target(text)?.node.ok_or_else(|| Libp2pError::Address { address: text.to_owned(), problem })
}

/// Whether a node can listen there.
pub(crate) fn check_address(text: &str) -> Result<(), Libp2pError> {
    parse(text).map(drop)
}

/// Whether a node can be dialled there.
pub(crate) fn check_target(text: &str) -> Result<(), Libp2pError> {
    parse_target(text).map(drop)
}

/// Whether it is where a relay can be dialled.
pub(crate) fn check_relay(text: &str) -> Result<(), Libp2pError> {
    parse_relay(text).map(drop)
}

/// Takes the peer off the end of an address.
pub(super) fn take_peer(address: &mut Multiaddr) -> Option<PeerId> {
    let last = address.iter().last()?;
    let Protocol::P2p(peer) = last else { return None };
    address.pop();
    Some(peer)
}

/// Whether it leads over a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// The relay that an address leads over.
pub(super) fn relay_of(address: &Multiaddr) -> Option<NodeId> {
    let mut way = address.clone();
    match way.pop() {
        Some(Protocol::P2pCircuit) => take_peer(&mut way).and_then(|relay| node_of(&relay)),
        Some(_) | None => None,
    }
}

/// Whether a node can be dialled there: directly, or over one relay that is reached directly.
pub(super) fn is_usable(address: &Multiaddr) -> bool {
    let mut way = address.clone();
    if is_relayed(address) {
        let ends = [way.pop(), way.pop()];
        if !matches!(ends, [Some(Protocol::P2pCircuit), Some(Protocol::P2p(_))]) {
            return false;
        }
    }
    is_direct(&way) && address.len() <= ADDRESS_BYTES_MAX
}

/// Whether it says a host and one of our ways to it, and nothing else.
fn is_direct(address: &Multiaddr) -> bool {
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
    fn a_relay_stands_before_its_circuit() {
        let (relay, bob) = (
            "/ip4/1.2.3.4/tcp/4001/p2p/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7",
            "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
        );
        let (circuit, node) = parse_relay(relay).unwrap();
        assert_eq!(circuit.to_string(), format!("{relay}/p2p-circuit"));
        assert_eq!(relay_of(&circuit), Some(node));
        let target = parse_target(&format!("{circuit}/p2p/{bob}")).unwrap();
        assert_eq!((target.address, target.node), (circuit.clone(), Some(parse_peer(bob).unwrap())));
        assert!(parse(&circuit.to_string()).is_err(), "nobody listens there");
        assert!(parse_target(&circuit.to_string()).is_err(), "it does not say who is there");
        for wrong in [format!("{circuit}/p2p/{bob}"), "/ip4/1.2.3.4/tcp/4001".to_owned()] {
            assert!(parse_relay(&wrong).is_err(), "{wrong}");
        }
        assert!(!is_usable(&"/p2p-circuit".parse().unwrap()));
        assert!(
            !is_usable(&format!("{circuit}/p2p/{bob}/p2p-circuit").parse().unwrap()),
            "one relay, not two"
        );
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
