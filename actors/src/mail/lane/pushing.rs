//! What the agent is given, and what becomes of it there.

use std::sync::Arc;

use bytes::Bytes;
use connectome_codecs::event::MessageReceived;
use connectome_codecs::signature::Evidence;
use connectome_codecs::{Address, Envelope, Fact, Sequence};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::super::answer::{LaneAnswer, Outcome};
use super::{Event, Work};
use crate::agent_ref::push;
use crate::parcel::{Encoded, Meta};
use crate::protocol::delivery::Input;

/// The message that the agent has, or will find in its mailbox.
pub(super) struct Pushed {
    sequence: Sequence,
    outcome: oneshot::Receiver<Outcome>,
    /// Cancelled when the agent crashes before the message's turn.
    gone: CancellationToken,
}

/// What becomes of the message that was pushed; never, while there is none.
pub(super) async fn outcome_of(pushed: &mut Option<Pushed>) -> Outcome {
    match pushed {
        Some(pushed) => (&mut pushed.outcome).await.unwrap_or(Outcome::Withdrawn),
        None => std::future::pending().await,
    }
}

impl Work {
    pub(super) fn push(&mut self, sequence: Sequence, envelope: Envelope, evidence: Option<Arc<Evidence>>) {
        let gone = CancellationToken::new();
        let (told, outcome) = oneshot::channel();
        self.pushed = Some(Pushed { sequence, outcome, gone: gone.clone() });
        let meta = Meta {
            from: envelope.from.clone(),
            attempt: envelope.attempt.0,
            trace: envelope.trace.clone().map(Arc::new),
            evidence,
            ..Meta::default()
        };
        let answer = LaneAnswer::new(told, gone);
        let parcel = Encoded { envelope, answer: Some(Box::new(answer)), meta };
        let (router, cell) = (self.router.clone(), self.cell.clone());
        self.begin(async move {
            // Refused or dropped, the parcel answers for itself.
            drop(push(&router, &cell, Box::new(parcel), None).await);
            Event::Nothing
        });
    }

    pub(super) fn handled(&mut self, outcome: Outcome) {
        let Some(Pushed { sequence, .. }) = self.pushed.take() else { return };
        match outcome {
            // Nobody waits for the answer of a durable message, so its error is kept where someone looks.
            Outcome::Done { error: Some(error), state } => self.bury_and_pass(sequence, &error, state),
            Outcome::Done { error: None, state } => self.passed(sequence, state),
            Outcome::Crashed(cause) => self.tell(Input::Crashed { sequence: Some(sequence), cause }),
            Outcome::Withdrawn => {}
        }
    }

    /// What the incarnation that has ended did to the message it had; where it never came to it, the message is
    /// withdrawn from the mailbox, to be pushed again.
    pub(super) fn last_outcome(&mut self) {
        // What was being opened is opened anew for the next one.
        self.opening = None;
        let Some(pushed) = &mut self.pushed else { return };
        match pushed.outcome.try_recv() {
            Ok(outcome) => self.handled(outcome),
            Err(_) => {
                pushed.gone.cancel();
                self.pushed = None;
            }
        }
    }

    /// The state and the cursor that says what is in it change together.
    pub(super) fn passed(&mut self, sequence: Sequence, state: Option<Bytes>) {
        if state.is_some() {
            self.state = state;
        }
        if self.router.inner().config.message_events
            && let Some(received) = self.letters.get(&sequence).and_then(|letter| received(&letter.envelope))
        {
            let router = self.router.clone();
            self.begin(async move {
                router.say(Fact::MessageReceived(received)).await;
                Event::Nothing
            });
        }
        self.tell(Input::Handled { sequence });
    }
}

fn received(envelope: &Envelope) -> Option<MessageReceived> {
    let Address::Agent(to) = envelope.to.clone() else { return None };
    let bytes = envelope.body.len() as u64;
    Some(MessageReceived {
        message: envelope.id,
        kind: envelope.kind,
        from: envelope.from.clone(),
        to,
        bytes,
    })
}
