//! The `connectome` command: looks at a configuration, runs a node, and looks into a store.
//!
//! Every command says what it found as a [`Doc`](doc::Doc), which is printed as a table or as JSON; only `node` keeps
//! running. It holds no logic of its own about messages, tasks or streams: all of that is the library's.
//!
//! # Where to look
//!
//! 1. `args.rs`: every command, its options and its help.
//! 2. One file for each command: `config`, `node`, `status`, `stream`, `task`, `event`, `agents`, `dead`, `keys`,
//!    `message`, `decode`.
//! 3. `store.rs`: how a store is found and read. `doc.rs`, `plain.rs`, `body.rs`: how things are shown.

mod agents;
mod args;
mod body;
mod config;
mod dead;
mod decode;
mod doc;
mod event;
mod failure;
mod keys;
mod message;
mod node;
mod opened;
mod output;
mod plain;
mod replay;
mod status;
mod store;
mod stream;
mod task;
mod time;
mod tree;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use doc::Doc;
use failure::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return output::usage(&refused),
    };
    let json = cli.json;
    match run(cli) {
        Ok(doc) => output::print(&doc, json),
        Err(failure) => output::fail(&failure, json),
    }
}

fn run(cli: Cli) -> Result<Doc, Failure> {
    match cli.command {
        Command::Config(args) => config::run(&args),
        Command::Node(args) => node::run(&args, cli.json),
        Command::Status(args) => status::run(&args, cli.json),
        Command::Stream(args) => stream::run(&args),
        Command::Task(args) => task::run(&args),
        Command::Event(args) => event::run(&args),
        Command::Agents(args) => agents::run(&args),
        Command::Dead(args) => dead::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Message(args) => message::run(&args),
        Command::Envelope(args) => decode::envelope(&args),
    }
}
