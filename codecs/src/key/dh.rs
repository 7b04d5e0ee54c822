//! X25519 (RFC 7748). A public key of small order, which would give everyone the same secret, is refused.

use std::fmt;

use x25519_dalek::{PublicKey, StaticSecret};

use super::{Entropy, Secret};
use crate::refusal::Refusal;

/// The public half, as it travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DhPublic(pub [u8; 32]);

/// The private half, with the public one beside it.
pub struct DhSecret {
    secret: Box<StaticSecret>,
    public: DhPublic,
}

impl DhSecret {
    /// A new one.
    pub fn random(entropy: &mut dyn Entropy) -> Self {
        Self::from_secret(&Secret::random(entropy))
    }

    /// One that is known already.
    pub fn from_secret(bytes: &Secret<32>) -> Self {
        let secret = Box::new(StaticSecret::from(*bytes.expose()));
        let public = DhPublic(PublicKey::from(&*secret).to_bytes());
        Self { secret, public }
    }

    /// The half that others may know.
    pub fn public(&self) -> DhPublic {
        self.public
    }

    /// The secret that both halves' holders have in common.
    ///
    /// # Errors
    /// [`Refusal::NonContributory`] when `theirs` would give the same secret to everyone.
    pub fn agree(&self, theirs: &DhPublic) -> Result<Secret<32>, Refusal> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(theirs.0));
        if !shared.was_contributory() {
            return Err(Refusal::NonContributory);
        }
        Ok(Secret::filled(|bytes| bytes.copy_from_slice(shared.as_bytes())))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.secret.as_bytes()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { secret: self.secret.clone(), public: self.public }
    }
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhSecret(..)")
    }
}
