//! Dead letters: what was given up keeps its seal, or gets one.

use bytes::Bytes;
use connectome_codecs::message::{Body, Task};
use connectome_codecs::seal::{SealedBody, StoreKey};
use connectome_codecs::{ContentType, Envelope, Kind, wire};
use serde::{Deserialize, Serialize};

use super::Seals;
use crate::dead_letters::Buried;
use crate::port::StreamError;

/// What the key of all dead letters is for.
const PURPOSE: &str = "dead";

/// Letters are written once.
const GENERATION: u64 = 1;

/// What of a dead letter is for the owner alone.
#[derive(Serialize, Deserialize)]
struct Secrets {
    cause: String,
    /// The body of the envelope, as a sealed body has it, where it was in the open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Bytes>,
    /// All of it, where it was no envelope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<Bytes>,
}

impl Seals {
    /// The letter as it is kept. A task's record in it is sealed already.
    ///
    /// # Errors
    /// When it is too large for one frame; then the payload is the reason.
    pub(crate) fn seal_letter(&self, mut letter: Buried) -> Result<Buried, StreamError> {
        if !self.enabled {
            return Ok(letter);
        }
        let mut secrets = Secrets { cause: std::mem::take(&mut letter.cause), body: None, payload: None };
        match Envelope::decode(letter.payload.clone()) {
            Ok(envelope) if is_sealed(&envelope) => {}
            Ok(mut envelope) => {
                let body = SealedBody::wrap(&envelope.content_type, &envelope.body);
                secrets.body = Some(Bytes::copy_from_slice(&body));
                (envelope.content_type, envelope.body) = (ContentType::Sealed, Bytes::new());
                letter.payload = envelope.encode().map_err(|error| invalid(&error))?;
            }
            Err(_) => secrets.payload = Some(std::mem::take(&mut letter.payload)),
        }
        let secrets = wire::encode(&secrets).map_err(|error| invalid(&error))?;
        let key = self.letter_key();
        letter.sealed = Some(key.seal(&name_of(&letter), GENERATION, &secrets, &mut self.entropy()).into());
        Ok(letter)
    }

    /// The letter as its owner reads it: with its cause, and its payload as it was.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] when nodes with another root have written it.
    pub fn open_letter(&self, mut letter: Buried) -> Result<Buried, StreamError> {
        let name = name_of(&letter);
        let what = "the dead letter";
        let Some(sealed) = letter.sealed.take() else {
            return if self.enabled { Err(self.foreign(what)) } else { Ok(letter) };
        };
        let secrets = self.letter_key().open(&name, GENERATION, &sealed).map_err(|_| self.foreign(what))?;
        let secrets: Secrets = wire::decode(&secrets).map_err(|_| self.foreign(what))?;
        letter.cause = secrets.cause;
        if let Some(payload) = secrets.payload {
            letter.payload = payload;
        }
        if let Some(body) = secrets.body {
            let mut envelope = Envelope::decode(letter.payload).map_err(|_| self.foreign(what))?;
            let body = SealedBody::unwrap(&body).map_err(|_| self.foreign(what))?;
            (envelope.content_type, envelope.body) = (body.content_type, body.body);
            letter.payload = envelope.encode().map_err(|error| invalid(&error))?;
        }
        Ok(letter)
    }

    fn letter_key(&self) -> StoreKey {
        self.keys.store_key(PURPOSE)
    }
}

/// Whether somebody sealed its body for whoever was to handle it.
fn is_sealed(envelope: &Envelope) -> bool {
    if envelope.kind != Kind::Task {
        return envelope.content_type == ContentType::Sealed;
    }
    let body = envelope.plain_body().ok();
    body.is_some_and(|body| Task::decode(&body).is_ok_and(|task| task.content_type == ContentType::Sealed))
}

/// Where it was, and what it was: so that no letter's secrets are shown for another one's.
fn name_of(letter: &Buried) -> String {
    let id = Envelope::decode(letter.payload.clone()).ok().map(|envelope| envelope.id.to_string());
    format!("{} {} {}", letter.stream, letter.subject, id.unwrap_or_default())
}

fn invalid(error: &dyn std::error::Error) -> StreamError {
    StreamError::Invalid(format!("a dead letter can't be written: {error}"))
}
