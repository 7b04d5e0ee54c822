//! Asking a peer to begin anew, or to send again: authenticated, sealed, dated, taken once, and limited.
//!
//! ```text
//! request   = 1 ‖ 4 (a request) ‖ 0 ‖ suite ‖ hash of the bundle: 32 ‖ sealed once to the bundle's prekeys
//! plaintext = [ asker's certificate: bin, body: bin, signature: bin 64 ]       over  reset ‖ body  or  resend ‖ body
//! body      = [ 1, kind: 1 reset, 2 resend, hash of the bundle: bin 32, session's tag: bin 16, created: ms,
//!               message ids: bin, 16 bytes each, of a resend ]
//! ```
//!
//! A request is worth little to whoever forges it: the most that an honest peer does is to seal once more what is still in
//! its outbox, to a session with the very agent that asked. Which messages those are, the outbox knows.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::header::kind;
use super::replay::ReplayWindow;
use super::sessions::{Receiver, Sessions};
use crate::id::{AgentId, MessageId, UnixMillis};
use crate::identity::{Bundle, Certificate, Instance, InstanceId, Suite, check_version};
use crate::key::derive::hash;
use crate::key::{Digest, Entropy, Label};
use crate::refusal::Refusal;
use crate::seal::{Opener, Target};
use crate::wire::{DecodeError, Reader, Writer};

/// The most messages that one request asks for: as many as a reservation, the usual gap.
const MESSAGES_MAX: usize = 64;

const HEAD: usize = 36;
const WHAT: &str = "request";

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestKind {
    /// A new session: this one can't be opened, or its sender's state went back in time.
    Reset,
    /// These messages once more, at most 64.
    Resend(Vec<MessageId>),
}

impl RequestKind {
    fn label(&self) -> Label {
        match self {
            Self::Reset => Label::Reset,
            Self::Resend(_) => Label::Resend,
        }
    }

    fn code(&self) -> u64 {
        match self {
            Self::Reset => 1,
            Self::Resend(_) => 2,
        }
    }

    fn messages(&self) -> &[MessageId] {
        match self {
            Self::Reset => &[],
            Self::Resend(messages) => messages,
        }
    }
}

/// A request about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub kind: RequestKind,
    /// The session's tag, as it stands in the header of what could not be opened.
    pub session: [u8; 16],
}

/// A request that was opened. Take its name into the [`ReplayWindow`] when it is honoured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedRequest {
    /// The request.
    pub request: Request,
    /// Who asks: proved.
    pub from: (AgentId, InstanceId),
    /// The name by which a replay window knows it.
    pub name: [u8; 16],
    /// When it was made, by the asker's clock.
    pub created: UnixMillis,
}

impl Request {
    /// Seals a request to an instance, by its bundle.
    ///
    /// # Errors
    /// When the bundle no longer holds or its prekey is worthless, or more than 64 messages are asked for.
    pub fn seal(
        &self,
        own: &Instance,
        bundle: &Bundle,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Result<Bytes, Refusal> {
        if self.kind.messages().len() > MESSAGES_MAX {
            return Err(Refusal::Full { what: "message in a request", max: MESSAGES_MAX });
        }
        bundle.check_dates(now)?;
        let body = self.encode(bundle.hash(), now);
        let mut text = Writer::with_capacity(2048);
        text.array(3);
        text.bytes(own.certificate().bytes());
        text.bytes(&body);
        text.bytes(&own.keys().signing.sign(self.kind.label(), &[&body]));
        let target =
            Target { label: Label::RequestSeal, name: bundle.hash(), dh: bundle.signed(), kem: bundle.kem() };
        let bytes = target.seal(head(bundle.hash(), bundle.kem().is_some()), &[], &text.finish(), entropy)?;
        Ok(bytes.into())
    }

    fn encode(&self, bundle: &Digest, created: UnixMillis) -> Vec<u8> {
        let messages: Vec<u8> = self.kind.messages().iter().flat_map(|id| id.to_bytes()).collect();
        let mut out = Writer::with_capacity(messages.len() + 128);
        out.array(6);
        out.uint(1);
        out.uint(self.kind.code());
        out.bytes(bundle);
        out.bytes(&self.session);
        out.uint(created.0);
        out.bytes(&messages);
        out.finish()
    }

    /// Opens a request. Nothing changes.
    ///
    /// # Errors
    /// Says why it is not believed, and what becomes of it.
    pub fn open(
        receiver: Receiver<'_>,
        bytes: &[u8],
        window: &ReplayWindow,
        now: UnixMillis,
    ) -> Result<OpenedRequest, Refusal> {
        let name = read_head(bytes)?;
        let own = receiver.prekeys.bundle(&name)?;
        if bytes[..HEAD] != head(&name, own.kem.is_some())[..] {
            return Err(Refusal::UnsupportedSuite { suite: bytes[3].into() });
        }
        let opener =
            Opener { label: Label::RequestSeal, name: &name, dh: &own.signed, kem: own.kem.as_ref() };
        let text = opener.open(bytes, HEAD, &[])?;
        let (certificate, body, signature) = read_text(&text).map_err(Refusal::malformed(WHAT))?;
        let log = receiver.directory.log(Certificate::agent_of(&certificate)?);
        let certificate = Certificate::verify(certificate, log, now)?;
        let (request, bundle, created) = Self::read(body)?;
        certificate.signing().verify(request.kind.label(), &[body], &signature)?;
        if bundle != name {
            return Err(Refusal::IdentityMismatch { what: "request" });
        }
        // With the asker's certificate: nobody can use up the name of what somebody else will ask.
        let name = *hash(&[certificate.hash(), body]).first_chunk().expect("a hash has 32 bytes");
        window.check(&name, created, now)?;
        Ok(OpenedRequest { request, from: certificate.whose(), name, created })
    }

    fn read(body: &[u8]) -> Result<(Self, Digest, UnixMillis), Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let mut reader = Reader::new(body);
        let later = reader.open(WHAT, 6).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let read = Self::read_fields(&mut reader).map_err(&malformed)?;
        reader.close(later).map_err(malformed)?;
        Ok(read)
    }

    fn read_fields(reader: &mut Reader<'_>) -> Result<(Self, Digest, UnixMillis), DecodeError> {
        let code = reader.uint("kind")?;
        let bundle = reader.exactly("bundle")?;
        let session = reader.exactly("session")?;
        let created = UnixMillis(reader.uint("created")?);
        let (messages, rest) = reader.bytes("messages")?.as_chunks::<16>();
        if !rest.is_empty() || messages.len() > MESSAGES_MAX {
            return Err(DecodeError::field("messages", format!("send whole ids, at most {MESSAGES_MAX}")));
        }
        let kind = match (code, messages.is_empty()) {
            (1, true) => RequestKind::Reset,
            (2, _) => RequestKind::Resend(messages.iter().map(|id| MessageId::from_bytes(*id)).collect()),
            _ => return Err(DecodeError::field("kind", format!("{code}; send 1 without messages, or 2"))),
        };
        Ok((Self { kind, session }, bundle, created))
    }
}

fn read_text(text: &[u8]) -> Result<(Bytes, &[u8], [u8; 64]), DecodeError> {
    let mut reader = Reader::new(text);
    let later = reader.open(WHAT, 3)?;
    let certificate = Bytes::copy_from_slice(reader.bytes("certificate")?);
    let read = (certificate, reader.bytes("body")?, reader.exactly("signature")?);
    reader.close(later)?;
    Ok(read)
}

fn head(bundle: &Digest, hybrid: bool) -> Vec<u8> {
    let suite = if hybrid { Suite::Hybrid } else { Suite::Classic };
    [&[1, kind::REQUEST, 0, suite.code() as u8], &bundle[..]].concat()
}

fn read_head(bytes: &[u8]) -> Result<Digest, Refusal> {
    let malformed = Refusal::malformed(WHAT);
    let cut = || DecodeError::Truncated { at: 0, needed: HEAD as u64, left: bytes.len() };
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| malformed(cut()))?;
    check_version(WHAT, head[0].into())?;
    if head[1..3] != [kind::REQUEST, 0] {
        return Err(malformed(DecodeError::field("kind", "send 4 and no flags for a request")));
    }
    rest.first_chunk().copied().ok_or_else(|| malformed(cut()))
}

impl Sessions {
    /// Closes the session that a request is about, where it is one with the agent that asks (another instance of it may
    /// ask, since an instance that lost its state is replaced). Says whether something changed.
    ///
    /// # Errors
    /// [`Refusal::UnknownSession`] when there is none; [`Refusal::IdentityMismatch`] when it is somebody else's.
    pub fn honour(&mut self, opened: &OpenedRequest, now: UnixMillis) -> Result<bool, Refusal> {
        let session = self.get(&opened.request.session).ok_or(Refusal::UnknownSession)?;
        if session.peer().claims().agent != opened.from.0 {
            return Err(Refusal::IdentityMismatch { what: "session of the request" });
        }
        match opened.request.kind {
            RequestKind::Reset => Ok(self.close(&opened.request.session, now)),
            RequestKind::Resend(_) => Ok(false),
        }
    }
}

/// How often each peer may ask, and how often each is asked.
///
/// ```
/// use connectome_codecs::session::Limiter;
/// use connectome_codecs::{AgentId, UnixMillis};
///
/// let mut limiter = Limiter::default();
/// let allowed = (0..10).filter(|_| limiter.allow(AgentId([7; 32]), UnixMillis(0))).count();
/// assert_eq!(allowed, 4);
/// assert!(limiter.allow(AgentId([7; 32]), UnixMillis(60_000)));
/// ```
#[derive(Debug, Default)]
pub struct Limiter(BTreeMap<AgentId, (u32, UnixMillis)>);

impl Limiter {
    /// So many requests at once: a reset for each direction of two sessions.
    pub const BURST: u32 = 4;
    /// Another one after so long: a peer that crashes every minute is served, one that asks in a loop is not.
    pub const INTERVAL: Duration = Duration::from_secs(60);
    /// The most peers that are counted: those of a full table of sessions. Past it the rest has to wait.
    pub const PEERS_MAX: usize = super::SESSIONS_MAX;

    /// Whether this agent may ask now.
    pub fn allow(&mut self, agent: AgentId, now: UnixMillis) -> bool {
        let full = Self::INTERVAL * Self::BURST;
        if self.0.len() >= Self::PEERS_MAX && !self.0.contains_key(&agent) {
            self.0.retain(|_, (_, since)| now.since(*since) < full);
            if self.0.len() >= Self::PEERS_MAX {
                return false;
            }
        }
        let (used, since) = self.0.entry(agent).or_insert((0, now));
        let earned =
            u32::try_from(now.since(*since).as_secs() / Self::INTERVAL.as_secs()).unwrap_or(u32::MAX);
        if earned > 0 {
            *used = used.saturating_sub(earned);
            *since = now;
        }
        let may = *used < Self::BURST;
        *used += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::sample::{NOW, counting, instance};
    use crate::identity::{Prekeys, Suite};
    use crate::session::Policy;

    /// Nobody asks in another's name, and what was asked of one is not asked of another one.
    #[test]
    fn a_request_is_from_and_for_whom_it_says() {
        let entropy = &mut counting();
        let (ada, bob, eve) = (instance(entropy), instance(entropy), instance(entropy));
        let (mut prekeys, policy, day) = (Prekeys::new(), Policy::default(), Duration::from_secs(86_400));
        let suites = [Suite::Classic];
        let bundle = prekeys.rotate(bob.certificate(), bob.keys(), &suites, day, NOW, entropy);
        let directory = BTreeMap::new();
        let receiver = Receiver { instance: &bob, prekeys: &prekeys, directory: &directory, policy: &policy };
        let request = Request { kind: RequestKind::Reset, session: [7; 16] };
        let cases = [(&ada, *bundle.hash(), true), (&eve, *bundle.hash(), false), (&ada, [9; 32], false)];
        for (signer, for_bundle, believed) in cases {
            let body = request.encode(&for_bundle, NOW);
            let mut text = Writer::with_capacity(1024);
            text.array(3);
            text.bytes(ada.certificate().bytes());
            text.bytes(&body);
            text.bytes(&signer.keys().signing.sign(Label::Reset, &[&body]));
            let (name, dh) = (bundle.hash(), bundle.signed());
            let target = Target { label: Label::RequestSeal, name, dh, kem: None };
            let sealed = target.seal(head(name, false), &[], &text.finish(), entropy).unwrap();
            let opened = Request::open(receiver, &sealed, &ReplayWindow::new(day), NOW);
            assert_eq!(opened.is_ok(), believed);
        }
    }
}
