//! Where a message goes: to an agent's name, to an agent's key, or to whoever can do something.
//!
//! An address is parsed once, at the edge, and prints as it was written. What it leads to is the router's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::AgentId;
use crate::limits;
use crate::text::{ParseError, bounded_text};

/// Where a message goes.
///
/// ```
/// use connectome_codecs::Address;
///
/// for text in ["greeter", "shop/eu/till-3", "can:summarise"] {
///     assert_eq!(text.parse::<Address>()?.to_string(), text);
/// }
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The agent of this name, wherever it lives: `greeter`.
    Agent(AgentName),
    /// The agent that holds this key, whatever its name: `did:key:z6Mk...`.
    Id(AgentId),
    /// Any agent that can do this: `can:summarise`.
    Capability(Capability),
}

impl Address {
    /// What the text of a capability's address begins with.
    pub const CAPABILITY_PREFIX: &'static str = "can:";
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => fmt::Display::fmt(name, f),
            Self::Id(id) => fmt::Display::fmt(id, f),
            Self::Capability(capability) => write!(f, "{}{capability}", Self::CAPABILITY_PREFIX),
        }
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.starts_with(AgentId::PREFIX) {
            text.parse().map(Self::Id)
        } else if let Some(capability) = text.strip_prefix(Self::CAPABILITY_PREFIX) {
            capability.parse().map(Self::Capability)
        } else if let Some(colon) = text.find(':') {
            Err(unknown_scheme(text, colon))
        } else {
            text.parse().map(Self::Agent)
        }
    }
}

fn unknown_scheme(text: &str, colon: usize) -> ParseError {
    let right = "write an agent's name (greeter), its id (did:key:z6Mk...) or a capability (can:summarise)";
    ParseError::new("address", text, "':'", right).at(colon)
}

impl From<AgentName> for Address {
    fn from(name: AgentName) -> Self {
        Self::Agent(name)
    }
}

impl From<AgentId> for Address {
    fn from(id: AgentId) -> Self {
        Self::Id(id)
    }
}

impl From<Capability> for Address {
    fn from(capability: Capability) -> Self {
        Self::Capability(capability)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

bounded_text! {
    /// The name of an agent: segments of letters, digits, `_` and `-`, joined by `/`; 1 to 128 bytes. Clones are cheap.
    ///
    /// ```
    /// use connectome_codecs::AgentName;
    ///
    /// const GREETER: AgentName = AgentName::from_static("shop/greeter");
    /// assert_eq!("shop/greeter".parse::<AgentName>()?, GREETER);
    /// assert!("shop//greeter".parse::<AgentName>().is_err());
    /// # Ok::<(), connectome_codecs::ParseError>(())
    /// ```
    AgentName, "agent name", limits::AGENT_NAME_MAX, Path,
    "write 1 to 128 of A-Z a-z 0-9 _ - in segments joined by /"
}

bounded_text! {
    /// Something an agent can do, such as `summarise`: letters, digits, `.`, `_` and `-`; 1 to 64 bytes.
    Capability, "capability", limits::CAPABILITY_MAX, Dotted, "write 1 to 64 of A-Z a-z 0-9 . _ -"
}

bounded_text! {
    /// The wire name of a message type, such as `shop.greet`; it stays the same across versions of the type.
    MessageName, "message name", limits::MESSAGE_NAME_MAX, Dotted, "write 1 to 128 of A-Z a-z 0-9 . _ -"
}
