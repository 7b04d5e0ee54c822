//! The only part that performs IO.

pub mod keystore;
pub mod transport;
pub mod world;
