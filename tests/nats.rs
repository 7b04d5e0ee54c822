//! What must hold on real nats-servers: each test starts its own, and ends it.

mod deploy;
mod failover;
mod mail;
mod publishes;
mod refusals;
mod servers;
mod transport;
