//! The `connectome` command, run as a user runs it: what it prints, where, and with which exit code.

mod furnished;
mod support;

mod config;
mod dead;
mod decode;
mod look;
mod node;
mod rubbish;
