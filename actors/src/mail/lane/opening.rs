//! Opening a message when its turn has come, and what becomes of one that does not open.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::refusal::{RETRY_MAX, Refusal, Verdict};
use connectome_codecs::{Envelope, Sequence};
use tokio::time::{Instant, sleep};

use super::super::opening::{Letter, NotOpened, Opener};
use super::reading::id_of;
use super::{Event, RETRY, Work};
use crate::error::CallError;
use crate::port::Stored;
use crate::protocol::delivery::RECENT_MAX;

/// How long it waits before it tries to open a message again that may open later.
const LATER: Duration = Duration::from_secs(1);

impl Work {
    pub(super) fn open_letter(&mut self, sequence: Sequence) {
        let Some(stored) = self.messages.get(&sequence) else { return };
        self.openings += 1;
        let (opener, body, opening) = (self.opener.clone(), stored.body.clone(), self.openings);
        self.opening = Some((sequence, opening));
        self.begin(
            async move { Event::Opened(sequence, opening, Box::new(opener.open_at_last(&body).await)) },
        );
    }

    pub(super) fn opened(&mut self, sequence: Sequence, opening: u64, opened: Result<Letter, NotOpened>) {
        if self.opening != Some((sequence, opening)) {
            return;
        }
        self.opening = None;
        match opened {
            Ok(letter) => {
                let (envelope, evidence) = (letter.envelope.clone(), letter.evidence.clone());
                self.letters.insert(sequence, letter);
                if self.was_stored_twice(sequence, &envelope) {
                    self.passed(sequence, None);
                } else {
                    self.push(sequence, envelope, evidence);
                }
            }
            Err(NotOpened::Refused(refusal)) => self.refused(sequence, &refusal),
            Err(error @ (NotOpened::Malformed(_) | NotOpened::Later(_) | NotOpened::Overtaken(_))) => {
                self.bury_unopened(sequence, error.to_string());
            }
        }
    }

    /// Whether its sender stored it under another name once more, and the first one was applied all the same.
    fn was_stored_twice(&self, sequence: Sequence, envelope: &Envelope) -> bool {
        let name = self.messages.get(&sequence).map(id_of);
        let is_applied = self.protocol.has_applied(&envelope.id) && !self.unopened.contains(&envelope.id);
        name != Some(envelope.id) && is_applied
    }

    fn refused(&mut self, sequence: Sequence, refusal: &Refusal) {
        self.router.inner().peers.count_refusal(refusal);
        match refusal.verdict() {
            Verdict::Acknowledge => self.passed(sequence, None),
            Verdict::Retry | Verdict::SetAside => self.bury_unopened(sequence, refusal.to_string()),
        }
    }

    fn bury_unopened(&mut self, sequence: Sequence, problem: String) {
        tracing::warn!(agent = %self.cell.name, %sequence, problem, "a durable message was not opened");
        if let Some(stored) = self.messages.get(&sequence) {
            self.unopened.truncate(RECENT_MAX - 1);
            self.unopened.push_front(id_of(stored));
        }
        let error = CallError::BadMessage { message: "-".to_owned(), problem };
        self.bury_and_pass(sequence, &error, None);
    }
}

impl Opener {
    /// Opens it as soon as the store lets it.
    async fn open_when_it_can(&self, stored: &Bytes) -> Result<Letter, NotOpened> {
        loop {
            match self.open(stored).await {
                Err(NotOpened::Later(why)) => {
                    tracing::debug!(why, "a durable message can't be opened yet");
                    sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    /// The same, and tries again for a while what may open later.
    async fn open_at_last(&self, stored: &Bytes) -> Result<Letter, NotOpened> {
        let began = Instant::now();
        loop {
            match self.open_when_it_can(stored).await {
                Err(NotOpened::Refused(refusal))
                    if refusal.verdict() == Verdict::Retry
                        // Its session's first message comes with it, or never.
                        && refusal != Refusal::UnknownSession
                        && began.elapsed() < RETRY_MAX =>
                {
                    sleep(LATER).await;
                }
                done => return done,
            }
        }
    }

    /// Sees that the key of a message which is in a saved state is gone for good. False: it may not be removed, since another
    /// owner of the agent is at work.
    pub(super) async fn used_up(&self, letter: Option<Letter>, stored: Option<Stored>) -> bool {
        let key = match (letter, stored) {
            (Some(letter), _) => letter.key,
            // Handled by the owner before, who did not come to remove it.
            (None, Some(stored)) => {
                self.open_when_it_can(&stored.body).await.ok().and_then(|letter| letter.key)
            }
            (None, None) => None,
        };
        let Some(key) = key else { return true };
        match self.consume(key).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the key of a durable message is left to the next owner");
                false
            }
        }
    }
}
