//! Connectome.
pub mod streams;
