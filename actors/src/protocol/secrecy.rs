//! The secret conversation of this node with one other: who the other one is, what is sealed for it, and what of its frames is
//! believed.
//!
//! ```text
//!   A                                              B
//!   │ ── Here{hash of A's bundle} ────────────────► │   B does not know it
//!   │ ◄──────────── Hello{B's bundle, asks} ─────── │
//!   │ ── Hello{A's bundle} ───────────────────────► │   now either may begin
//!   │ ── Sealed{init, message} ───────────────────► │
//!   │ ◄──────────────────────── Sealed{message} ─── │
//! ```
//!
//! A node is an instance, made when the process starts and gone with it: its sessions are in memory alone. A node that
//! comes back is another instance under the same key; its new bundle ends the conversation with the old one.
//!
//! Promises:
//! * What is opened was sealed by the node that the transport names, for this one, and comes once.
//! * Nothing is sealed for a node that is not accepted, or opened of one.
//! * A frame that is not believed changes nothing and is told by a [`Refusal`].
//! * Two nodes that both reach each other find a session again, whatever was lost: of a hello, of an init, or of the whole
//!   state of either.
//! * What anybody can make this node do: one hello in 200 ms, one verified bundle in 50 ms, four requests and then one
//!   each minute.
//!
//! It does not send, wait, look at a clock or make randomness. It keeps nothing that it could not seal; whoever calls it
//! does.

mod own;

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::frame::Frame;
use connectome_codecs::identity::{Bundle, Certificate, Prekeys};
use connectome_codecs::key::{Digest, Entropy};
use connectome_codecs::refusal::Ask;
use connectome_codecs::session::{
    Context, Draft, Limiter, Opened, ReplayWindow, Request, RequestKind, SealError, Sealed, Sealing, Session,
    Sessions, initiate,
};
use connectome_codecs::signature::Evidence;
use connectome_codecs::{AgentId, NodeId, Refusal, UnixMillis};

use super::Now;
pub use own::{CERTIFICATE_LIFE, Own};

/// Between two hellos to one node: a few in the time in which it would be suspected, should some get lost.
const HELLO_EVERY: Duration = Duration::from_millis(200);

/// Between two bundles of one node that are verified: three signatures each, so that forged ones cost a hundredth of a
/// processor.
const VERIFY_EVERY: Duration = Duration::from_millis(50);

/// One node's side of the conversation with one other.
///
/// ```
/// use bytes::Bytes;
/// use connectome_actors::protocol::Now;
/// use connectome_actors::protocol::secrecy::{Own, Talk};
/// use connectome_codecs::frame::Frame;
/// use connectome_codecs::identity::Certificate;
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::session::Policy;
/// use connectome_codecs::{NodeId, Refusal, UnixMillis};
///
/// # let mut counter = 0u64;
/// # let mut system = |bytes: &mut [u8]| for chunk in bytes.chunks_mut(8) {
/// #     counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
/// #     chunk.copy_from_slice(&counter.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes()[..chunk.len()]);
/// # };
/// // Two nodes, each with keys of its own. (`system` is the system's randomness.)
/// let time = UnixMillis(1_800_000_000_000);
/// let mut node = || {
///     let key = SigningKey::from_seed(&Secret::random(&mut system));
///     let id = NodeId(*key.verifying_key().as_bytes());
///     Own::new(id, Policy::default(), time, &mut system, |claims, keys| {
///         Ok::<_, Refusal>(Certificate::issue(&claims, &key, keys, &[]))
///     })
/// };
/// let (ada, bob) = (node()?, node()?);
///
/// // Each has met the other one.
/// let (mut to_bob, mut to_ada) = (Talk::new(&ada, bob.node()), Talk::new(&bob, ada.node()));
/// to_bob.hear(&ada, bob.hello(false), Now::ZERO, time)?;
/// to_ada.hear(&bob, ada.hello(false), Now::ZERO, time)?;
///
/// let sealed = to_bob.seal(&ada, Bytes::from("hello"), time, &mut system)?;
/// let heard = to_ada.hear(&bob, Frame::Sealed(sealed.bytes), Now::ZERO, time)?;
/// assert_eq!(heard.message.expect("a message").payload, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Talk {
    node: NodeId,
    sending: Context,
    receiving: Context,
    bundle: Option<Bundle>,
    sessions: Sessions,
    requests: Limiter,
    asked: Limiter,
    window: ReplayWindow,
    said_hello: Option<Now>,
    verified: Option<Now>,
}

/// What came of a frame.
#[derive(Debug, Default)]
pub struct Heard {
    /// The message that was in it.
    pub message: Option<Message>,
    /// What to send back.
    pub say: Vec<Frame>,
    /// Whether the other node's keys are now known and were not before.
    pub met: bool,
}

/// A message of the other node.
#[derive(Debug)]
pub struct Message {
    /// What was sealed.
    pub payload: Bytes,
    /// What proves it to others, where messages are signed.
    pub evidence: Option<Evidence>,
}

/// Why nothing was sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSealed {
    /// The other node's keys are not known: ask for them with [`Talk::ask`], and wait until it was [`Heard::met`].
    #[error("the keys of {0} are not known yet")]
    NoKeys(NodeId),
    /// Its keys are worthless, or below this node's policy; or the message is too long.
    #[error(transparent)]
    Not(#[from] SealError),
}

impl Talk {
    /// With nothing known of the other node.
    pub fn new(own: &Own, node: NodeId) -> Self {
        Self {
            node,
            sending: frame_context(own.node(), node),
            receiving: frame_context(node, own.node()),
            bundle: None,
            sessions: Sessions::new(),
            requests: Limiter::default(),
            asked: Limiter::default(),
            window: ReplayWindow::new(own.policy().retention),
            said_hello: None,
            verified: None,
        }
    }

    /// Whether something can be sealed for it.
    pub fn is_known(&self) -> bool {
        self.bundle.is_some()
    }

    /// The other node's certificate, once it is known.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.bundle.as_ref().map(Bundle::certificate)
    }

    /// A hello that asks for the other node's keys, if one may be said now.
    pub fn ask(&mut self, own: &Own, now: Now) -> Option<Frame> {
        self.greet(own, true, now)
    }

    /// Seals a payload, signed by itself.
    ///
    /// # Errors
    /// [`NotSealed`]; nothing changed then.
    pub fn seal(
        &mut self,
        own: &Own,
        payload: Bytes,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Result<Sealed, NotSealed> {
        self.make_ready(own, now, entropy)?;
        let sealing = Sealing { key: &own.instance().keys().signing, each: own.signs_each(), padded: false };
        let context = self.sending.clone();
        Ok(self.session()?.seal(&context, payload, sealing, entropy)?)
    }

    /// Gives a payload its key, to be signed together with others.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub fn draft(
        &mut self,
        own: &Own,
        payload: Bytes,
        now: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Result<Draft, NotSealed> {
        self.make_ready(own, now, entropy)?;
        let context = self.sending.clone();
        Ok(self.session()?.draft(&context, payload, false, entropy)?)
    }

    fn session(&mut self) -> Result<&mut Session, NotSealed> {
        let node = self.node;
        let whose = self.bundle.as_ref().map(|bundle| bundle.certificate().whose());
        whose.and_then(|whose| self.sessions.with(whose)).ok_or(NotSealed::NoKeys(node))
    }

    /// Sees that there is a session with keys to use. They are in memory alone, so they are used as soon as they are made.
    fn make_ready(&mut self, own: &Own, now: UnixMillis, entropy: &mut dyn Entropy) -> Result<(), NotSealed> {
        let bundle = self.bundle.as_ref().ok_or(NotSealed::NoKeys(self.node))?;
        own.accepts(bundle.certificate(), now).map_err(SealError::from)?;
        let whose = bundle.certificate().whose();
        if self.sessions.with(whose).is_none() {
            let began = initiate(own.instance(), bundle, None, own.policy(), now, entropy)
                .map_err(SealError::from)?;
            self.sessions.add(began, now).map_err(SealError::from)?;
        }
        let session = self.session()?;
        if session.needs_reservation(now) {
            session.reserve(now, entropy)?;
            session.confirm();
        }
        Ok(())
    }

    /// After a log was learned: keys that the other node took back are not used any more. Others are asked for.
    pub fn forget_revoked(&mut self, own: &Own) {
        if self.bundle.as_ref().is_some_and(|bundle| own.admits(bundle.certificate()).is_err()) {
            self.bundle = None;
        }
    }

    /// Takes a frame of the other node, as the transport names it.
    ///
    /// # Errors
    /// Why it was not believed; nothing else changed then. What follows for the other side is in [`Talk::refused`].
    pub fn hear(&mut self, own: &Own, frame: Frame, now: Now, time: UnixMillis) -> Result<Heard, Refusal> {
        match frame {
            Frame::Here(hash) => Ok(self.is_there(own, &hash, now)),
            Frame::Hello { bundle, asks } => self.hello(own, bundle, asks, now, time),
            Frame::Request(bytes) => self.request(own, &bytes, time),
            Frame::Sealed(bytes) => self.sealed(own, &bytes, time),
            Frame::Open(_) => Err(Refusal::Unsealed),
        }
    }

    fn is_there(&mut self, own: &Own, hash: &Digest, now: Now) -> Heard {
        let is_new = self.bundle.as_ref().is_none_or(|bundle| bundle.hash() != hash);
        let say = is_new.then(|| self.greet(own, true, now)).flatten();
        Heard { say: say.into_iter().collect(), ..Heard::default() }
    }

    fn greet(&mut self, own: &Own, asks: bool, now: Now) -> Option<Frame> {
        let may = self.said_hello.is_none_or(|said| now.since(said) >= HELLO_EVERY);
        may.then(|| {
            self.said_hello = Some(now);
            own.hello(asks)
        })
    }

    fn hello(
        &mut self,
        own: &Own,
        bytes: Bytes,
        asks: bool,
        now: Now,
        time: UnixMillis,
    ) -> Result<Heard, Refusal> {
        let say = if asks { self.greet(own, false, now) } else { None };
        let mut heard = Heard { say: say.into_iter().collect(), ..Heard::default() };
        let is_known = self.bundle.as_ref().is_some_and(|bundle| *bundle.bytes() == bytes);
        let too_soon = self.verified.is_some_and(|before| now.since(before) < VERIFY_EVERY);
        if is_known || too_soon {
            return Ok(heard);
        }
        self.verified = Some(now);
        let bundle = Bundle::verify(bytes, own.log_of(self.node), time)?;
        own.accepts(bundle.certificate(), time)?;
        heard.met = self.admit(own, bundle)?;
        Ok(heard)
    }

    /// Takes a bundle that is newer than the one that is known. Says whether it is of an instance that was not known.
    fn admit(&mut self, own: &Own, bundle: Bundle) -> Result<bool, Refusal> {
        let (agent, instance) = bundle.certificate().whose();
        if agent != AgentId(*self.node.as_bytes()) {
            return Err(Refusal::IdentityMismatch { what: "bundle" });
        }
        own.admits(bundle.certificate())?;
        let known = self.bundle.as_ref().map(|known| (known.epoch(), known.certificate().whose().1));
        if known.is_some_and(|(epoch, _)| epoch >= bundle.epoch()) {
            return Err(Refusal::RolledBack { what: "bundle" });
        }
        self.bundle = Some(bundle);
        Ok(known.is_none_or(|(_, before)| before != instance))
    }

    fn sealed(&mut self, own: &Own, bytes: &Bytes, time: UnixMillis) -> Result<Heard, Refusal> {
        let Opened { payload, from, evidence, ask: _, pending } =
            self.sessions.open(own.receiver(), bytes, &self.receiving, time)?;
        let peer = self.bundle.as_ref().map(Bundle::certificate).filter(|peer| peer.whose() == from);
        // One that is not the node's, or not its present instance's: what an instance that is gone said may be said again by
        // anybody.
        let peer = peer.ok_or(Refusal::IdentityMismatch { what: "sealed message" })?;
        own.admits(peer)?;
        own.accepts(peer, time)?;
        // No session between nodes uses a one-time prekey.
        let committed = self.sessions.commit(pending, &mut Prekeys::new(), own.policy(), time);
        committed.map_err(|_| Refusal::Duplicate)?;
        Ok(Heard { message: Some(Message { payload, evidence }), ..Heard::default() })
    }

    fn request(&mut self, own: &Own, bytes: &[u8], time: UnixMillis) -> Result<Heard, Refusal> {
        let opened = Request::open(own.receiver(), bytes, &self.window, time)?;
        if opened.from.0 != AgentId(*self.node.as_bytes()) {
            return Err(Refusal::IdentityMismatch { what: "request" });
        }
        if !self.asked.allow(opened.from.0, time) {
            return Err(Refusal::Full { what: "request of this peer", max: Limiter::BURST as usize });
        }
        self.window.take(opened.name, opened.created, time)?;
        self.sessions.honour(&opened, time)?;
        Ok(Heard::default())
    }

    /// What follows when a frame was refused: a hello, for a peer that talks to an instance that is gone, and a request to
    /// begin anew.
    pub fn refused(
        &mut self,
        own: &Own,
        refusal: &Refusal,
        frame: &[u8],
        now: Now,
        time: UnixMillis,
        entropy: &mut dyn Entropy,
    ) -> Vec<Frame> {
        if matches!(refusal, Refusal::IdentityMismatch { .. }) {
            return self.greet(own, true, now).into_iter().collect();
        }
        let Some(Ask::Reset) = refusal.ask() else { return Vec::new() };
        let Some(session) = frame.get(4..20).and_then(|tag| tag.try_into().ok()) else { return Vec::new() };
        let mut say: Vec<Frame> = self.greet(own, !self.is_known(), now).into_iter().collect();
        let request = Request { kind: RequestKind::Reset, session };
        if let Some(bundle) = &self.bundle
            && self.requests.allow(AgentId(*self.node.as_bytes()), time)
            && let Ok(sealed) = request.seal(own.instance(), bundle, time, entropy)
        {
            say.push(Frame::Request(sealed));
        }
        say
    }

    /// Erases what no frame can need any more.
    pub fn expire(&mut self, own: &Own, time: UnixMillis) {
        self.sessions.expire(own.policy(), time);
    }
}

/// What a seal of a frame is bound to: from whom to whom it goes.
fn frame_context(from: NodeId, to: NodeId) -> Context {
    Context::from_bytes(Bytes::from([b"frame".as_slice(), from.as_bytes(), to.as_bytes()].concat()))
}

#[cfg(test)]
mod tests;
