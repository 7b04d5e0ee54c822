//! Who an agent is, as a line of text to hand around: its certificate, and the log of its keys where it has one.
//!
//! ```text
//! card: "connectome-id-1:", then base 58 of [ 1, certificate: bin, log: bin, empty where there is none ]
//! ```
//!
//! It holds nothing secret. Whether it is the right one's is for people to find out: by comparing
//! [fingerprints](AgentId::fingerprint) on another way.

use bytes::Bytes;

use super::certificate::{CERTIFICATE_MAX, Certificate};
use super::check_version;
use super::log::IdentityLog;
use crate::id::{AgentId, UnixMillis};
use crate::key::derive::hash;
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

const WHAT: &str = "card";

/// With what the line begins.
const BEGINS: &str = "connectome-id-1:";

/// The longest line: base 58 of the longest certificate and a log of all the revocations and keys there may be.
const LINE_MAX: usize = 24 * 1024;

/// A certificate and the log of its agent's keys. One that is here was verified.
///
/// ```
/// use connectome_codecs::identity::{Card, Certificate, Claims, InstanceId, InstanceKeys};
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::{AgentId, UnixMillis};
/// use std::time::Duration;
///
/// let entropy = &mut |bytes: &mut [u8]| bytes.fill(7); // the system's randomness, in earnest
/// let agent = SigningKey::from_seed(&Secret::read(&[1; 32]).unwrap());
/// let (id, keys) = (AgentId(*agent.verifying_key().as_bytes()), InstanceKeys::random(entropy));
/// let (now, name) = (UnixMillis(1_000), "greeter".parse()?);
/// let claims = Claims::of_keys(id, name, InstanceId([2; 16]), &keys, now, Duration::from_secs(60));
/// let card = Card::new(Certificate::issue(&claims, &agent, &keys, &[]), None)?;
///
/// let read = Card::read(&card.to_string(), now)?;
/// assert_eq!(read.certificate().claims().agent.fingerprint(), id.fingerprint());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    certificate: Certificate,
    log: Option<IdentityLog>,
}

impl Card {
    /// # Errors
    /// [`Refusal::Revoked`] when the log takes this certificate back, [`Refusal::IdentityMismatch`] when it is another agent's.
    pub fn new(certificate: Certificate, log: Option<IdentityLog>) -> Result<Self, Refusal> {
        IdentityLog::signer(log.as_ref(), certificate.claims().agent, certificate.claims().serial)?;
        Ok(Self { certificate, log })
    }

    /// Reads a line that anyone may have written.
    ///
    /// # Errors
    /// Says which part or signature does not hold, or that the certificate's time is over.
    pub fn read(line: &str, now: UnixMillis) -> Result<Self, Refusal> {
        let bytes = unarmoured(line.trim()).map_err(Refusal::malformed(WHAT))?;
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(&bytes);
        let later = reader.open(WHAT, 3).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let certificate = reader.bytes("certificate").map(Bytes::copy_from_slice).map_err(&malformed)?;
        let log = reader.bytes("log").map(Bytes::copy_from_slice).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        let log = if log.is_empty() { None } else { Some(IdentityLog::verify(log)?) };
        Ok(Self { certificate: Certificate::verify(certificate, log.as_ref(), now)?, log })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The log of the agent's keys.
    pub fn log(&self) -> Option<&IdentityLog> {
        self.log.as_ref()
    }
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let log = self.log.as_ref().map(|log| log.bytes().clone()).unwrap_or_default();
        let mut out = Writer::with_capacity(CERTIFICATE_MAX);
        out.array(3);
        out.uint(1);
        out.bytes(self.certificate.bytes());
        out.bytes(&log);
        write!(f, "{BEGINS}{}", bs58::encode(out.finish()).into_string())
    }
}

fn unarmoured(line: &str) -> Result<Vec<u8>, DecodeError> {
    if line.len() > LINE_MAX {
        return Err(DecodeError::TooLong { what: WHAT, length: line.len(), max: LINE_MAX });
    }
    let text = line.strip_prefix(BEGINS);
    let text =
        text.ok_or_else(|| DecodeError::field("text", format!("it does not begin with {BEGINS:?}")))?;
    bs58::decode(text).into_vec().map_err(|error| DecodeError::field("text", error.to_string()))
}

/// What a fingerprint is the hash of, before the id.
const FINGERPRINT: &[u8] = b"connectome/fingerprint/v1\0";

impl AgentId {
    /// What two people compare, aloud or on paper, to know that they mean the same agent: the first 128 bits of
    /// `SHA-256("connectome/fingerprint/v1" ‖ 0x00 ‖ id)`, as eight groups of four hexadecimal digits.
    ///
    /// ```
    /// use connectome_codecs::AgentId;
    ///
    /// assert_eq!(AgentId([7; 32]).fingerprint().len(), 39);
    /// ```
    pub fn fingerprint(&self) -> String {
        let digest = hash(&[FINGERPRINT, self.as_bytes()]);
        let groups = digest[..16].chunks(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
        groups.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::sample::{self, NOW};
    use crate::identity::{Claims, InstanceId, InstanceKeys};
    use crate::key::{Secret, SigningKey};

    /// A line that was changed anywhere is refused, and so is a certificate that its log takes back.
    #[test]
    fn only_what_was_signed_is_read() {
        let entropy = &mut sample::counting();
        let agent = SigningKey::from_seed(&Secret::random(entropy));
        let (id, keys) = (AgentId(*agent.verifying_key().as_bytes()), InstanceKeys::random(entropy));
        let (name, life) = ("greeter".parse().unwrap(), Duration::from_secs(60));
        let claims = Claims::of_keys(id, name, InstanceId([2; 16]), &keys, NOW, life);
        let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
        let other = IdentityLog::take_back(None, &agent, [7]).unwrap();
        let card = Card::new(certificate.clone(), Some(other.clone())).unwrap();
        let line = card.to_string();
        assert_eq!(Card::read(&format!(" {line}\n"), NOW), Ok(card));
        assert_eq!(Card::read(&line, NOW.after(life)), Err(Refusal::CertificateExpired));
        for at in BEGINS.len()..line.len() {
            let mut changed = line.clone().into_bytes();
            changed[at] = if changed[at] == b'2' { b'3' } else { b'2' };
            assert!(Card::read(&String::from_utf8(changed).unwrap(), NOW).is_err(), "changed at {at}");
        }
        let revoked = IdentityLog::take_back(Some(&other), &agent, [claims.serial]).unwrap();
        assert!(revoked.is_revoked(7) && revoked.epoch() > other.epoch());
        assert_eq!(Card::new(certificate, Some(revoked)), Err(Refusal::Revoked));
    }
}
