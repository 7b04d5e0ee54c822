//! What is kept of an agent that can be found: its record, whose node signed it, and for how long it holds.
//!
//! A node signs the bytes of a [`Registration`]; [`Signed`] carries both, so that whoever checks the signature needs no
//! second form of the record. Here are forms and bounds; the keys, and what is believed when, are elsewhere. The flow
//! from the publish to the entry that everyone watches is in `actors/src/registration.rs`.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::address::AgentName;
use crate::id::{NodeId, UnixMillis};
use crate::limits::{DETAIL_MAX, REGISTRATION_MAX};
use crate::message::{AgentRecord, Invalid, ensure, label};
use crate::text::open_enum;
use crate::wire::{self, DecodeError, EncodeError};

/// What a registration may ask for as its time to live, in seconds: under 5 s heartbeats would be most of the load, after
/// an hour nobody knows any more what it meant.
pub const TTL_S: std::ops::RangeInclusive<u32> = 5..=3_600;

open_enum! {
    /// Whose heartbeats say that an agent is there.
    Presence, "presence", {
        /// Its node's: the agent is there as long as its node is heard.
        Node = "node",
        /// Its own, in the stream of discovery: it lives on no node.
        Agent = "agent",
    }
}

/// An agent that can be found, as its node says.
///
/// ```
/// use connectome_codecs::message::AgentRecord;
/// use connectome_codecs::registration::{Presence, Registration};
/// use connectome_codecs::{NodeId, UnixMillis};
///
/// let agent = AgentRecord {
///     name: "greeter".parse()?,
///     id: None,
///     role: None,
///     capabilities: vec!["greet".parse()?],
///     version: "1".to_owned(),
///     in_flight: 0,
///     term: None,
/// };
/// let registration = Registration {
///     agent,
///     node: NodeId([7; 32]),
///     incarnation: 1_000,
///     issued: UnixMillis(1_500),
///     ttl_s: 900,
///     presence: Presence::Node,
/// };
/// assert_eq!(Registration::decode(&registration.encode()?)?, registration);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its name, id (its key), role, capabilities, version, and term where several nodes offer it. `in_flight` is 0.
    pub agent: AgentRecord,
    /// The node, by the key that signed this.
    pub node: NodeId,
    /// Which life of the node, in milliseconds since 1970.
    pub incarnation: u64,
    /// When it was signed, by the node's clock; later in each further one that the node signs.
    pub issued: UnixMillis,
    /// For how many seconds it holds unless it is refreshed.
    pub ttl_s: u32,
    /// Whose heartbeats count.
    pub presence: Presence,
}

impl Registration {
    /// Its bytes: what is signed.
    ///
    /// # Errors
    /// When [`validate`](Registration::validate) says no.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        self.validate()?;
        wire::encode(self)
    }

    /// Reads it from bytes that anyone may have written.
    ///
    /// # Errors
    /// When they are no registration, or one that breaks a rule.
    pub fn decode(bytes: &[u8]) -> Result<Registration, DecodeError> {
        check_length("registration", bytes)?;
        let registration: Registration = wire::decode(bytes)?;
        registration.validate()?;
        Ok(registration)
    }

    /// Checks what the types of the fields cannot.
    ///
    /// # Errors
    /// Says which field is wrong, why, and what would be right.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.agent.validate()?;
        ensure(TTL_S.contains(&self.ttl_s), "ttl_s", || {
            format!("{} s; say {} to {}", self.ttl_s, TTL_S.start(), TTL_S.end())
        })?;
        ensure(matches!(self.presence, Presence::Node | Presence::Agent), "presence", || {
            format!("{:?} is not known; say \"node\" or \"agent\"", self.presence.as_str())
        })
    }

    /// For how long it holds unless it is refreshed.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_s.into())
    }

    /// Whether both say the same of the same life of a node; when it was signed does not matter.
    pub fn says_the_same(&self, other: &Registration) -> bool {
        let said = |of: &Registration| (of.node, of.incarnation, of.ttl_s);
        said(self) == said(other) && self.presence == other.presence && self.agent == other.agent
    }
}

/// The bytes of a [`Registration`], and the Ed25519 signature of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What [`Registration::encode`] made, unchanged.
    pub record: Bytes,
    /// 64 bytes. Over what exactly is for whoever signs: `actors/src/registration/signing.rs`.
    pub signature: Bytes,
}

impl Signed {
    /// Its bytes.
    ///
    /// # Errors
    /// When it is longer than one may be.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        wire::encode(self)
    }

    /// Reads it from bytes that anyone may have written, and looks no further: the record may be anything.
    ///
    /// # Errors
    /// When they are too many, or not of this form.
    pub fn decode(bytes: &[u8]) -> Result<Signed, DecodeError> {
        check_length("signed registration", bytes)?;
        wire::decode(bytes)
    }
}

open_enum! {
    /// Why a registration was refused.
    RefusalCode, "refusal", {
        /// It can't be read, or breaks a rule.
        Malformed = "malformed",
        /// It is longer than one may be.
        Oversized = "oversized",
        /// The signature is not that of its node.
        Forged = "forged",
        /// It names another agent than its subject.
        Foreign = "foreign",
        /// It was signed too long ago or in the future, or a newer one of its node is known.
        Stale = "stale",
        /// Another node that lives has the name.
        NameTaken = "name-taken",
        /// Its node is not heard by the one that decides.
        NodeNotHeard = "node-not-heard",
        /// A heartbeat or an end of something that is not registered.
        NotRegistered = "not-registered",
    }
}

/// What the registering side is told when the answer is no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which agent.
    pub agent: AgentName,
    /// The node that asked, where its record could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// When what was refused was signed, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<UnixMillis>,
    /// Why.
    pub code: RefusalCode,
    /// Who has the name, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<NodeId>,
    /// Why, and what would be right, for people.
    pub detail: String,
}

impl Refusal {
    /// Its bytes.
    ///
    /// # Errors
    /// When the detail is empty or too long.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        self.validate()?;
        wire::encode(self)
    }

    /// Reads it from bytes that anyone may have written.
    ///
    /// # Errors
    /// When they are no refusal.
    pub fn decode(bytes: &[u8]) -> Result<Refusal, DecodeError> {
        check_length("refusal", bytes)?;
        let refusal: Refusal = wire::decode(bytes)?;
        refusal.validate()?;
        Ok(refusal)
    }

    fn validate(&self) -> Result<(), Invalid> {
        label("detail", Some(&self.detail), DETAIL_MAX)
    }
}

fn check_length(what: &'static str, bytes: &[u8]) -> Result<(), DecodeError> {
    let (length, max) = (bytes.len(), REGISTRATION_MAX);
    if length > max { Err(DecodeError::TooLong { what, length, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> Registration {
        let agent = AgentRecord {
            name: "greeter".parse().unwrap(),
            id: None,
            role: None,
            capabilities: Vec::new(),
            version: "1".to_owned(),
            in_flight: 0,
            term: None,
        };
        Registration {
            agent,
            node: NodeId([7; 32]),
            incarnation: 1,
            issued: UnixMillis(2),
            ttl_s: 900,
            presence: Presence::Node,
        }
    }

    /// What breaks a rule is neither written nor read, and the error names the field.
    #[test]
    fn rules_hold_both_ways() {
        let short = Registration { ttl_s: 1, ..registration() };
        let strange = Registration { presence: Presence::Unknown("ghost".into()), ..registration() };
        for (wrong, field) in [(short, "ttl_s"), (strange, "presence")] {
            assert!(wrong.encode().unwrap_err().to_string().contains(field));
            let error = Registration::decode(&wire::encode(&wrong).unwrap()).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    /// Too many bytes are refused before they are looked at.
    #[test]
    fn what_is_too_long_is_refused() {
        let error = Signed::decode(&vec![0x80; REGISTRATION_MAX + 1]).unwrap_err();
        assert!(error.to_string().contains("4096"), "{error}");
    }
}
