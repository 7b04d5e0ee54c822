//! Dead letters about durable messages: what failed, and what crashed its agent too often.

use bytes::Bytes;
use connectome_codecs::Sequence;
use tokio::time::sleep;

use super::super::opening::Letter;
use super::super::{AGENT_MESSAGES, name_of};
use super::{Event, RETRY, Work};
use crate::dead_letters::{Buried, Reason};
use crate::error::CallError;
use crate::port::Publish;
use crate::router::Router;
use crate::streams::DEAD_LETTERS;

impl Work {
    pub(super) fn bury_and_pass(&mut self, sequence: Sequence, error: &CallError, state: Option<Bytes>) {
        let Some(letter) = self.letter(sequence, 1, error.code(), &error.to_string()) else {
            return self.passed(sequence, state);
        };
        let router = self.router.clone();
        self.begin(async move {
            bury(&router, letter).await;
            Event::Passed(sequence, state)
        });
    }

    pub(super) fn set_aside(&mut self, sequence: Sequence, cause: &str, crashes: u32) {
        let code = Reason::Crashed.as_str();
        let Some(letter) = self.letter(sequence, crashes, code, cause) else { return };
        if let Some(Letter { envelope, .. }) = self.letters.get(&sequence) {
            let (to, from) = (envelope.to.clone(), envelope.from.clone());
            self.router.letter(to, from, name_of(envelope), Reason::Crashed, cause);
        }
        let router = self.router.clone();
        self.begin(async move {
            bury(&router, letter).await;
            Event::Buried(sequence)
        });
    }

    fn letter(&self, sequence: Sequence, attempts: u32, code: &str, cause: &str) -> Option<Publish> {
        let stored = self.messages.get(&sequence)?;
        let letter = Buried {
            code: code.to_owned(),
            cause: cause.to_owned(),
            attempts,
            stream: AGENT_MESSAGES.to_owned(),
            subject: stored.subject.clone(),
            // As its sender wrote it, where it was opened: nobody can open it once more.
            payload: self.letters.get(&sequence).and_then(plain).unwrap_or_else(|| stored.body.clone()),
            record: None,
            sealed: None,
        };
        let body = self.router.inner().seals.seal_letter(letter).ok()?.encode().ok()?;
        Some(Publish {
            subject: self.router.subject(&format!("dead.message.{}", self.cell.name)),
            id: stored.id,
            body,
        })
    }
}

fn plain(letter: &Letter) -> Option<Bytes> {
    letter.envelope.encode().ok()
}

/// Stores a dead letter, for as long as it takes.
async fn bury(router: &Router, letter: Publish) {
    while let Err(error) = router.streams().publish(DEAD_LETTERS, letter.clone()).await {
        tracing::warn!(%error, "a dead letter could not be stored; trying again");
        sleep(RETRY).await;
    }
}
