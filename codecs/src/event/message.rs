//! What happens to messages.

use serde::{Deserialize, Serialize};

use crate::address::{Address, AgentName};
use crate::id::MessageId;
use crate::message::Kind;

/// A message reached its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageReceived {
    /// Which message.
    pub message: MessageId,
    /// Its kind.
    pub kind: Kind,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Address>,
    /// Who received it.
    pub to: AgentName,
    /// The size of its body.
    pub bytes: u64,
}

super::always_valid!(MessageReceived);
