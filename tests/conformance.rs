//! What every implementation of a port must do: one body of tests for each port, run on every implementation.

mod streams;
mod transport;
