//! One message to the holder of a prekey, by whoever has its public half.
//!
//! ```text
//! sealed = EK: 32 ‖ [ ct: 1088 ] ‖ nonce: 12 ‖ AES-256-GCM ‖ tag
//! PRK    = HKDF-Extract( salt = 32 zero bytes, input = 32 bytes 0xff ‖ DH(EK, prekey) [ ‖ ss ] )
//! key    = HKDF-Expand( PRK, label ‖ SHA-256( name of the prekey ‖ EK ‖ ct ), 32 )
//! associated data = label ‖ what the caller binds it to
//! ```
//!
//! The name is the hash of the signed thing that holds the prekey, so a key that was put in its place opens nothing.

use crate::key::derive::{expand, extract, hash};
use crate::key::{
    DhPublic, DhSecret, Digest, Encapsulated, Entropy, KemPublic, KemSecret, Label, Secret, aead,
    public_random,
};
use crate::refusal::Refusal;

/// A prekey's public half.
pub(crate) struct Target<'a> {
    pub(crate) label: Label,
    pub(crate) name: &'a Digest,
    pub(crate) dh: &'a DhPublic,
    pub(crate) kem: Option<&'a KemPublic>,
}

/// A prekey's private half.
pub(crate) struct Opener<'a> {
    pub(crate) label: Label,
    pub(crate) name: &'a Digest,
    pub(crate) dh: &'a DhSecret,
    pub(crate) kem: Option<&'a KemSecret>,
}

impl Target<'_> {
    /// Appends the sealed text to `out`, whose bytes so far it is bound to.
    pub(crate) fn seal(
        &self,
        mut out: Vec<u8>,
        bound: &[u8],
        text: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, Refusal> {
        let associated = [self.label.bytes(), &out, bound].concat();
        let ephemeral = DhSecret::random(entropy);
        let agreed = ephemeral.agree(self.dh)?;
        let (ciphertext, shared) = self.kem.map(|kem| kem.encapsulate(entropy)).unzip();
        let ciphertext =
            ciphertext.as_ref().map_or(&[][..], |ciphertext: &Encapsulated| ciphertext.as_bytes());
        let key = derive(self.label, self.name, &ephemeral.public(), ciphertext, &agreed, shared.as_ref());
        let nonce = public_random(entropy);
        out.extend_from_slice(&ephemeral.public().0);
        out.extend_from_slice(ciphertext);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(text);
        aead::seal(key.expose(), &nonce, &associated, &mut out, start);
        Ok(out)
    }
}

impl Opener<'_> {
    /// The text behind the first `from` bytes.
    pub(crate) fn open(&self, bytes: &[u8], from: usize, bound: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (head, rest) = bytes.split_at_checked(from).ok_or(Refusal::BadTag)?;
        let associated = [self.label.bytes(), head, bound].concat();
        let (ephemeral, rest) = rest.split_first_chunk::<32>().ok_or(Refusal::BadTag)?;
        let ephemeral = DhPublic(*ephemeral);
        let length = if self.kem.is_some() { Encapsulated::LENGTH } else { 0 };
        let (ciphertext, rest) = rest.split_at_checked(length).ok_or(Refusal::BadTag)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or(Refusal::BadTag)?;
        let agreed = self.dh.agree(&ephemeral)?;
        let shared = self.kem.zip(Encapsulated::read(ciphertext)).map(|(kem, ct)| kem.decapsulate(&ct));
        let key = derive(self.label, self.name, &ephemeral, ciphertext, &agreed, shared.as_ref());
        aead::open(key.expose(), nonce, &associated, sealed).ok_or(Refusal::BadTag)
    }
}

fn derive(
    label: Label,
    name: &Digest,
    ephemeral: &DhPublic,
    ciphertext: &[u8],
    agreed: &Secret<32>,
    shared: Option<&Secret<32>>,
) -> Secret<32> {
    let mut input = zeroize::Zeroizing::new([0xff; 96]);
    input[32..64].copy_from_slice(agreed.expose());
    let length = shared.map_or(64, |shared| {
        input[64..].copy_from_slice(shared.expose());
        96
    });
    let key = extract(&[0; 32], &input[..length]);
    let (key, _) = expand::<32, 0>(&key, label, &hash(&[name, &ephemeral.0, ciphertext]));
    key
}
