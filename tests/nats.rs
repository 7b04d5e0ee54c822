//! What must hold on real nats-servers: each test starts its own, and ends it.

mod configured;
mod deploy;
mod failover;
mod publishes;
mod refusals;
mod servers;
mod supervised;
mod transport;
