//! A node in a wide network: what it announces of its agents, and how it finds those of nodes that it does not know.

use std::collections::BTreeSet;
use std::sync::Weak;

use connectome_codecs::Address;

use super::Node;
use crate::metrics::Meter;
use crate::transport::libp2p::{ANNOUNCED_MAX, FindError, Found, Subject};

impl Node {
    /// The nodes that say they run an agent of this name (`greeter`), or one that can do this (`can:summarise`), anywhere that
    /// the distributed table reaches: the newest first, this one among them. They are met, so that those of this cluster are
    /// linked, and their agents known, a moment later.
    ///
    /// It asks other nodes over several hops, and is for what nobody here knows yet: [`agent`](Node::agent) looks into memory.
    /// What is announced is signed by its node and over after a while (`libp2p.dht_announced_for`); it is a hint and no promise.
    ///
    /// ```
    /// # use connectome::prelude::*;
    /// # use connectome::transport::libp2p::FindError;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::in_memory();
    /// config.libp2p.listen = Some("/ip4/127.0.0.1/tcp/0".to_owned());
    /// config.libp2p.dht = true;
    /// let node = Node::start(config).await?;
    /// assert_eq!(node.find("can:summarise").await, Err(FindError::Alone));
    /// # node.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, address: &str) -> Result<Vec<Found>, FindError> {
        let subject = subject(address)?;
        match self.libp2p() {
            Some(transport) => transport.find(&subject).await,
            None => Err(FindError::Off),
        }
    }

    /// From now on the table is told of this node's agents.
    pub(super) fn announce_agents(&self) {
        if let Some(transport) = self.libp2p() {
            let meter = std::sync::Arc::downgrade(&self.meter);
            transport.announce(move || subjects(&meter));
        }
    }
}

fn subject(address: &str) -> Result<Subject, FindError> {
    let wrong = |problem: String| FindError::Address { address: address.to_owned(), problem };
    match address.parse::<Address>() {
        Ok(Address::Agent(name)) => Ok(Subject::Agent(name)),
        Ok(Address::Capability(capability)) => Ok(Subject::Capability(capability)),
        Ok(Address::Id(_)) => Err(wrong("ids are not announced".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// What the agents of this node can do, and what they are called.
fn subjects(meter: &Weak<Meter>) -> BTreeSet<Subject> {
    let Some(meter) = meter.upgrade() else { return BTreeSet::new() };
    let Some(router) = meter.tree().map(|tree| tree.router()) else { return BTreeSet::new() };
    let agents = router.first_local_agents(ANNOUNCED_MAX).into_iter().map(Subject::Agent);
    router.local_capabilities().into_iter().map(Subject::Capability).chain(agents).collect()
}
