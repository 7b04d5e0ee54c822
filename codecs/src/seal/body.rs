//! What is inside the seal of an envelope's body: the body, and what it is.
//!
//! ```text
//! [ content type: str, body: bin ]
//! ```
//!
//! Outside, an envelope with a sealed body has the content type [`ContentType::Sealed`]. What the body was, nobody on the
//! way needs to know. A body is compressed before it is sealed, and the envelope's encoding still says how.

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::envelope::ContentType;
use crate::wire::{DecodeError, Reader, Writer};

/// A body as it was before it was sealed.
///
/// ```
/// use connectome_codecs::ContentType;
/// use connectome_codecs::seal::SealedBody;
///
/// let inside = SealedBody::wrap(&ContentType::Text, b"a secret");
/// let body = SealedBody::unwrap(&inside)?;
/// assert_eq!((body.content_type, &body.body[..]), (ContentType::Text, &b"a secret"[..]));
/// # Ok::<(), connectome_codecs::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBody {
    /// What it is.
    pub content_type: ContentType,
    /// The body.
    pub body: Bytes,
}

impl SealedBody {
    /// The payload to seal. It is wiped when it goes.
    pub fn wrap(content_type: &ContentType, body: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(FRAMING_USUAL + body.len());
        out.array(2);
        out.text(content_type.as_str());
        out.bytes(body);
        Zeroizing::new(out.finish())
    }

    /// Reads what a seal held.
    ///
    /// # Errors
    /// When it is something else.
    pub fn unwrap(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        reader.list("sealed body", 2)?;
        let content_type = reader.text("content type")?.parse();
        let content_type = content_type
            .map_err(|error: crate::ParseError| DecodeError::field("content type", error.to_string()))?;
        let body = Bytes::copy_from_slice(reader.bytes("body")?);
        reader.end()?;
        Ok(Self { content_type, body })
    }
}

/// The usual content types and the framing fit.
const FRAMING_USUAL: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sealed_body_is_refused() {
        let whole = SealedBody::wrap(&ContentType::MessagePack, b"body");
        SealedBody::unwrap(&whole).unwrap();
        for cut in 0..whole.len() {
            SealedBody::unwrap(&whole[..cut]).unwrap_err();
        }
        SealedBody::unwrap(&[&whole[..], &[0]].concat()).unwrap_err();
    }
}
