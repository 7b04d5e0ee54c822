//! Ours beside the peers and the floor, in one run: `cargo bench`, or `cargo bench -p connectome-benches -- --help`.
//!
//! A group measures one thing in several ways: ours, what it is built on, a peer, and the least that the machine could
//! do. The ways take turns, A B A B, so that a noisy neighbour disturbs all of them; medians are compared, and nothing
//! is asserted: a figure is for people to read.
//!
//! # Where to look
//!
//! 1. `harness.rs`: turns, medians, and how they are shown. It knows no actors.
//! 2. `peers.rs`: the same counter as an agent, a ractor actor, a kameo actor, and a task behind a channel.
//! 3. One file a group: `messages`, `spawn`, `restart`, `envelope`, `store`, `tasks`, `nats`, `sealed`, `libp2p`,
//!    `ends`.

#![allow(clippy::panic, reason = "crashes are measured")]

mod ends;
mod envelope;
mod harness;
mod libp2p;
mod messages;
mod nats;
mod peers;
mod restart;
mod runtimes;
mod sealed;
mod spawn;
mod store;
mod tasks;

use std::process::ExitCode;

use harness::{Group, Options, Report};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    if let Some(child) = &options.child {
        return match child.as_str() {
            libp2p::CHILD => libp2p::child(),
            ends::CHILD => ends::child(),
            what => spawn::child(what),
        };
    }
    quiet_panics();
    let mut report = Report::new(&options);
    for group in groups(&options) {
        report.add(group.run(&options));
    }
    report.finish();
    ExitCode::SUCCESS
}

fn groups(options: &Options) -> Vec<Group> {
    let all = [
        messages::groups as fn() -> Vec<Group>,
        spawn::groups,
        restart::groups,
        envelope::groups,
        store::groups,
        tasks::groups,
        nats::groups,
        sealed::groups,
        libp2p::groups,
        ends::groups,
    ];
    all.iter().flat_map(|groups| groups()).filter(|group| options.wants(group.name())).collect()
}

/// Crashes are part of what is measured; printing them is not.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}
