//! The keys of an instance that outlives its process: what is sealed to an agent while it sleeps opens wherever it wakes.
//!
//! ```text
//! kept: instance keys: 64 ‖ length of the certificate: u16 ‖ certificate ‖ made: u64 ‖ prekeys
//! ```
//!
//! It holds every secret: seal it. Whoever changes it writes it down first and publishes the bundle, or a one-time prekey,
//! afterwards.

use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::bundle::{Bundle, OneTimePrekey};
use super::certificate::{Certificate, Instance, InstanceKeys};
use super::prekeys::{Prekeys, ROTATION};
use super::suite::Suite;
use crate::id::UnixMillis;
use crate::key::Entropy;
use crate::refusal::Refusal;
use crate::wire::DecodeError;

const WHAT: &str = "kept keys";
const KEYS: usize = 64;

/// An instance, its prekeys, and when the newest of them were made.
#[derive(Debug)]
pub struct KeptKeys {
    /// Who it is.
    pub instance: Instance,
    /// The private halves of what it has published.
    pub prekeys: Prekeys,
    made: UnixMillis,
}

impl KeptKeys {
    /// Those of an instance that is new, with its first bundle.
    pub fn new(
        instance: Instance,
        suites: &[Suite],
        retention: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> (Self, Bundle) {
        let mut kept = Self { instance, prekeys: Prekeys::new(), made: now };
        let bundle = kept.rotate(suites, retention, now, entropy);
        (kept, bundle)
    }

    /// Makes the next bundle.
    pub fn rotate(
        &mut self,
        suites: &[Suite],
        retention: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Bundle {
        let (certificate, keys) = (self.instance.certificate(), self.instance.keys());
        self.made = now;
        self.prekeys.expire(now);
        self.prekeys.rotate(certificate, keys, suites, retention, now, entropy)
    }

    /// When the newest bundle was made.
    pub fn made(&self) -> UnixMillis {
        self.made
    }

    /// Whether the next bundle is due.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        self.made.after(ROTATION) <= now
    }

    /// Makes one-time prekeys until there are `stock`, and gives the new ones.
    pub fn refill(
        &mut self,
        stock: usize,
        retention: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Vec<OneTimePrekey> {
        let (certificate, keys) = (self.instance.certificate(), self.instance.keys());
        self.prekeys.refill(certificate, keys, stock, retention, now, entropy)
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (keys, prekeys) = (self.instance.keys().encode(), self.prekeys.encode());
        let certificate = self.instance.certificate().bytes();
        let mut out = Zeroizing::new(Vec::with_capacity(KEYS + 10 + certificate.len() + prekeys.len()));
        out.extend_from_slice(&keys);
        out.extend_from_slice(&(certificate.len() as u16).to_be_bytes());
        out.extend_from_slice(certificate);
        out.extend_from_slice(&self.made.0.to_be_bytes());
        out.extend_from_slice(&prekeys);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let cut = || {
            let problem = DecodeError::field("length", format!("{} bytes are not enough", bytes.len()));
            Refusal::Malformed { what: WHAT, problem }
        };
        let (keys, rest) = bytes.split_at_checked(KEYS).ok_or_else(cut)?;
        let keys = InstanceKeys::decode(keys).ok_or_else(cut)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
        let (certificate, rest) =
            rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or_else(cut)?;
        let (made, prekeys) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
        let certificate = Certificate::read_own_copy(Bytes::copy_from_slice(certificate))?;
        let instance = Instance::new(keys, certificate)?;
        let made = UnixMillis(u64::from_be_bytes(*made));
        Ok(Self { instance, prekeys: Prekeys::decode(prekeys)?, made })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::sample::{NOW, counting, instance};

    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

    /// What was kept comes back whole, and what was cut short is refused.
    #[test]
    fn it_comes_back_as_it_was_kept() {
        let entropy = &mut counting();
        let (mut kept, bundle) = KeptKeys::new(instance(entropy), &[Suite::Hybrid], WEEK, NOW, entropy);
        assert_eq!(kept.refill(3, WEEK, NOW, entropy).len(), 3);
        let bytes = kept.encode();
        let back = KeptKeys::decode(&bytes).unwrap();
        assert_eq!(back.instance.certificate(), bundle.certificate());
        assert_eq!(back.encode(), bytes);
        for length in 0..bytes.len() {
            assert!(KeptKeys::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    /// A bundle is due a day after the one before.
    #[test]
    fn the_next_bundle_is_due_after_a_day() {
        let entropy = &mut counting();
        let (mut kept, first) = KeptKeys::new(instance(entropy), &[Suite::Classic], WEEK, NOW, entropy);
        assert!(!kept.is_due(NOW) && kept.is_due(NOW.after(ROTATION)));
        let second = kept.rotate(&[Suite::Classic], WEEK, NOW.after(ROTATION), entropy);
        assert!(second.epoch() > first.epoch() && !kept.is_due(NOW.after(ROTATION)));
    }
}
