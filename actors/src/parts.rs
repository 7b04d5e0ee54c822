//! The parts of the ports below a supervisor, and what they say made into events.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use connectome_codecs::Fact;
use connectome_codecs::event::{ErrorOccurred, ResourceLow};
use connectome_codecs::message::{Blame, Effect, Error, ErrorCode};
use tokio_util::sync::CancellationToken;

use crate::port::{Notice, Notices, Part};
use crate::router::Router;
use crate::service::Service;
use crate::supervisor::SupervisorSpec;

/// The branch of the ports: what all other branches stand on, so it starts first and stops last.
pub(crate) fn branch(router: &Router, more: Vec<Arc<dyn Part>>) -> SupervisorSpec {
    let mut names = BTreeSet::new();
    let ports = &router.inner().ports;
    let parts = ports.streams.parts().into_iter().chain(ports.transport.parts()).chain(more);
    // One connection may serve both ports.
    let parts = parts.filter(|part| names.insert(part.name().to_owned()));
    parts.fold(SupervisorSpec::new("ports"), |branch, part| {
        let router = router.clone();
        let name = part.name().to_owned();
        branch.service(&name, move || Running { router: router.clone(), part: part.clone() })
    })
}

/// A part that runs.
struct Running {
    router: Router,
    part: Arc<dyn Part>,
}

impl Service for Running {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        self.part.run(stop, &Told(self.router)).await
    }
}

/// Brings notices to the events of the node.
struct Told(Router);

#[async_trait]
impl Notices for Told {
    async fn tell(&self, notice: Notice) {
        if let Some(fact) = fact_of(&notice) {
            self.0.say(fact).await;
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
