//! A task's input, sealed to the pool of whoever can do it.
//!
//! The seal is bound to the envelope's header and to all else that the task says, and signed by whoever submits it: the agent
//! that the envelope names, or, where no agent does, the owner.

use bytes::Bytes;
use connectome_codecs::message::{Body, Task};
use connectome_codecs::refusal::Verdict;
use connectome_codecs::seal::{OpenedForPool, PoolMessage, SealedBody};
use connectome_codecs::session::Context;
use connectome_codecs::{Address, AgentName, Capability, ContentType, EncodeError, Envelope, Refusal};

use super::pools::Pool;
use super::{SAME_ROOT, Seals};
use crate::port::{StreamError, Whose};

/// Who submits what no agent does: every node of the owner can sign as this one.
const OWNER: AgentName = AgentName::from_static("connectome/node");

/// Why a task's input is not known.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The store could not be asked for the keys.
    Store(StreamError),
    /// These keys do not open it. Those of another node may, should the store have lost them.
    NoKey(String),
    /// It is not believed, and never will be.
    Refused(String),
}

impl Seals {
    /// Seals a task's input, which is in the open so far. `envelope` is the one that it goes in, with any body.
    ///
    /// # Errors
    /// When there are no keys, or the input is too long.
    pub async fn seal_task(&self, envelope: &Envelope, mut task: Task) -> Result<Task, StreamError> {
        if !self.enabled {
            return Ok(task);
        }
        let invalid = |error: &dyn std::error::Error| StreamError::Invalid(error.to_string());
        let pool = self.pool(&task.capability).await?;
        let prekey =
            pool.prekey().ok_or_else(|| StreamError::Unavailable("the pool has no prekey".to_owned()))?;
        let sender = self.submitter(envelope)?;
        let sender = self.instances.of(&*self.keys, &*self.world, Whose::Agent(&sender));
        let sender = sender.map_err(|error| invalid(&error))?;
        let payload = SealedBody::wrap(&task.content_type, &task.input);
        task.content_type = ContentType::Sealed;
        let context = context(envelope, &task).map_err(|error| invalid(&error))?;
        let message = PoolMessage { prekey, sender: &sender };
        let sealed = message.seal(&context, &payload, self.world.now(), &mut self.entropy());
        task.input = sealed.map_err(|error| invalid(&error))?;
        Ok(task)
    }

    /// Makes sure that the keys of a pool are at hand.
    ///
    /// # Errors
    /// As for whoever seals to it.
    pub(crate) async fn attend(&self, capability: &Capability) -> Result<(), StreamError> {
        if self.enabled { self.pool(capability).await.map(drop) } else { Ok(()) }
    }

    /// Opens a task's input.
    pub(crate) async fn open_task(&self, envelope: &Envelope, task: &Task) -> Result<SealedBody, NotOpened> {
        if task.content_type != ContentType::Sealed {
            return self.in_the_open(task);
        }
        let refused = |error: &dyn std::error::Error| NotOpened::Refused(error.to_string());
        let context = context(envelope, task).map_err(|error| refused(&error))?;
        let opened = self.open_for_pool(&context, task).await?;
        self.check_sender(envelope, &opened)?;
        SealedBody::unwrap(&opened.payload).map_err(|error| refused(&error))
    }

    /// The input of a task that was given up, for those who look.
    ///
    /// # Errors
    /// Says why it can't be opened, and what would be right.
    pub async fn show_task(&self, envelope: &Envelope, task: &Task) -> Result<SealedBody, String> {
        self.open_task(envelope, task).await.map_err(|error| match error {
            NotOpened::Store(error) => error.to_string(),
            NotOpened::NoKey(why) | NotOpened::Refused(why) => why,
        })
    }

    fn in_the_open(&self, task: &Task) -> Result<SealedBody, NotOpened> {
        if self.enabled {
            self.counts.foreign();
            return Err(NotOpened::Refused(
                "its input came in the open: seal it, or set sealing.enabled to false on all nodes"
                    .to_owned(),
            ));
        }
        Ok(SealedBody { content_type: task.content_type.clone(), body: task.input.clone() })
    }

    /// The keys may be newer in the store than here.
    async fn open_for_pool(&self, context: &Context, task: &Task) -> Result<OpenedForPool, NotOpened> {
        let pool = self.pool(&task.capability).await.map_err(NotOpened::Store)?;
        let opened = match self.open_with(&pool, context, task) {
            Err(Refusal::PrekeyUnknown | Refusal::BadTag) => {
                let read = self.read_pool(&task.capability, Some(&pool)).await;
                self.open_with(&*read.map_err(NotOpened::Store)?, context, task)
            }
            opened => opened,
        };
        opened.map_err(|refusal| {
            if refusal.verdict() == Verdict::Retry {
                return NotOpened::Store(StreamError::Unavailable(refusal.to_string()));
            }
            self.counts.foreign();
            let why = format!(
                "its input does not open with the keys of the pool {} ({}): {refusal}; {SAME_ROOT}",
                task.capability,
                refusal.code()
            );
            let is_key = matches!(refusal, Refusal::PrekeyUnknown | Refusal::BadTag);
            if is_key { NotOpened::NoKey(why) } else { NotOpened::Refused(why) }
        })
    }

    fn open_with(&self, pool: &Pool, context: &Context, task: &Task) -> Result<OpenedForPool, Refusal> {
        let now = self.world.now();
        PoolMessage::open(&pool.keys, &task.input, context, &self.window, &self.directory(), now)
    }

    /// Whoever has signed it must be who the envelope says.
    fn check_sender(&self, envelope: &Envelope, opened: &OpenedForPool) -> Result<(), NotOpened> {
        let said = self.submitter(envelope).map_err(NotOpened::Store)?;
        let key = self.keys.agent_id(&said).map_err(|error| NotOpened::Refused(error.to_string()))?;
        if opened.from.0 == key {
            return Ok(());
        }
        self.counts.foreign();
        Err(NotOpened::Refused(format!(
            "it says that {said} has submitted it, and {} has signed it; {SAME_ROOT}",
            opened.from.0
        )))
    }

    fn submitter(&self, envelope: &Envelope) -> Result<AgentName, StreamError> {
        match &envelope.from {
            None => Ok(OWNER),
            Some(Address::Agent(name)) => Ok(name.clone()),
            Some(other @ (Address::Id(_) | Address::Capability(_))) => Err(StreamError::Invalid(format!(
                "{other} is no agent of this cluster's owner, and can't submit"
            ))),
        }
    }
}

/// What the seal is bound to: the envelope's header, and the task without its input.
fn context(envelope: &Envelope, task: &Task) -> Result<Context, EncodeError> {
    let header = Context::of(envelope)?;
    let task = Task { input: Bytes::new(), ..task.clone() }.encode()?;
    Ok(Context::from_bytes([&header.bytes()[..], &task[..]].concat().into()))
}
