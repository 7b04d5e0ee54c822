//! A secret conversation between two instances: `cxr/1`, over a log that delivers late, twice, or never.
//!
//! ```text
//! sender                                                  receiver
//!   initiate(bundle)  ─ once ─►  Session                    Sessions
//!   reserve ─► write the record ─► confirm   (each 64)        open(&self, bytes) ─► payload, Pending
//!   seal ─► keep the bytes until a receipt ─► publish         handler runs
//!                                                             write records_after(&pending) with its result
//!                                                             commit(pending) ─► acknowledge
//! ```
//!
//! What it promises:
//!
//! - **Opening changes nothing.** It takes `&self`; what it found is a [`Pending`] that the caller commits together with
//!   its own result. A message whose [`Pending`] is dropped has left no trace, and opens again when it comes again.
//! - **No key is used twice**, whatever crashes: keys are reserved in a record that is written first. A store that was
//!   set back in time does use one again; each message has a random nonce, so that shows its receiver the fact
//!   ([`Refusal::CounterReuse`](crate::Refusal::CounterReuse)) and an onlooker nothing.
//! - **A retry sends the same bytes.** Sealing again is another message.
//! - **A stolen state opens nothing earlier**, and nothing later once both sides took a turn. What is kept for messages
//!   that are late is the exception, and its age is the stream's.
//! - **Nothing is worked out for a stranger's message** to a session before its header is proved.
//!
//! It does not write, send, retry, or keep what was sent for a receipt; it does not choose whom to talk to; it looks at no
//! clock. One record is written at a time: what was computed later is written later.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use bytes::Bytes;
//! use connectome_codecs::identity::{Bundle, Certificate, Claims, Instance, InstanceId, InstanceKeys, Prekeys, Suite};
//! use connectome_codecs::key::{Secret, SigningKey};
//! use connectome_codecs::session::{Context, Policy, Receiver, Sealing, Sessions, initiate};
//! use connectome_codecs::{AgentId, UnixMillis};
//!
//! let now = UnixMillis(1_800_000_000_000);
//! let policy = Policy::default();
//! # let mut counter = 0u64;
//! # let mut system = |bytes: &mut [u8]| for chunk in bytes.chunks_mut(8) {
//! #     counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
//! #     chunk.copy_from_slice(&counter.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes()[..chunk.len()]);
//! # };
//! // An instance: an agent's key stands behind keys that it makes when it starts. (`system` is the system's randomness.)
//! let mut instance = |name: &str| {
//!     let agent = SigningKey::from_seed(&Secret::random(&mut system));
//!     let keys = InstanceKeys::random(&mut system);
//!     let claims = Claims {
//!         agent: AgentId(*agent.verifying_key().as_bytes()),
//!         name: name.parse()?,
//!         instance: InstanceId([1; 16]),
//!         signing: *keys.signing.verifying_key().as_bytes(),
//!         dh: keys.dh.public(),
//!         bindings: vec![],
//!         not_before: now,
//!         not_after: UnixMillis(now.0 + 86_400_000),
//!         capabilities: vec![],
//!         serial: 1,
//!     };
//!     let certificate = Certificate::issue(&claims, &agent, &keys, &[]);
//!     Ok::<_, Box<dyn std::error::Error>>(Instance::new(keys, certificate)?)
//! };
//! let (ada, bob) = (instance("ada")?, instance("bob")?);
//!
//! // Bob publishes what others need, and sleeps.
//! let mut prekeys = Prekeys::new();
//! let suites = [Suite::Classic, Suite::Hybrid];
//! let published = prekeys.rotate(bob.certificate(), bob.keys(), &suites, policy.retention, now, &mut system);
//!
//! // Ada begins a session, reserves keys (her record is written here), and seals.
//! let bundle = Bundle::verify(published.bytes().clone(), None, now)?;
//! let mut session = initiate(&ada, &bundle, None, &policy, now, &mut system)?;
//! session.reserve(now, &mut system)?;
//! let _written = session.encode();
//! session.confirm();
//! let context = Context::from_bytes(Bytes::from("the envelope around it"));
//! let sealing = Sealing { key: &ada.keys().signing, each: true, padded: false };
//! let sealed = session.seal(&context, Bytes::from("hello"), sealing, &mut system)?;
//!
//! // Bob wakes, opens, does what it says, writes both down, and commits.
//! let mut sessions = Sessions::new();
//! let directory = BTreeMap::new();
//! let receiver = Receiver { instance: &bob, prekeys: &prekeys, directory: &directory, policy: &policy };
//! let opened = sessions.open(receiver, &sealed.bytes, &context, now)?;
//! assert_eq!(opened.payload, "hello");
//! assert_eq!(opened.from, ada.certificate().whose());
//! let _written = sessions.records_after(&opened.pending, receiver, now)?;
//! sessions.commit(opened.pending, &mut prekeys, &policy, now)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what |
//! |---|---|
//! | `handshake`, `init` | how two instances that never met get a secret in common |
//! | `ratchet`, `chain`, `sending` | how keys move on |
//! | `header`, `context` | what a message says in the open, and what its seal is bound to |
//! | `sealing`, `opening` | a message in, bytes out, and back |
//! | `record` | a session's bytes at rest |
//! | `sessions` | all sessions of an instance; two that began at once; first messages that come twice |
//! | `request` | asking a peer to begin anew, or to send again |
//! | `replay` | what may be taken once, where there is no session |
//! | `policy` | what one side asks for |

mod chain;
mod context;
mod handshake;
pub(crate) mod header;
mod init;
mod opening;
mod padding;
mod policy;
mod ratchet;
mod record;
mod replay;
mod request;
mod sealing;
mod sending;
mod sessions;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

pub use chain::{CONSUMED_MAX, JUMP_MAX, SKIPPED_MAX};
pub use context::Context;
pub use handshake::initiate;
pub use opening::{Opened, Pending};
pub use policy::{Policy, Signatures, Verify};
pub use ratchet::{CHAINS_MAX, FORGOTTEN_MAX};
pub use record::RECORD_MAX;
pub use replay::{REPLAYS_MAX, ReplayWindow};
pub use request::{Limiter, OpenedRequest, Request, RequestKind};
pub use sealing::{Draft, PAYLOAD_MAX, SealError, Sealed, Sealing};
use sending::Reservation;
pub use sending::{CHAIN_AGE_MAX, RESERVATION};
pub(crate) use sending::{Mark as Reserved, Sending};
pub use sessions::{AlreadyHandled, PER_PEER_MAX, Receiver, Records, SESSIONS_MAX, Sessions};

pub(crate) use chain::{Advance, Found, Receiving};
pub(crate) use padding::{pad, unpad};

use crate::id::UnixMillis;
use crate::identity::{Certificate, Suite};
use crate::key::Digest;
use crate::key::derive::MacKey;
use crate::signature::SignedBatch;
use ratchet::Ratchet;

/// Names a session: both sides derive it from their handshake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 32]);

impl SessionId {
    /// The part that stands in headers.
    pub fn tag(&self) -> [u8; 16] {
        *self.0.first_chunk().expect("32 bytes begin with 16")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({:02x}{:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// How a session began, and whether the peer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Opening {
    /// We began it, and have heard nothing: every message carries the init.
    Unanswered(Bytes),
    /// We began it, and the peer has answered.
    Answered,
    /// The peer began it, with the init of this name.
    Accepted { init: Digest, created: UnixMillis },
}

/// One end of a secret conversation between two instances.
pub struct Session {
    id: SessionId,
    header_key: MacKey,
    suite: Suite,
    own_certificate: Digest,
    peer: Certificate,
    opening: Opening,
    ratchet: Ratchet,
    /// Signed batches that were verified, the newest first.
    batches: VecDeque<SignedBatch>,
    /// Our turn is to be taken as soon as it is due: after a restart, or when the peer asks.
    wants_step: bool,
    /// The peer is to be asked to take its turn.
    asks_for_step: bool,
    /// The peer is to be asked once more after our next turn.
    refreshes: bool,
    /// A reservation is being written.
    reserving: Option<Reservation>,
    /// Since when nothing is sent on it any more.
    closed: Option<UnixMillis>,
    /// Since when another session with the same peer is sent on. Begins anew with each start.
    spare: Option<UnixMillis>,
}

impl Session {
    /// Its name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The peer's certificate, as it was when the session began.
    pub fn peer(&self) -> &Certificate {
        &self.peer
    }

    /// Which primitives it uses.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether nothing is sent on it any more. It still opens what comes.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Asks for new keys on both sides as soon as messages go both ways: when state may have been stolen. After our next
    /// turn and the peer's turn on it, what was stolen is useless.
    pub fn refresh(&mut self) {
        self.wants_step = true;
        self.asks_for_step = true;
        self.refreshes = true;
    }

    fn close(&mut self, now: UnixMillis) {
        self.closed.get_or_insert(now);
    }

    /// A copy as it is at rest: what is reserved counts as confirmed, and no key of a message that may be sent is there.
    fn at_rest(&self) -> Self {
        let mut copy = Self {
            id: self.id,
            header_key: self.header_key.duplicate(),
            suite: self.suite,
            own_certificate: self.own_certificate,
            peer: self.peer.clone(),
            opening: self.opening.clone(),
            ratchet: self.ratchet.at_rest(),
            batches: VecDeque::new(),
            wants_step: self.wants_step,
            asks_for_step: self.asks_for_step,
            refreshes: self.refreshes,
            reserving: self.reserving.as_ref().map(Reservation::at_rest),
            closed: self.closed,
            spare: self.spare,
        };
        copy.confirm();
        copy
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (agent, instance) = self.peer.whose();
        write!(f, "Session({:?}, {}, with {} {instance}, ..)", self.id, self.suite, agent.short())
    }
}
