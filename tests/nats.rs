//! What must hold on real nats-servers: each test starts its own, and ends it.

mod deploy;
mod failover;
mod publishes;
mod refusals;
mod registration;
mod servers;
mod transport;
