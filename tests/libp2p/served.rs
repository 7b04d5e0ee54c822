//! Clusters without a broker whose nodes share the store of one of them: mail, tasks and offered agents, as over NATS.

mod cut;
mod office;
mod rude;
mod work;
