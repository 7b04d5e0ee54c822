//! Two instances that have never met get a secret in common, one of them asleep.
//!
//! ```text
//! A                                                        B
//!    ◄──────────── bundle: certificate, SPK, KPK ───────── (stored, days ago)
//!   EK: fresh
//!   DH1 = IDH_A · SPK_B   DH2 = EK · IDH_B   DH3 = EK · SPK_B   [DH4 = EK · OPK_B]   [ss, ct = Encaps(KPK_B)]
//!   T   = hash of all that was said
//!    ──────── init: certificate, EK, ct, signature over T; with it the first messages ────────►
//! ```
//!
//! ```text
//! T       = SHA-256( "transcript" ‖ suite: u16 ‖ for each of certificate_A, bundle_B, EK, one-time id or nothing,
//!                    ct or nothing, suites_A, created: its length as u32, its bytes )
//! PRK     = HKDF-Extract( salt = 32 zero bytes, input = 32 bytes 0xff ‖ DH1 ‖ DH2 ‖ DH3 [ ‖ DH4 ] [ ‖ ss ] )
//! root ‖ session id ‖ header key = HKDF-Expand( PRK, "root" ‖ T, 96 )
//! ```
//!
//! The transcript holds the whole bundle and both lists of suites, and B works out itself which suite is best, so nobody
//! between them can talk them down. It goes into the keys, so two sides that saw different things have no key in common.
//! A's signature keeps whoever stole B's prekeys from being A; DH1 and DH2 prove both instances by their keys.
//!
//! Without a one-time prekey the first messages can be read by whoever gets hold of B's signed prekeys before they are
//! erased. Whether an init came before, and which session it began, is known by [`Sessions`](super::Sessions).

use std::collections::VecDeque;

use bytes::Bytes;

use super::init::Init;
use super::policy::Policy;
use super::ratchet::Ratchet;
use super::{Opening, Session, SessionId};
use crate::id::UnixMillis;
use crate::identity::{
    Bundle, CLOCK_SKEW_MAX, Certificate, Directory, Instance, OneTimePrekey, OneTimeUse, Prekeys, Suite,
    Suites,
};
use crate::key::derive::{MacKey, digest, expand, extract};
use crate::key::{DhSecret, Digest, Encapsulated, Entropy, Label, Secret};
use crate::refusal::Refusal;

/// Begins a session with an instance whose bundle was verified and pinned. `one_time` is a prekey that was claimed for
/// this session alone.
///
/// # Errors
/// When the two have no suite in common that the policy takes, the bundle or a certificate no longer holds, or a key of
/// the peer is worthless.
pub fn initiate(
    own: &Instance,
    bundle: &Bundle,
    one_time: Option<&OneTimePrekey>,
    policy: &Policy,
    now: UnixMillis,
    entropy: &mut dyn Entropy,
) -> Result<Session, Refusal> {
    let peer = bundle.certificate();
    own.certificate().check_dates(now)?;
    bundle.check_dates(now)?;
    refuse_reflection(own.certificate(), peer)?;
    let suite = agree_on_suite(&policy.suites, bundle.suites(), policy)?;
    let ephemeral = DhSecret::random(entropy);
    let mut input = Input::new();
    input.add(&own.keys().dh.agree(bundle.signed())?);
    input.add(&ephemeral.agree(&peer.claims().dh)?);
    input.add(&ephemeral.agree(bundle.signed())?);
    if let Some(prekey) = one_time {
        input.add(&ephemeral.agree(prekey.key())?);
    }
    let encapsulated = bundle.kem().filter(|_| suite == Suite::Hybrid).map(|kem| {
        let (ciphertext, secret) = kem.encapsulate(entropy);
        input.add(&secret);
        ciphertext
    });
    let init = Init {
        suite,
        certificate: own.certificate().bytes().clone(),
        ephemeral: ephemeral.public(),
        bundle: *bundle.hash(),
        one_time: one_time.map(OneTimePrekey::id),
        encapsulated,
        suites: policy.suites.clone(),
        created: now,
    };
    let transcript = transcript(&init, bundle.bytes());
    let keys = input.derive(&transcript);
    let init = init.sign(&transcript, &own.keys().signing);
    let ratchet = Ratchet::initiator(keys.root, ephemeral, *bundle.signed());
    Ok(Session {
        id: keys.id,
        header_key: keys.header,
        suite,
        own_certificate: *own.certificate().hash(),
        peer: peer.clone(),
        opening: Opening::Unanswered(init),
        ratchet,
        batches: VecDeque::new(),
        wants_step: false,
        asks_for_step: false,
        refreshes: false,
        reserving: None,
        closed: None,
        spare: None,
    })
}

/// Takes part in a session that somebody began, if it may: the session, and the one-time prekey that it used up. Both
/// are nothing until the message that the init came with is committed.
pub(super) fn accept(
    own: &Instance,
    prekeys: &Prekeys,
    bytes: &Bytes,
    directory: &dyn Directory,
    policy: &Policy,
    now: UnixMillis,
) -> Result<(Session, Option<OneTimeUse>), Refusal> {
    let (init, signature) = Init::read(bytes)?;
    check_created(init.created, policy, now)?;
    let ours = prekeys.bundle(&init.bundle)?;
    if agree_on_suite(&ours.suites, &init.suites, policy)? != init.suite {
        return Err(Refusal::DowngradeDetected);
    }
    let peer = init.verify_certificate(directory, now)?;
    refuse_reflection(own.certificate(), &peer)?;
    let transcript = transcript(&init, &ours.bytes);
    peer.signing().verify(Label::Init, &[&transcript], &signature)?;
    let mut input = Input::new();
    input.add(&ours.signed.agree(&peer.claims().dh)?);
    input.add(&own.keys().dh.agree(&init.ephemeral)?);
    input.add(&ours.signed.agree(&init.ephemeral)?);
    if let Some(id) = init.one_time {
        input.add(&prekeys.one_time(id)?.agree(&init.ephemeral)?);
    }
    match (init.suite, &ours.kem, &init.encapsulated) {
        (Suite::Classic, _, None) => {}
        (Suite::Hybrid, Some(kem), Some(ciphertext)) => input.add(&kem.decapsulate(ciphertext)),
        (suite, ..) => return Err(Refusal::UnsupportedSuite { suite: suite.code() }),
    }
    let keys = input.derive(&transcript);
    let session = Session {
        id: keys.id,
        header_key: keys.header,
        suite: init.suite,
        own_certificate: ours.certificate,
        peer,
        opening: Opening::Accepted { init: Init::name(bytes), created: init.created },
        ratchet: Ratchet::responder(keys.root, ours.signed.duplicate()),
        batches: VecDeque::new(),
        wants_step: false,
        asks_for_step: false,
        refreshes: false,
        reserving: None,
        closed: None,
        spare: None,
    };
    Ok((session, init.one_time.map(OneTimeUse)))
}

fn agree_on_suite(ours: &Suites, theirs: &Suites, policy: &Policy) -> Result<Suite, Refusal> {
    match ours.best_common(theirs) {
        Some(suite) if suite >= policy.least => Ok(suite),
        Some(suite) => Err(Refusal::SuiteTooWeak { suite: suite.code() }),
        None => Err(Refusal::SuiteTooWeak { suite: 0 }),
    }
}

fn refuse_reflection(own: &Certificate, peer: &Certificate) -> Result<(), Refusal> {
    if own.whose() == peer.whose() { Err(Refusal::Reflected) } else { Ok(()) }
}

/// An init lives as long as the message it comes with; what it opened is remembered for as long.
fn check_created(created: UnixMillis, policy: &Policy, now: UnixMillis) -> Result<(), Refusal> {
    if created > now.after(CLOCK_SKEW_MAX) {
        return Err(Refusal::ClockSkew { what: "first message" });
    }
    if created.after(policy.retention) <= now { Err(Refusal::PrekeyUnknown) } else { Ok(()) }
}

/// The hash of all that was said.
fn transcript(init: &Init, bundle: &[u8]) -> Digest {
    let one_time = init.one_time.map(u32::to_be_bytes);
    let fields: [&[u8]; 7] = [
        &init.certificate,
        bundle,
        &init.ephemeral.0,
        one_time.as_ref().map_or(&[], |id| id),
        init.encapsulated.as_ref().map_or(&[], |ciphertext: &Encapsulated| ciphertext.as_bytes()),
        &init.suites.to_bytes(),
        &init.created.0.to_be_bytes(),
    ];
    let lengths = fields.map(|field| (field.len() as u32).to_be_bytes());
    let suite = init.suite.code().to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![&suite];
    lengths.iter().zip(fields).for_each(|(length, field)| parts.extend([&length[..], field]));
    digest(Label::Transcript, &parts)
}

/// What both sides put into their keys: at most four agreements and a KEM's secret, after 32 bytes that no key agreement
/// gives.
struct Input {
    bytes: Box<zeroize::Zeroizing<[u8; 192]>>,
    length: usize,
}

struct Keys {
    root: Secret<32>,
    id: SessionId,
    header: MacKey,
}

impl Input {
    fn new() -> Self {
        Self { bytes: Box::new(zeroize::Zeroizing::new([0xff; 192])), length: 32 }
    }

    fn add(&mut self, secret: &Secret<32>) {
        self.bytes[self.length..self.length + 32].copy_from_slice(secret.expose());
        self.length += 32;
    }

    fn derive(self, transcript: &Digest) -> Keys {
        let key = extract(&[0; 32], &self.bytes[..self.length]);
        let (root, rest) = expand::<32, 64>(&key, Label::Root, transcript);
        let (id, header) = rest.expose().split_at(32);
        let id = SessionId(id.try_into().expect("half of 64 bytes"));
        let header = Secret::read(header).expect("the other half");
        Keys { root, id, header: MacKey::new(header) }
    }
}
