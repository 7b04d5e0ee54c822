//! What the code that runs now may know of where it runs.
//!
//! Two task-locals, set for the length of one poll and never read by machinery that could be told directly:
//! [`Place`] is the agent whose handler runs, so that a plain `agent_ref.call()` inside a handler carries the call
//! chain, the trace and the deadline on; [`BINDING`] is the router that an `AgentRef` found while decoding is bound to.

use std::future::Future;
use std::sync::Arc;

use connectome_codecs::AgentName;
use connectome_codecs::envelope::TraceContext;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::parcel::{Chain, Meta};
use crate::router::Router;

tokio::task_local! {
    static PLACE: Arc<Place>;
    static BINDING: Router;
}

/// The agent whose code runs, and what it is busy with.
pub(crate) struct Place {
    pub(crate) agent: AgentName,
    /// The code runs beside the mailbox, in a pipe: nothing of the agent waits for it.
    beside: bool,
    during: Mutex<During>,
}

#[derive(Clone, Default)]
struct During {
    chain: Option<Arc<Chain>>,
    deadline: Option<Instant>,
    trace: Option<Arc<TraceContext>>,
}

impl Place {
    pub(crate) fn new(agent: AgentName) -> Place {
        Place { agent, beside: false, during: Mutex::default() }
    }

    /// The place of a future that goes on in a pipe: for the same caller, with the mailbox live meanwhile.
    pub(crate) fn beside(&self) -> Arc<Place> {
        let during = Mutex::new(self.during.lock().clone());
        Arc::new(Place { agent: self.agent.clone(), beside: true, during })
    }

    /// When the caller of what runs now stops waiting.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.during.lock().deadline
    }

    /// The agents that wait for what is called from here: also this one, unless its mailbox is live meanwhile.
    fn chain(&self, during: &During) -> Option<Arc<Chain>> {
        if self.beside {
            return during.chain.clone();
        }
        Some(Arc::new(Chain { agent: self.agent.clone(), before: during.chain.clone() }))
    }

    /// Notes which message is being handled now.
    pub(crate) fn enter(&self, meta: &Meta) {
        *self.during.lock() =
            During { chain: meta.chain.clone(), deadline: meta.deadline, trace: meta.trace.clone() };
    }
}

/// Runs an agent's code at its place.
pub(crate) fn at<F: Future>(place: Arc<Place>, future: F) -> impl Future<Output = F::Output> {
    PLACE.scope(place, future)
}

/// What a message sent from here carries: its sender, and for a call the chain of those who wait for it.
pub(crate) fn outgoing(is_call: bool) -> Meta {
    PLACE
        .try_with(|place| {
            let during = place.during.lock();
            Meta {
                from: Some(connectome_codecs::Address::Agent(place.agent.clone())),
                deadline: if is_call { during.deadline } else { None },
                chain: if is_call { place.chain(&during) } else { None },
                trace: during.trace.clone(),
                attempt: 1,
                evidence: None,
            }
        })
        .unwrap_or(Meta { attempt: 1, ..Meta::default() })
}

/// Whether the mailbox of `agent` can't move before the code that runs now has ended: it is its handler.
pub(crate) fn holds_up(agent: &AgentName) -> bool {
    PLACE.try_with(|place| !place.beside && place.agent == *agent).unwrap_or(false)
}

/// Decodes with every `AgentRef` bound to `router`.
pub(crate) fn binding<T>(router: &Router, decode: impl FnOnce() -> T) -> T {
    BINDING.sync_scope(router.clone(), decode)
}

/// The router that an `AgentRef` being decoded belongs to.
pub(crate) fn bound() -> Option<Router> {
    BINDING.try_with(Router::clone).ok()
}
