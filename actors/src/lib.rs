//! Who speaks, and what they decide.

pub mod port;
pub mod protocol;
