//! The private halves of what an instance publishes: its bundles, old ones while messages may still come, and its
//! one-time prekeys.
//!
//! The order that keeps them safe is the caller's: write [`Prekeys::encode`] down first, then publish. A one-time prekey
//! goes when the first message that used it is committed, a retired bundle when no message sealed to it can come any
//! more: `retention` (the age that a message can reach on its stream) and [`GRACE`] after it was replaced. A one-time
//! prekey is offered for [`ONE_TIME_LIFE`]; one that was claimed and never used goes so long after that.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::bundle::{Bundle, Content, OneTimePrekey, read_id};
use super::certificate::{Certificate, InstanceKeys};
use super::suite::{Suite, Suites};
use super::{BUNDLE_LIFE_MAX, check_version};
use crate::id::UnixMillis;
use crate::key::derive::hash;
use crate::key::{DhSecret, Digest, Entropy, KemSecret, Secret};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// How long an instance's bundle is the current one, before it makes the next.
pub const ROTATION: Duration = Duration::from_secs(24 * 3600);

/// How much longer than messages live a retired prekey is kept: whoever fetched the bundle just before it was replaced
/// may take a day to write.
pub const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The most bundles whose private halves are kept: messages that live a month, and a rotation each day. The oldest goes
/// first, and what comes for it is asked for again.
const BUNDLES_MAX: usize = 32;

/// The most one-time prekeys in stock: a burst of so many new peers between two refills.
pub const ONE_TIME_MAX: usize = 100;

/// How long a one-time prekey is offered: take it back from where it was published then, or have it go by itself.
pub const ONE_TIME_LIFE: Duration = BUNDLE_LIFE_MAX;

/// The most one-time prekeys that are kept: whole stocks that were claimed and not used, week after week, and messages
/// that live a month.
const ONE_TIME_KEPT_MAX: usize = 10 * ONE_TIME_MAX;

/// The private halves of one bundle.
pub(crate) struct Own {
    pub(crate) bytes: Bytes,
    /// The hash of those bytes.
    hash: Digest,
    /// The hash of the certificate that is in it.
    pub(crate) certificate: Digest,
    pub(crate) suites: Suites,
    pub(crate) signed: DhSecret,
    pub(crate) kem: Option<KemSecret>,
    /// When it goes; never while it is the current one.
    until: Option<UnixMillis>,
}

/// The private half of a one-time prekey.
struct OneTime {
    secret: DhSecret,
    /// Until when it counts as being in stock.
    offered: UnixMillis,
    /// When it goes, used or not.
    until: UnixMillis,
}

/// That a one-time prekey was used, to be committed with the message that used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OneTimeUse(pub(crate) u32);

/// The private halves of what an instance publishes.
#[derive(Default)]
pub struct Prekeys {
    epoch: u64,
    next_id: u32,
    bundles: Vec<Own>,
    one_time: BTreeMap<u32, OneTime>,
}

impl Prekeys {
    /// None yet: an instance that has just been made.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next bundle, and retires the one before. `retention` is the age that a message can reach.
    pub fn rotate(
        &mut self,
        certificate: &Certificate,
        keys: &InstanceKeys,
        suites: &[Suite],
        retention: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Bundle {
        self.retire(now.after(retention).after(GRACE));
        // Rises also for an instance that lost its state, as long as its clock goes on.
        self.epoch = self.epoch.saturating_add(1).max(now.0);
        let suites = Suites::of(suites);
        let signed = DhSecret::random(entropy);
        let kem = suites.lists(Suite::Hybrid).then(|| KemSecret::random(entropy));
        let content = Content {
            certificate: certificate.clone(),
            suites: suites.clone(),
            signed: signed.public(),
            kem: kem.as_ref().map(KemSecret::public),
            epoch: self.epoch,
            created: now,
            not_after: now.after(BUNDLE_LIFE_MAX),
        };
        let bundle = Bundle::issue(content, keys);
        let (bytes, certificate) = (bundle.bytes().clone(), *certificate.hash());
        let hash = *bundle.hash();
        self.bundles.push(Own { bytes, hash, certificate, suites, signed, kem, until: None });
        bundle
    }

    fn retire(&mut self, until: UnixMillis) {
        self.bundles.iter_mut().filter(|own| own.until.is_none()).for_each(|own| own.until = Some(until));
        if self.bundles.len() >= BUNDLES_MAX {
            self.bundles.remove(0);
        }
    }

    /// Makes one-time prekeys until there are `stock` of them, at most [`ONE_TIME_MAX`], and gives the new ones.
    /// `retention` is the age that a message can reach.
    pub fn refill(
        &mut self,
        certificate: &Certificate,
        keys: &InstanceKeys,
        stock: usize,
        retention: Duration,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Vec<OneTimePrekey> {
        let offered = now.after(ONE_TIME_LIFE);
        let until = offered.after(retention).after(GRACE);
        let room = ONE_TIME_KEPT_MAX.saturating_sub(self.one_time.len());
        let missing = stock.min(ONE_TIME_MAX).saturating_sub(self.one_time_stock(now)).min(room);
        let mut made = Vec::with_capacity(missing);
        for _ in 0..missing {
            let Some(next) = self.next_id.checked_add(1) else { break };
            let secret = DhSecret::random(entropy);
            let instance = certificate.claims().instance;
            made.push(OneTimePrekey::issue(self.next_id, secret.public(), instance, keys));
            self.one_time.insert(self.next_id, OneTime { secret, offered, until });
            self.next_id = next;
        }
        made
    }

    /// Erases what no message can need any more.
    pub fn expire(&mut self, now: UnixMillis) {
        self.bundles.retain(|own| own.until.is_none_or(|until| until > now));
        self.one_time.retain(|_, prekey| prekey.until > now);
    }

    /// How many one-time prekeys are in stock: those that may still be offered and were not used.
    pub fn one_time_stock(&self, now: UnixMillis) -> usize {
        self.one_time.values().filter(|prekey| prekey.offered > now).count()
    }

    /// The private halves of the bundle with this hash.
    pub(crate) fn bundle(&self, wanted: &Digest) -> Result<&Own, Refusal> {
        self.bundles.iter().find(|own| own.hash == *wanted).ok_or(Refusal::PrekeyUnknown)
    }

    /// A one-time prekey that has not been used.
    pub(crate) fn one_time(&self, id: u32) -> Result<&DhSecret, Refusal> {
        let was_made = id < self.next_id;
        let gone = if was_made { Refusal::PrekeyConsumed } else { Refusal::PrekeyUnknown };
        self.one_time.get(&id).map(|prekey| &prekey.secret).ok_or(gone)
    }

    /// Erases a one-time prekey. One that is gone already is no matter.
    pub(crate) fn consume(&mut self, used: OneTimeUse) {
        self.one_time.remove(&used.0);
    }

    /// The bytes to keep, sealed, as this table says; with `used` consumed already.
    ///
    /// ```text
    /// [ 1, epoch, next id, [ [ bundle: bin, certificate's hash: bin 32, [ suite ... ], signed: bin 32,
    ///   seed: bin 64 or nil, until: ms or nil ] ... ], [ [ id, secret: bin 32, offered until: ms, until: ms ] ... ] ]
    /// ```
    pub(crate) fn encode_after(&self, used: Option<OneTimeUse>) -> Zeroizing<Vec<u8>> {
        let bundles = self.bundles.iter().map(|own| own.bytes.len() + 256).sum::<usize>();
        let mut out = Writer::with_capacity(64 + bundles + self.one_time.len() * 64);
        out.array(5);
        out.uint(1);
        out.uint(self.epoch);
        out.uint(self.next_id.into());
        out.array(self.bundles.len());
        self.bundles.iter().for_each(|own| own.write(&mut out));
        let left = self.one_time.iter().filter(|(id, _)| Some(OneTimeUse(**id)) != used);
        out.array(left.clone().count());
        for (id, OneTime { secret, offered, until }) in left {
            out.array(4);
            out.uint((*id).into());
            out.bytes(secret.expose());
            out.uint(offered.0);
            out.uint(until.0);
        }
        Zeroizing::new(out.finish())
    }

    /// The bytes to keep. They hold every secret: seal them.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        self.encode_after(None)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("prekeys");
        let mut reader = Reader::new(bytes);
        reader.list("prekeys", 5).map_err(&malformed)?;
        check_version("prekeys", reader.uint("version").map_err(&malformed)?)?;
        let prekeys = Self::read(&mut reader).map_err(&malformed)?;
        reader.end().map_err(malformed)?;
        Ok(prekeys)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (epoch, next_id) = (reader.uint("epoch")?, read_id(reader)?);
        let bundles = reader.items("bundles", BUNDLES_MAX)?;
        let bundles = (0..bundles).map(|_| Own::read(reader)).collect::<Result<_, _>>()?;
        let stock = reader.items("one-time prekeys", ONE_TIME_KEPT_MAX)?;
        let one_time = (0..stock).map(|_| read_one_time(reader)).collect::<Result<_, _>>()?;
        Ok(Self { epoch, next_id, bundles, one_time })
    }
}

fn read_one_time(reader: &mut Reader<'_>) -> Result<(u32, OneTime), DecodeError> {
    reader.list("one-time prekey", 4)?;
    let id = read_id(reader)?;
    let secret = DhSecret::from_secret(&read_secret(reader)?);
    let (offered, until) = (UnixMillis(reader.uint("offered until")?), UnixMillis(reader.uint("until")?));
    Ok((id, OneTime { secret, offered, until }))
}

/// A secret of `N` bytes.
pub(crate) fn read_secret<const N: usize>(reader: &mut Reader<'_>) -> Result<Secret<N>, DecodeError> {
    let bytes = reader.bytes("secret")?;
    Secret::read(bytes)
        .ok_or_else(|| DecodeError::field("secret", format!("{} bytes; send {N}", bytes.len())))
}

impl Own {
    fn write(&self, out: &mut Writer) {
        out.array(6);
        out.bytes(&self.bytes);
        out.bytes(&self.certificate);
        self.suites.write(out);
        out.bytes(self.signed.expose());
        match &self.kem {
            Some(kem) => out.bytes(kem.seed().expose()),
            None => out.nil(),
        }
        match self.until {
            Some(until) => out.uint(until.0),
            None => out.nil(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.list("bundle", 6)?;
        let bytes = Bytes::copy_from_slice(reader.bytes("bundle")?);
        let certificate = reader.exactly("certificate")?;
        let suites = Suites::read(reader)?;
        let signed = DhSecret::from_secret(&read_secret(reader)?);
        let kem = if reader.nil("seed")? { None } else { Some(KemSecret::from_seed(read_secret(reader)?)) };
        let until = if reader.nil("until")? { None } else { Some(UnixMillis(reader.uint("until")?)) };
        Ok(Self { hash: hash(&[&bytes]), bytes, certificate, suites, signed, kem, until })
    }
}

impl std::fmt::Debug for Prekeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (epoch, bundles, one_time) = (self.epoch, self.bundles.len(), self.one_time.len());
        write!(f, "Prekeys(epoch {epoch}, {bundles} bundles, {one_time} one-time, ..)")
    }
}
