//! Many seeds of a cluster in trouble: what is promised holds in all of them, and a seed always tells the same story.
//!
//! `SIM_SEEDS=10000 cargo test -p connectome-tests simulation` tries more seeds; `SIM_SEED=17` plays one again and prints
//! its log.

mod agents;
mod checks;
mod client;
mod planted;
mod run;
mod same;
mod seeds;
mod witness;
