//! Ed25519 (RFC 8032), strictly: no key of small order, no signature with a second form.

use std::fmt;

use ed25519_dalek::Signer;

use super::{Label, Secret, Signature};
use crate::id::AgentId;
use crate::refusal::Refusal;

/// What signs. It is wiped when it goes.
///
/// ```
/// use connectome_codecs::key::{Label, Secret, SigningKey};
///
/// let key = SigningKey::from_seed(&Secret::read(&[7; 32]).expect("32 bytes"));
/// let signature = key.sign(Label::Bundle, &[b"a", b"bundle"]);
/// assert!(key.verifying_key().verify(Label::Bundle, &[b"a bundle"], &signature).is_err());
/// assert!(key.verifying_key().verify(Label::Bundle, &[b"abundle"], &signature).is_ok());
/// assert!(key.verifying_key().verify(Label::Reset, &[b"abundle"], &signature).is_err());
/// assert_eq!(format!("{key:?}"), "SigningKey(..)");
/// ```
pub struct SigningKey(Box<ed25519_dalek::SigningKey>);

impl SigningKey {
    /// The key of a seed, as RFC 8032, section 5.1.5, has it.
    pub fn from_seed(seed: &Secret<32>) -> Self {
        Self(Box::new(ed25519_dalek::SigningKey::from_bytes(seed.expose())))
    }

    /// Signs the label and the parts, one after the other. Parts whose lengths vary are hashed or counted by the caller.
    pub fn sign(&self, label: Label, parts: &[&[u8]]) -> Signature {
        self.0.sign(&preimage(label, parts)).to_bytes()
    }

    /// What checks its signatures.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    pub(crate) fn seed(&self) -> Secret<32> {
        Secret::filled(|bytes| bytes.copy_from_slice(self.0.as_bytes()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// What checks signatures: a point of the curve, and not one of the few that fit every signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// # Errors
    /// [`Refusal::WeakKey`] when the bytes are no point of the curve, or one of small order.
    pub fn read(what: &'static str, bytes: &[u8; 32]) -> Result<Self, Refusal> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak());
        key.map(Self).ok_or(Refusal::WeakKey { what })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// # Errors
    /// [`Refusal::BadSignature`] when the signature is not this key's over this label and these parts.
    pub fn verify(&self, label: Label, parts: &[&[u8]], signature: &Signature) -> Result<(), Refusal> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        let verified = self.0.verify_strict(&preimage(label, parts), &signature);
        verified.map_err(|_| Refusal::BadSignature { label })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", AgentId(*self.as_bytes()).short())
    }
}

fn preimage(label: Label, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + label.bytes().len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(label.bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signature whose `R` is of small order fits the equation, and is refused: it has other forms, and hides nothing of
    /// its key.
    #[test]
    fn a_signature_with_an_r_of_small_order_is_refused() {
        let key = SigningKey::from_seed(&Secret::read(&[7; 32]).unwrap()).verifying_key();
        // R is the neutral element, and S is SHA-512(R ‖ key ‖ message) times the private scalar.
        let mut signature = [0; 64];
        signature[0] = 1;
        let s = "e03f93aee97138766bc467963198f1ddda96c0ed2bf1f4640cca448886f0170b";
        for (at, byte) in signature[32..].iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * at..2 * at + 2], 16).unwrap();
        }
        let loosely = ed25519_dalek::Signature::from_bytes(&signature);
        let message = preimage(Label::Bundle, &[b"a bundle"]);
        assert!(ed25519_dalek::Verifier::verify(&key.0, &message, &loosely).is_ok(), "the control");
        assert!(key.verify(Label::Bundle, &[b"a bundle"], &signature).is_err());
    }
}
