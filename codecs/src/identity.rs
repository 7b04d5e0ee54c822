//! Whose key is whose: certificates, bundles of prekeys, and the log of an agent's own keys.
//!
//! An agent *is* its key ([`AgentId`], a `did:key`). What runs is an instance with keys of its own, and a
//! [`Certificate`] says that the agent stands behind them. An instance publishes a [`Bundle`], with which anyone can
//! begin a session while it sleeps.
//!
//! ```text
//! agent key ──signs──► Certificate ◄──is in── Bundle ──► signed prekey (X25519), ML-KEM-768 prekey
//!    │                 instance's keys,          ▲
//!    │                 node, libp2p, NATS        └── signed by the instance; with it come one-time prekeys
//!    └──signs──► IdentityLog: rotated keys, revoked certificates
//! ```
//!
//! What is signed is an array in the one form of `wire/canonical`, and the signature is over the exact bytes that came:
//! nothing is written anew to be verified. The bytes are kept, so what was verified can be shown to others.
//!
//! Storage is not trusted with any of it. It can withhold, and show what was true before; [`Pins`] notices the latter.
//! Whom one talks to is decided by [`Acceptance`], from lists and [vouchers](Voucher).
//!
//! | file | what |
//! |---|---|
//! | `certificate`, `binding` | an instance's keys, and the keys that it has elsewhere |
//! | `log` | the keys of an agent over time, and what it took back |
//! | `suite` | which primitives two instances use together |
//! | `bundle`, `prekeys` | what others need to begin, and its private half |
//! | `pool` | the prekey that all instances of a name share |
//! | `pins` | what may not get older |
//! | `acceptance`, `voucher` | whom one talks to, and who says so |

mod acceptance;
mod binding;
mod bundle;
mod card;
mod certificate;
mod kept;
mod log;
mod pins;
mod pool;
mod prekeys;
#[cfg(test)]
pub(crate) mod sample;
mod suite;
mod voucher;

use std::collections::BTreeMap;
use std::time::Duration;

pub use acceptance::{Accept, Acceptance};
pub use binding::{Binding, BindingKind};
pub use bundle::{BUNDLE_MAX, Bundle, OneTimePrekey};
pub(crate) use bundle::{read_id, read_signed};
use bytes::Bytes;
pub use card::Card;
pub use certificate::{CERTIFICATE_MAX, Certificate, Claims, Instance, InstanceId, InstanceKeys};
pub use kept::KeptKeys;
pub use log::IdentityLog;
pub use pins::Pins;
pub use pool::{PoolKeys, PoolPrekey};
pub use prekeys::{GRACE, ONE_TIME_LIFE, ONE_TIME_MAX, Prekeys, ROTATION};
pub(crate) use prekeys::{OneTimeUse, read_secret};
pub use suite::{Suite, Suites};
pub use voucher::{VOUCHER_MAX, Voucher};

use crate::id::{AgentId, UnixMillis};
use crate::refusal::Refusal;

/// How far the clocks of two nodes may differ: NTP keeps them within a second, and a machine without it drifts this far
/// in some weeks.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// The longest life of a bundle: how long storage can show an old one to somebody who never saw a newer.
pub const BUNDLE_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where the logs of agents are found: those that an agent has must be handed in, or keys that it took back still hold.
pub trait Directory {
    /// The newest log of an agent, if it has one.
    fn log(&self, agent: AgentId) -> Option<&IdentityLog>;

    /// Verifies a certificate that anyone may have written. Whoever meets the same ones again and again may remember
    /// those that it has verified, and look at their dates alone.
    ///
    /// # Errors
    /// As [`Certificate::verify`].
    fn verify(&self, certificate: Bytes, now: UnixMillis) -> Result<Certificate, Refusal> {
        let log = self.log(Certificate::agent_of(&certificate)?);
        Certificate::verify(certificate, log, now)
    }
}

impl Directory for BTreeMap<AgentId, IdentityLog> {
    fn log(&self, agent: AgentId) -> Option<&IdentityLog> {
        self.get(&agent)
    }
}

/// Refuses what begins in the future.
fn has_begun(what: &'static str, begin: UnixMillis, now: UnixMillis) -> Result<(), Refusal> {
    if begin > now.after(CLOCK_SKEW_MAX) { Err(Refusal::ClockSkew { what }) } else { Ok(()) }
}

/// Refuses another version than the first.
pub(crate) fn check_version(what: &'static str, version: u64) -> Result<(), Refusal> {
    if version == 1 { Ok(()) } else { Err(Refusal::UnsupportedVersion { what, version }) }
}
