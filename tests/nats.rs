//! What must hold on real nats-servers: each test starts its own, and ends it.

mod away;
mod configured;
mod dead;
mod deploy;
mod disk;
mod empty;
mod failover;
mod foreign;
mod mail;
mod power;
mod profiles;
mod publishes;
mod refusals;
mod registration;
mod rolling;
mod servers;
mod slow;
mod supervised;
mod trade;
mod transport;
