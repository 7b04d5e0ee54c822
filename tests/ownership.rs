//! Agents that several nodes offer: one of them runs each, under a term, and another one when that one can't.

mod callers;
mod failover;
mod fence;
mod placement;
mod support;
