//! What of a lane is saved with its agent's state.

use connectome_codecs::{MessageId, Sequence};
use serde::{Deserialize, Serialize};

/// What of a lane is saved with its agent's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// Every message of the lane up to this one is in the state.
    pub cursor: Sequence,
    /// The last ids that are, with their sequences, oldest first; at most [`super::RECENT_MAX`].
    pub recent: Vec<(Sequence, MessageId)>,
    /// The message that was about to be handled under suspicion.
    pub trial: Option<Trial>,
}

/// A message under suspicion: it is handled alone, after this was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub sequence: Sequence,
    /// Ends of its agent, or of the process, that it is known to have caused.
    pub crashes: u32,
}
