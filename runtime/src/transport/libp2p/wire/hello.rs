//! The first unit of a link: which life of a node this is, to which cluster it belongs, and how much it lets others send.

use bytes::{Buf, BufMut, Bytes};

/// The longest name of a namespace.
const NAMESPACE_BYTES_MAX: usize = 64;

/// What shows that somebody is a member.
pub(in super::super) type Proof = [u8; 32];

/// The first unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Hello {
    /// Random for each life of a node.
    pub(in super::super) incarnation: u64,
    /// Frames that may be under way to the sender of this.
    pub(in super::super) window_frames: u32,
    /// Bytes of small frames, and as many of large ones, that may be.
    pub(in super::super) window_bytes: u32,
    /// The cluster.
    pub(in super::super) namespace: String,
    /// That the sender knows the cluster's secret.
    pub(in super::super) proof: Option<Proof>,
}

impl Hello {
    pub(in super::super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.namespace.len());
        out.put_u64(self.incarnation);
        out.put_u32(self.window_frames);
        out.put_u32(self.window_bytes);
        out.put_u8(self.namespace.len() as u8);
        out.put_slice(self.namespace.as_bytes());
        out.put_u8(u8::from(self.proof.is_some()));
        out.put_slice(self.proof.as_ref().map_or(&[], |proof| proof));
        out
    }

    /// `None`: it is no hello. What a later version adds behind it is left.
    pub(in super::super) fn decode(mut rest: Bytes) -> Option<Hello> {
        let incarnation = rest.try_get_u64().ok()?;
        let window_frames = rest.try_get_u32().ok()?;
        let window_bytes = rest.try_get_u32().ok()?;
        let length = usize::from(rest.try_get_u8().ok()?);
        if length > NAMESPACE_BYTES_MAX || length > rest.len() {
            return None;
        }
        let namespace = String::from_utf8(rest.split_to(length).into()).ok()?;
        let proof = match rest.try_get_u8().ok()? {
            0 => None,
            1 => Some(rest.first_chunk().copied()?),
            _ => return None,
        };
        Some(Hello { incarnation, window_frames, window_bytes, namespace, proof })
    }
}
