//! An offer: how this node would run an agent, kept until it is to.

use async_trait::async_trait;
use connectome_codecs::{Address, AgentName, Term};

use crate::agent::Agent;
use crate::agent_ref::AgentRef;
use crate::mail::{self, NotInherited};
use crate::router::Router;
use crate::spec::AgentSpec;
use crate::supervisor::{Supervisor, SupervisorError};

/// How this node would run an agent.
#[async_trait]
pub(crate) trait Offer: Send + Sync {
    /// Starts the agent under a term. What it kept is taken over before anything of it runs.
    async fn start(&self, router: &Router, below: &Supervisor, term: Term) -> Result<(), NotStarted>;
}

/// Why an agent that this node owns does not run.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// A newer term has begun.
    Fenced(Term),
    /// Anything else, in words.
    Failed(String),
}

/// An offer of one type of agent.
pub(crate) struct Offered<A>(pub(crate) AgentSpec<A>);

#[async_trait]
impl<A: Agent> Offer for Offered<A> {
    async fn start(&self, router: &Router, below: &Supervisor, term: Term) -> Result<(), NotStarted> {
        let mut spec = self.0.again().under(term);
        if A::KEEPS_STATE {
            let name = self.0.name().map_err(|error| NotStarted::Failed(error.to_string()))?;
            spec = spec.inherits(mail::inherit(router, &name, term).await?);
        }
        match below.spawn(router, spec).await {
            Ok(_reference) => Ok(()),
            Err(error) => Err(NotStarted::Failed(error.to_string())),
        }
    }
}

impl From<NotInherited> for NotStarted {
    fn from(error: NotInherited) -> NotStarted {
        match error {
            NotInherited::Fenced(newest) => NotStarted::Fenced(newest),
            NotInherited::Store(error) => {
                NotStarted::Failed(format!("its kept state could not be had: {error}"))
            }
        }
    }
}

impl Router {
    /// Offers to run an agent; see `Tree::offer`.
    pub(crate) fn offer<A: Agent>(&self, spec: AgentSpec<A>) -> Result<AgentRef, SupervisorError> {
        let name = spec.check().map_err(|error| SupervisorError::Invalid(error.to_string()))?;
        if self.registry().local(&name).is_some_and(|cell| cell.term().is_none()) {
            return Err(SupervisorError::Invalid(format!(
                "the name {name} is taken: an agent of this node has it"
            )));
        }
        let offer = std::sync::Arc::new(Offered(spec));
        if !self.offers().offer(&name, offer) {
            return Err(SupervisorError::Invalid(format!(
                "this node offers {name} already: withdraw it first"
            )));
        }
        // Mail for an agent that runs nowhere is what makes somebody take it.
        self.inner().mail.add(&name);
        Ok(AgentRef::to(self.clone(), Address::Agent(name)))
    }

    /// Takes an offer back. `false`: this node does not offer that name.
    pub(crate) fn withdraw(&self, name: &str) -> bool {
        name.parse::<AgentName>().is_ok_and(|name| self.offers().withdraw(&name))
    }
}
