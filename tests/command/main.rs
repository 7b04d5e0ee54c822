//! The `connectome` command, run as a user runs it: what it prints, where, and with which exit code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails there has found something")]

mod furnished;
mod support;

mod config;
mod dead;
mod decode;
mod keys;
mod look;
mod node;
mod rubbish;
