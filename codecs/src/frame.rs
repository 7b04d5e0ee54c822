//! What one node hands to the transport for another one: a sealed message, or what two nodes need before they can seal.
//!
//! ```text
//! frame = 1 ‖ 1 ‖ …                          a session's message: see the session's header
//!       | 1 ‖ 4 ‖ …                          a request about a session
//!       | 1 ‖ 5 ‖ hash of my bundle: 32      I am here, with these prekeys
//!       | 1 ‖ 6 ‖ 0 or 1 ‖ my bundle         these are my prekeys; 1: and I would like yours
//!       | 1 ‖ 7 ‖ envelope                   in the open: between nodes that were told not to seal
//! ```
//!
//! The first byte is the version, the second says what it is. Nothing here is believed: a bundle is verified, a sealed message
//! is opened, by whoever has the keys.

use bytes::{BufMut, Bytes, BytesMut};

use crate::identity::{BUNDLE_MAX, check_version};
use crate::key::Digest;
use crate::refusal::Refusal;
use crate::session::header::kind;
use crate::wire::DecodeError;

const WHAT: &str = "frame";
const HEAD: usize = 2;

/// What one node hands to the transport for another one.
///
/// ```
/// use connectome_codecs::frame::Frame;
///
/// let here = Frame::Here([7; 32]);
/// assert_eq!(Frame::decode(here.encode())?, here);
/// assert!(Frame::decode("hello".into()).is_err());
/// # Ok::<(), connectome_codecs::Refusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message of a session, whole.
    Sealed(Bytes),
    /// A request about a session, whole.
    Request(Bytes),
    /// The sender is there; this is the hash of its bundle, for those who do not have it.
    Here(Digest),
    /// The sender's bundle.
    Hello {
        /// Its bytes, to be verified.
        bundle: Bytes,
        /// Whether the sender would like the receiver's.
        asks: bool,
    },
    /// An envelope that nobody sealed.
    Open(Bytes),
}

impl Frame {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Sealed(bytes) | Self::Request(bytes) => bytes.clone(),
            Self::Here(hash) => with_head(kind::HERE, &[], hash),
            Self::Hello { bundle, asks } => with_head(kind::HELLO, &[u8::from(*asks)], bundle),
            Self::Open(envelope) => with_head(kind::OPEN, &[], envelope),
        }
    }

    /// Reads a frame that anyone may have sent. What is in it is not looked at.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] or [`Refusal::UnsupportedVersion`] when it is no such frame.
    pub fn decode(frame: Bytes) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let &[version, what] = frame.first_chunk::<HEAD>().ok_or_else(|| malformed(short(&frame, HEAD)))?;
        check_version(WHAT, version.into())?;
        match what {
            kind::MESSAGE => Ok(Self::Sealed(frame)),
            kind::REQUEST => Ok(Self::Request(frame)),
            kind::HERE => match frame[HEAD..].try_into() {
                Ok(hash) => Ok(Self::Here(hash)),
                Err(_) => {
                    Err(malformed(DecodeError::field("hash", format!("{} bytes; send 32", frame.len() - 2))))
                }
            },
            kind::HELLO => read_hello(&frame).map_err(malformed),
            kind::OPEN => Ok(Self::Open(frame.slice(HEAD..))),
            other => Err(malformed(DecodeError::field("kind", format!("{other}; send 1 or 4 to 7")))),
        }
    }
}

fn read_hello(frame: &Bytes) -> Result<Frame, DecodeError> {
    let asks = match frame.get(HEAD) {
        Some(0) => false,
        Some(1) => true,
        Some(other) => return Err(DecodeError::field("asks", format!("{other}; send 0 or 1"))),
        None => return Err(short(frame, HEAD + 1)),
    };
    let bundle = frame.slice(HEAD + 1..);
    if bundle.len() > BUNDLE_MAX {
        return Err(DecodeError::TooLong { what: "bundle", length: bundle.len(), max: BUNDLE_MAX });
    }
    Ok(Frame::Hello { bundle, asks })
}

fn with_head(what: u8, more: &[u8], rest: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + more.len() + rest.len());
    bytes.put_slice(&[1, what]);
    bytes.put_slice(more);
    bytes.put_slice(rest);
    bytes.freeze()
}

fn short(frame: &[u8], needed: usize) -> DecodeError {
    DecodeError::Truncated { at: 0, needed: needed as u64, left: frame.len() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each frame has one form, and what was read is written again byte for byte.
    #[test]
    fn a_frame_comes_back_as_it_went() {
        let frames = [
            Frame::Here([9; 32]),
            Frame::Hello { bundle: "bundle".into(), asks: true },
            Frame::Hello { bundle: Bytes::new(), asks: false },
            Frame::Open("envelope".into()),
            Frame::Sealed(Bytes::from_static(&[1, 1, 9])),
            Frame::Request(Bytes::from_static(&[1, 4, 9])),
        ];
        for frame in frames {
            assert_eq!(Frame::decode(frame.encode()).unwrap(), frame);
        }
    }

    proptest! {
        /// Arbitrary bytes are a frame of one form, or refused.
        #[test]
        fn any_bytes_are_one_frame_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = Frame::decode(bytes.clone()) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }
    }
}
