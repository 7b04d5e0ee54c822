//! All tests that go through the public doors: one binary, one module a concern.

mod conformance;
mod kill_nine;
