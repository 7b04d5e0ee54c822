//! What the crate promises about bytes, tested through its public door.
//!
//! | file | promise |
//! |---|---|
//! | `vectors` | the bytes are pinned |
//! | `properties` | what is encoded decodes to the same, whatever the values |
//! | `hostile` | bytes that nobody honest sends are refused, each for its own reason, and never panic |
//! | `sealed` | what the security protocol promises |
//! | `memory`, a process of its own | refusing and reading takes at most four times the bytes |

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod properties;
mod samples;
mod sealed;
mod vectors;
