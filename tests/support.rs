//! What several tests stand on. It tests nothing itself.

pub(crate) mod nats;
