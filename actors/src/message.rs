//! What an agent can be told: the [`Message`] trait and the wire name it travels under.

use connectome_codecs::message::{Status, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that can be sent to an agent, near or far.
///
/// Derive it. The name is what other nodes know the type by, so it must stay the same across versions; the reply is
/// what a `call` returns.
///
/// ```
/// use connectome_actors::Message;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(name = "greet", reply = String, crate = connectome_actors)]
/// struct Greet { name: String }
///
/// assert_eq!(Greet::NAME, "greet");
/// ```
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The wire name: `[A-Za-z0-9._-]`, stable across versions.
    const NAME: &'static str;

    /// What a `call` with this message answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// Plain text, for agents that understand language: the protocol's own `TEXT`.
impl Message for Text {
    const NAME: &'static str = "text";
    type Reply = ();
}

/// How an agent is doing: the protocol's own `STATUS`.
impl Message for Status {
    const NAME: &'static str = "status";
    type Reply = ();
}

/// A message whose answer comes in pieces: `#[message(name = "count", reply = (), item = u64)]`.
///
/// The pieces arrive in order, at the reader's pace; the reply ends them.
pub trait Streaming: Message {
    /// One piece of the answer.
    type Item: Serialize + DeserializeOwned + Send + 'static;
}
