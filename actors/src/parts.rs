//! The parts of the ports below a supervisor, and what they say made into events.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_codecs::Fact;
use connectome_codecs::event::{ErrorOccurred, ResourceLow};
use connectome_codecs::message::{Blame, Effect, Error, ErrorCode};
use tokio_util::sync::CancellationToken;

use crate::port::{Notice, Notices, Part};
use crate::protocol::restart::{ChildSpec, Refusal, Restart};
use crate::router::Router;
use crate::service::{Service, ServiceStart};
use crate::supervisor::{Supervisor, SupervisorError, SupervisorSlot, SupervisorSpec};

/// The branch of the ports: what all other branches stand on, so it starts first and stops last.
pub(crate) fn branch(router: &Router, more: Vec<Arc<dyn Part>>) -> SupervisorSpec {
    let mut names = BTreeSet::new();
    let ports = &router.inner().ports;
    let parts = ports.streams.parts().into_iter().chain(ports.transport.parts()).chain(more);
    // One connection may serve both ports.
    let parts = parts.filter(|part| names.insert(part.name().to_owned()));
    let peers = SupervisorSlot::default();
    let branch = SupervisorSpec::new("ports").supervisor(Supervisor::for_agents("peers").published(&peers));
    parts.fold(branch, |branch, part| {
        let name = part.name().to_owned();
        branch.service(&name, running(Told { router: router.clone(), peers: peers.clone() }, part))
    })
}

fn running(told: Told, part: Arc<dyn Part>) -> impl Fn() -> Running + Send + Sync + 'static {
    move || Running { told: told.clone(), part: part.clone() }
}

/// A part that runs.
struct Running {
    told: Told,
    part: Arc<dyn Part>,
}

impl Service for Running {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        self.part.run(stop, &self.told).await
    }
}

/// Brings notices to the events of the node, and parts that come to be to their supervisor.
#[derive(Clone)]
struct Told {
    router: Router,
    peers: SupervisorSlot,
}

#[async_trait]
impl Notices for Told {
    async fn tell(&self, notice: Notice) {
        if let Some(fact) = fact_of(&notice) {
            self.router.say(fact).await;
        }
    }

    async fn attend(&self, part: Arc<dyn Part>) {
        let child = ChildSpec::worker(part.name()).restart(Restart::Transient);
        let start = ServiceStart::shared(running(self.clone(), part));
        let added = match self.peers.current() {
            Ok(peers) => peers.add(child, start).await,
            Err(error) => Err(error),
        };
        match added {
            Ok(()) => {}
            Err(SupervisorError::Refused {
                refusal: Refusal::AlreadyStarted(_) | Refusal::AlreadyPresent,
                ..
            }) => {}
            Err(error) => tracing::warn!(%error, "a part runs without a supervisor"),
        }
    }
}

/// What is kept of a notice. A loss is told when it is over: until then nothing can be kept.
fn fact_of(notice: &Notice) -> Option<Fact> {
    match notice {
        Notice::ConnectionLost => None,
        Notice::ConnectionBack { away } => Some(trouble(&format!(
            "the connection to the broker was lost for {} ms, and is back",
            away.as_millis()
        ))),
        Notice::ServerLeaves => {
            Some(trouble("the broker's server is about to stop: this node goes to another one"))
        }
        Notice::MessagesDropped { limit } => {
            let (resource, limit) = ("subscription_messages".to_owned(), *limit as u64);
            Some(Fact::ResourceLow(ResourceLow { resource, used: limit, limit }))
        }
    }
}

fn trouble(text: &str) -> Fact {
    let error = Error::new(ErrorCode::UNAVAILABLE, Blame::Environment, Effect::Possible, text);
    Fact::ErrorOccurred(ErrorOccurred { error, agent: None, message: None })
}
