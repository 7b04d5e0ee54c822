//! What an agent needs: `use connectome::prelude::*`.

pub use serde::{Deserialize, Serialize};

pub use crate::codecs::event::{self, EventType, Fact};
pub use crate::codecs::{Address, AgentName, MessageId, TaskId};
pub use crate::{
    Agent, AgentRef, AgentSpec, CallError, Config, Context, Down, Exit, Handle, HandlerError, ItemSink,
    MailboxConfig, Message, Node, Overflow, Restart, StopWithin, Strategy, Streaming, Submit, SupervisorSpec,
    Table, Timer,
};
