//! The stream and the bucket of registrations: subjects, and what is asked of the store.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::registration::{Refusal, Registration};
use connectome_codecs::{AgentName, MessageId, Revision};

use super::{AGENT_DISCOVERY, AGENTS, signing};
use crate::port::{Bucket, BucketConfig, Expect, Publish, Storage, StreamError, Tail};
use crate::protocol::registration::{Action, Done, Wish};
use crate::router::Router;

pub(super) async fn bucket(router: &Router) -> Result<Box<dyn Bucket>, StreamError> {
    let config = BucketConfig { name: AGENTS.to_owned(), ttl: None, storage: Storage::File };
    router.streams().bucket(config).await
}

/// Everything that registrars read.
pub(super) fn all_subjects(router: &Router) -> String {
    router.subject("discovery.>")
}

/// Which agent a subject is about, and what is said of it; `None` for what registrars say themselves, and for what is of
/// no known kind.
pub(super) fn read_subject(subject: &str) -> Option<(Wish, AgentName)> {
    let (rest, agent) = subject.rsplit_once('.')?;
    let wish = match rest.rsplit_once('.')?.1 {
        "registered" => Wish::Register,
        "heartbeat" => Wish::Refresh,
        "unregistered" => Wish::Unregister,
        _ => return None,
    };
    Some((wish, agent.parse().ok()?))
}

/// The refusals from now on.
pub(super) async fn refusals(router: &Router) -> Result<Box<dyn Tail>, StreamError> {
    let filter = router.subject("discovery.refused.>");
    router.streams().tail(AGENT_DISCOVERY, &filter, crate::port::Start::New).await
}

pub(super) async fn refuse(router: &Router, refusal: &Refusal) -> Result<(), StreamError> {
    let body = refusal.encode().map_err(|error| StreamError::Invalid(error.to_string()))?;
    publish(router, "refused", &refusal.agent, body).await
}

/// Does what the keeper asks for; what it does not ask of the store is no business of this.
pub(super) async fn perform(router: &Router, bucket: Option<&dyn Bucket>, action: Action) -> Done {
    let done = match action {
        Action::Publish(registration) => register(router, &registration).await.map(|()| Done::Published),
        Action::Write { registration, over } => match bucket {
            Some(bucket) => write(router, bucket, &registration, over).await.map(|()| Done::Wrote),
            None => return Done::Failed,
        },
        Action::Remove { name, revision } => match bucket {
            Some(bucket) => {
                bucket.delete(name.as_str(), Expect::Revision(revision)).await.map(|()| Done::Removed)
            }
            None => return Done::Failed,
        },
        Action::Show(_)
        | Action::Hide(_)
        | Action::Confirmed(_)
        | Action::Refused(_)
        | Action::Swept(_)
        | Action::Ended { .. } => return Done::Failed,
    };
    match done {
        Ok(done) => done,
        Err(StreamError::WrongRevision { .. }) => Done::Conflict,
        Err(error) => {
            tracing::debug!(%error, "a registration's entry could not be changed now");
            Done::Failed
        }
    }
}

async fn register(router: &Router, registration: &Registration) -> Result<(), StreamError> {
    let body = signed(router, registration)?;
    publish(router, "registered", &registration.agent.name, body).await
}

async fn write(
    router: &Router,
    bucket: &dyn Bucket,
    registration: &Registration,
    over: Revision,
) -> Result<(), StreamError> {
    let value = signed(router, registration)?;
    let ttl = Some(registration.ttl());
    bucket.put(registration.agent.name.as_str(), value, Expect::Revision(over), ttl).await.map(drop)
}

fn signed(router: &Router, registration: &Registration) -> Result<Bytes, StreamError> {
    signing::sign(router, registration).map_err(|error| StreamError::Invalid(error.to_string()))
}

async fn publish(router: &Router, what: &str, agent: &AgentName, body: Bytes) -> Result<(), StreamError> {
    let id: MessageId = router.message_id();
    let subject = router.subject(&format!("discovery.{what}.{agent}"));
    router.streams().publish(AGENT_DISCOVERY, Publish { subject, id: Some(id), body }).await.map(drop)
}

/// Before something that failed is opened again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);
