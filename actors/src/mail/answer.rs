//! What becomes of a durable message in its agent's hands, on its way back to the lane.

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::CallError;
use crate::parcel::Answer;

/// How the agent dealt with a message.
pub(super) enum Outcome {
    /// To the end, with an error where there is one.
    Done { error: Option<CallError>, state: Option<Bytes> },
    /// It crashed over it.
    Crashed(String),
    /// It was never begun.
    Withdrawn,
}

/// Brings an agent's outcome back to its lane.
pub(super) struct LaneAnswer {
    told: Option<oneshot::Sender<Outcome>>,
    gone: CancellationToken,
}

impl LaneAnswer {
    pub(super) fn new(told: oneshot::Sender<Outcome>, gone: CancellationToken) -> LaneAnswer {
        LaneAnswer { told: Some(told), gone }
    }
}

impl Answer for LaneAnswer {
    fn give(mut self: Box<Self>, result: Result<Bytes, CallError>, state: Option<Bytes>) {
        let outcome = match result {
            Ok(_) => Outcome::Done { error: None, state },
            Err(CallError::Crashed(cause)) => Outcome::Crashed(cause),
            Err(CallError::Stopped(_) | CallError::NotStarted(_)) => Outcome::Withdrawn,
            Err(error) => Outcome::Done { error: Some(error), state },
        };
        if let Some(told) = self.told.take() {
            // A lane that has ended leaves the message to its successor.
            drop(told.send(outcome));
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    fn takes_back(&self) -> bool {
        true
    }

    fn wants_state(&self) -> bool {
        true
    }
}
