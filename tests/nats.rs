//! What must hold on real nats-servers: each test starts its own, and ends it.

mod publishes;
mod refusals;
mod servers;
