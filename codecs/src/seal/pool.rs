//! A message to a name: any instance of it can open it, and nobody else.
//!
//! ```text
//! message   = 1 ‖ 2 (to a pool) ‖ 0 ‖ suite ‖ id: u32 ‖ sealed once to the pool's prekey, bound to the context's digest
//! plaintext = [ sender's certificate: bin, sent: ms, signature: bin 64, payload: bin ]
//! signature   over  rpk-sig ‖ hash of the prekey ‖ hash of the sender's certificate ‖ digest of the context
//!                   ‖ sent: u64 ‖ SHA-256(payload)
//! ```
//!
//! Its key lives as long as the prekey, so what is sent this way can be read by whoever gets hold of that, until it is
//! erased. Answer in a session, to the instance whose certificate came with it.
//!
//! The name by which a [`ReplayWindow`] knows a message is the hash of what was signed: an instance that opened it can't
//! seal it again for another one. The instances of a pool must share the window.

use bytes::Bytes;

use super::once::{Opener, Target};
use crate::id::{AgentId, UnixMillis};
use crate::identity::{Certificate, Directory, Instance, InstanceId, PoolKeys, PoolPrekey, check_version};
use crate::key::derive::{digest, hash};
use crate::key::{Digest, Entropy, Label};
use crate::refusal::Refusal;
use crate::session::header::kind;
use crate::session::{Context, PAYLOAD_MAX, ReplayWindow, SealError};
use crate::wire::{DecodeError, Reader, Writer};

const HEAD: usize = 8;
const WHAT: &str = "message to a pool";

/// Seals messages to a pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolMessage<'a> {
    /// The pool's prekey, verified.
    pub prekey: &'a PoolPrekey,
    /// Who sends it.
    pub sender: &'a Instance,
}

/// What was sealed to a pool. Take its name into the [`ReplayWindow`] together with whatever the payload leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedForPool {
    /// What was sealed.
    pub payload: Bytes,
    /// Who sealed it.
    pub from: (AgentId, InstanceId),
    /// The certificate that came with it.
    pub certificate: Certificate,
    /// The name by which a replay window knows it.
    pub name: [u8; 16],
    /// When it was sent, by the sender's clock.
    pub sent: UnixMillis,
}

impl PoolMessage<'_> {
    /// Seals a payload. Publish the same bytes again when no receipt comes.
    ///
    /// # Errors
    /// When the payload is too long, or the pool's prekey no longer holds or is worthless.
    pub fn seal(
        &self,
        context: &Context,
        payload: &[u8],
        sent: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Result<Bytes, SealError> {
        if payload.len() > PAYLOAD_MAX {
            return Err(SealError::TooLong { length: payload.len(), max: PAYLOAD_MAX });
        }
        let Self { prekey, sender } = *self;
        if prekey.not_after() <= sent {
            return Err(Refusal::BundleExpired.into());
        }
        let statement = statement(prekey, sender.certificate().hash(), context, sent, payload);
        let mut text = Writer::with_capacity(payload.len() + 1024);
        text.array(4);
        text.bytes(sender.certificate().bytes());
        text.uint(sent.0);
        text.bytes(&sender.keys().signing.sign(Label::PoolMessage, &[&statement]));
        text.bytes(payload);
        let target =
            Target { label: Label::PoolSeal, name: prekey.hash(), dh: prekey.dh(), kem: prekey.kem() };
        let bytes = target.seal(head(prekey), context.digest(), &text.finish(), entropy)?;
        Ok(bytes.into())
    }

    /// Opens what was sealed to a pool. Nothing changes.
    ///
    /// # Errors
    /// Says why it is not believed, and what becomes of it.
    pub fn open(
        keys: &PoolKeys,
        bytes: &[u8],
        context: &Context,
        window: &ReplayWindow,
        directory: &dyn Directory,
        now: UnixMillis,
    ) -> Result<OpenedForPool, Refusal> {
        let id = read_head(bytes)?;
        let secret = keys.get(id)?;
        let prekey = &secret.prekey;
        if bytes[..HEAD] != head(prekey)[..] {
            return Err(Refusal::UnsupportedSuite { suite: bytes[3].into() });
        }
        let kem = secret.kem.as_ref();
        let opener = Opener { label: Label::PoolSeal, name: prekey.hash(), dh: &secret.dh, kem };
        let text = opener.open(bytes, HEAD, context.digest())?;
        Text::read(&text)?.check(prekey, context, window, directory, now)
    }
}

struct Text {
    certificate: Bytes,
    sent: UnixMillis,
    signature: [u8; 64],
    payload: Bytes,
}

impl Text {
    fn read(text: &[u8]) -> Result<Self, Refusal> {
        let read = || {
            let mut reader = Reader::new(text);
            let later = reader.open(WHAT, 4)?;
            let text = Self {
                certificate: Bytes::copy_from_slice(reader.bytes("certificate")?),
                sent: UnixMillis(reader.uint("sent")?),
                signature: reader.exactly("signature")?,
                payload: Bytes::copy_from_slice(reader.bytes("payload")?),
            };
            reader.close(later)?;
            Ok(text)
        };
        read().map_err(Refusal::malformed(WHAT))
    }

    fn check(
        self,
        prekey: &PoolPrekey,
        context: &Context,
        window: &ReplayWindow,
        directory: &dyn Directory,
        now: UnixMillis,
    ) -> Result<OpenedForPool, Refusal> {
        let certificate = directory.verify(self.certificate, now)?;
        let statement = statement(prekey, certificate.hash(), context, self.sent, &self.payload);
        certificate.signing().verify(Label::PoolMessage, &[&statement], &self.signature)?;
        let name = *statement.first_chunk().expect("a hash has 32 bytes");
        window.check(&name, self.sent, now)?;
        let from = certificate.whose();
        Ok(OpenedForPool { payload: self.payload, from, certificate, name, sent: self.sent })
    }
}

fn statement(
    prekey: &PoolPrekey,
    certificate: &Digest,
    context: &Context,
    sent: UnixMillis,
    payload: &[u8],
) -> Digest {
    let payload = hash(&[payload]);
    let sent = sent.0.to_be_bytes();
    digest(Label::PoolMessage, &[prekey.hash(), certificate, context.digest(), &sent, &payload])
}

fn head(prekey: &PoolPrekey) -> Vec<u8> {
    let head = [1, kind::POOL, 0, prekey.suite().code() as u8];
    [head, prekey.id().to_be_bytes()].concat()
}

fn read_head(bytes: &[u8]) -> Result<u32, Refusal> {
    let malformed = Refusal::malformed(WHAT);
    let head: [u8; HEAD] = *bytes
        .first_chunk()
        .ok_or_else(|| malformed(DecodeError::Truncated { at: 0, needed: 8, left: bytes.len() }))?;
    check_version(WHAT, head[0].into())?;
    if head[1..3] != [kind::POOL, 0] {
        return Err(malformed(DecodeError::field("kind", "send 2 and no flags to a pool")));
    }
    let [_, id] = *head.as_chunks::<4>().0 else { return Err(Refusal::BadTag) };
    Ok(u32::from_be_bytes(id))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::identity::sample::{NOW, counting, instance};
    use crate::key::{Secret, SigningKey};

    /// Whoever can seal to a pool, which is everyone, can't say that somebody else did.
    #[test]
    fn a_message_is_from_whoever_signed_it() {
        let entropy = &mut counting();
        let (ada, eve, mut keys) = (instance(entropy), instance(entropy), PoolKeys::new());
        let boss = SigningKey::from_seed(&Secret::random(entropy));
        let week = Duration::from_secs(1_000);
        let prekey = keys.rotate(&boss, &"pool".parse().unwrap(), false, week, NOW, entropy);
        let (context, window) = (Context::from_bytes(Bytes::new()), ReplayWindow::new(week));
        for (signer, believed) in [(&ada, true), (&eve, false)] {
            let statement = statement(&prekey, ada.certificate().hash(), &context, NOW, b"payload");
            let mut text = Writer::with_capacity(1024);
            text.array(4);
            text.bytes(ada.certificate().bytes());
            text.uint(NOW.0);
            text.bytes(&signer.keys().signing.sign(Label::PoolMessage, &[&statement]));
            text.bytes(b"payload");
            let target = Target { label: Label::PoolSeal, name: prekey.hash(), dh: prekey.dh(), kem: None };
            let sealed = target.seal(head(&prekey), context.digest(), &text.finish(), entropy).unwrap();
            let opened = PoolMessage::open(&keys, &sealed, &context, &window, &BTreeMap::new(), NOW);
            assert_eq!(opened.is_ok(), believed);
        }
    }
}
