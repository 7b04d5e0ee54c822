//! One announcement: a node says, signed and for a while, that it has what a key stands for, and where it can be dialled.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use connectome_codecs::key::Label;
use connectome_codecs::{NodeId, UnixMillis};
use libp2p::Multiaddr;
use libp2p::identity::ed25519;

use super::subject::Key;
use crate::transport::libp2p::address::{ADDRESS_BYTES_MAX, is_usable};
use crate::transport::libp2p::addresses::ADDRESSES_PER_NODE_MAX;
use crate::transport::libp2p::peer_key::PeerKey;
use crate::transport::libp2p::secret::ClusterSecret;

/// The longest that an announcement may last: who is gone is forgotten by everybody after that.
pub const ANNOUNCED_FOR_MAX: Duration = Duration::from_secs(3_600);

/// How far clocks may differ.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// One announcement in bytes: eight addresses as they usually are, and all the rest.
pub(super) const ANNOUNCEMENT_BYTES_MAX: usize = 1_024;

const HAS_PROOF: u8 = 1;
const IS_GONE: u8 = 2;

const PROOF_LABEL: &[u8] = b"connectome/libp2p/announcer/v1\0";

const SIGNATURE_BYTES: usize = 64;

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) node: NodeId,
    pub(super) signed_at: UnixMillis,
    pub(super) until: UnixMillis,
    /// The node takes back what it has announced.
    pub(super) is_gone: bool,
    proof: Option<[u8; 32]>,
    pub(super) addresses: Vec<Multiaddr>,
    /// As it travels, without its length.
    bytes: Bytes,
}

/// Why an announcement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disbelief {
    /// Its node has not signed it for this key.
    Forged,
    /// It is over.
    Stale,
    /// It was signed in the future, or lasts too long.
    Premature,
}

/// What is to be announced.
pub(super) struct Said {
    pub(super) signed_at: UnixMillis,
    pub(super) until: UnixMillis,
    pub(super) is_gone: bool,
    pub(super) addresses: Vec<Multiaddr>,
}

impl Announcement {
    /// Signs it; addresses that do not fit are left out.
    pub(super) fn sign(
        node: &PeerKey,
        key: &Key,
        secret: Option<&ClusterSecret>,
        said: Said,
    ) -> Announcement {
        let Said { signed_at, until, is_gone, addresses } = said;
        let proof = secret.map(|secret| prove(secret, key, node.node_id(), signed_at, until));
        let mut out = node.node_id().as_bytes().to_vec();
        out.put_u64(signed_at.0);
        out.put_u64(until.0);
        out.put_u8(if proof.is_some() { HAS_PROOF } else { 0 } | if is_gone { IS_GONE } else { 0 });
        out.extend(proof.iter().flatten());
        let addresses = put_addresses(&mut out, addresses);
        let signature = node.sign(&[Label::Announcement.bytes(), key, &out]);
        out.put_slice(&signature);
        Announcement { node: node.node_id(), signed_at, until, is_gone, proof, addresses, bytes: out.into() }
    }

    /// Reads one; whether it is to be believed is another question. `None`: it is none.
    pub(super) fn read(bytes: Bytes) -> Option<Announcement> {
        let body = bytes.len().checked_sub(SIGNATURE_BYTES)?;
        if bytes.len() > ANNOUNCEMENT_BYTES_MAX {
            return None;
        }
        let mut rest = bytes.slice(..body);
        let node = NodeId(*rest.first_chunk()?);
        rest.advance(32);
        let (signed_at, until) = (rest.try_get_u64().ok()?, rest.try_get_u64().ok()?);
        let flags = rest.try_get_u8().ok()?;
        let proof = match flags & HAS_PROOF {
            0 => None,
            _ => {
                let proof: [u8; 32] = *rest.first_chunk()?;
                rest.advance(32);
                Some(proof)
            }
        };
        let addresses = addresses(&mut rest)?;
        let is_whole = flags & !(HAS_PROOF | IS_GONE) == 0 && rest.is_empty();
        let (signed_at, until) = (UnixMillis(signed_at), UnixMillis(until));
        let is_gone = flags & IS_GONE != 0;
        is_whole.then_some(Announcement { node, signed_at, until, is_gone, proof, addresses, bytes })
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether it is to be believed now, by everybody.
    pub(super) fn check(&self, key: &Key, now: UnixMillis) -> Result<(), Disbelief> {
        if self.is_over(now) {
            return Err(Disbelief::Stale);
        }
        let lasts = self.until.since(self.signed_at);
        if self.signed_at > now.after(SKEW_MAX) || lasts > ANNOUNCED_FOR_MAX {
            return Err(Disbelief::Premature);
        }
        let (body, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_BYTES);
        let signed = [Label::Announcement.bytes(), key, body].concat();
        let node = ed25519::PublicKey::try_from_bytes(self.node.as_bytes());
        match node.is_ok_and(|node| node.verify(&signed, signature)) {
            true => Ok(()),
            false => Err(Disbelief::Forged),
        }
    }

    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        self.until <= now
    }

    /// Whether its node knows the secret.
    pub(super) fn is_of_member(&self, key: &Key, secret: &ClusterSecret) -> bool {
        let parts = statement(key, self.node, self.signed_at, self.until);
        self.proof.is_some_and(|proof| secret.is_mac_of(&proof, &[PROOF_LABEL, &parts]))
    }
}

fn prove(
    secret: &ClusterSecret,
    key: &Key,
    node: NodeId,
    signed_at: UnixMillis,
    until: UnixMillis,
) -> [u8; 32] {
    secret.mac_of(&[PROOF_LABEL, &statement(key, node, signed_at, until)])
}

fn statement(key: &Key, node: NodeId, signed_at: UnixMillis, until: UnixMillis) -> Vec<u8> {
    [&key[..], node.as_bytes(), &signed_at.0.to_be_bytes(), &until.0.to_be_bytes()].concat()
}

/// Puts as many as fit, and says which.
fn put_addresses(out: &mut Vec<u8>, mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut left = ANNOUNCEMENT_BYTES_MAX - SIGNATURE_BYTES - out.len() - 1;
    addresses.retain(|address| {
        let fits = address.len() <= ADDRESS_BYTES_MAX && address.len() + 2 <= left;
        left -= if fits { address.len() + 2 } else { 0 };
        fits
    });
    addresses.truncate(ADDRESSES_PER_NODE_MAX);
    out.put_u8(addresses.len() as u8);
    for address in &addresses {
        out.put_u16(address.len() as u16);
        out.put_slice(address.as_ref());
    }
    addresses
}

/// Those that we can dial.
fn addresses(rest: &mut Bytes) -> Option<Vec<Multiaddr>> {
    let count = usize::from(rest.try_get_u8().ok()?);
    if count > ADDRESSES_PER_NODE_MAX {
        return None;
    }
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let length = usize::from(rest.try_get_u16().ok()?);
        if length > ADDRESS_BYTES_MAX || length > rest.len() {
            return None;
        }
        let address = Multiaddr::try_from(rest.split_to(length).to_vec()).ok();
        addresses.extend(address.filter(is_usable));
    }
    Some(addresses)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const KEY: Key = [9; 32];
    pub(crate) const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    pub(crate) fn node(at: u8) -> PeerKey {
        PeerKey::from_seed(&mut [at; 32])
    }

    pub(crate) fn said(signed_at: UnixMillis, lasts: Duration) -> Said {
        let addresses = vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()];
        Said { signed_at, until: signed_at.after(lasts), is_gone: false, addresses }
    }

    fn announced() -> Announcement {
        let secret = ClusterSecret::new(&[7; 32]).unwrap();
        Announcement::sign(&node(1), &KEY, Some(&secret), said(NOW, Duration::from_secs(300)))
    }

    #[test]
    fn what_is_signed_is_read_and_believed_for_a_while() {
        let announced = announced();
        assert_eq!(Announcement::read(announced.bytes().clone()), Some(announced.clone()));
        assert_eq!(announced.check(&KEY, NOW), Ok(()));
        assert_eq!(announced.check(&[8; 32], NOW), Err(Disbelief::Forged));
        assert_eq!(announced.check(&KEY, NOW.after(Duration::from_secs(300))), Err(Disbelief::Stale));
        assert!(announced.is_of_member(&KEY, &ClusterSecret::new(&[7; 32]).unwrap()));
        assert!(!announced.is_of_member(&KEY, &ClusterSecret::new(&[6; 32]).unwrap()));
    }

    /// A node whose clock is ahead, or that wants to be remembered for ever, is not believed.
    #[test]
    fn the_future_is_not_believed() {
        let signed = |at, lasts| Announcement::sign(&node(1), &KEY, None, said(at, lasts)).check(&KEY, NOW);
        assert_eq!(signed(NOW.after(SKEW_MAX), ANNOUNCED_FOR_MAX), Ok(()));
        assert_eq!(signed(NOW.after(SKEW_MAX * 2), ANNOUNCED_FOR_MAX), Err(Disbelief::Premature));
        assert_eq!(signed(NOW, ANNOUNCED_FOR_MAX + SKEW_MAX), Err(Disbelief::Premature));
    }

    /// As many addresses as fit, whatever their lengths.
    #[test]
    fn an_announcement_stays_within_its_bound() {
        let long = |at: usize| format!("/dns/{}/tcp/{at}", "a".repeat(240)).parse().unwrap();
        let said = Said { addresses: (1..20).map(long).collect(), ..said(NOW, ANNOUNCED_FOR_MAX) };
        let announced = Announcement::sign(&node(1), &KEY, None, said);
        assert!(announced.bytes().len() <= ANNOUNCEMENT_BYTES_MAX && announced.addresses.len() == 3);
        assert_eq!(Announcement::read(announced.bytes().clone()), Some(announced));
    }

    proptest! {
        /// Whatever bit is turned, it is not believed.
        #[test]
        fn a_changed_bit_is_noticed(at in 0..announced().bytes().len() * 8) {
            let mut bytes = announced().bytes().to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            let read = Announcement::read(bytes.into());
            prop_assert!(read.is_none_or(|read| read.check(&KEY, NOW).is_err()));
        }

        /// Any bytes are read, or refused.
        #[test]
        fn rubbish_is_no_announcement(bytes in proptest::collection::vec(any::<u8>(), 0..1_200)) {
            if let Some(read) = Announcement::read(bytes.into()) {
                prop_assert!(read.check(&KEY, NOW).is_err());
            }
        }
    }
}
