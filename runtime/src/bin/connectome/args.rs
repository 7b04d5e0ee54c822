//! The command line: every command, its options, its help.

mod keys;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser, ValueParser};
use clap::{Args, Parser, Subcommand, value_parser};
use connectome::codecs::{EventType, TaskId, TaskState};
use connectome::config::{Config, ConfigError};

pub(crate) use keys::{CardInput, KeysAction, KeysCommand, MessageAction, MessageCommand};
use keys::{KEYS, KEYS_EXAMPLES};

/// Rows that a listing shows unless it is told otherwise: a few screens.
const LISTED: &str = "100";

/// Rows that a listing shows at the most: they are held in memory, to be aligned.
const LISTED_MAX: u64 = 1_000_000;

/// Connectome: agents as supervised actors, in a cluster, with messages and work that survive crashes
#[derive(Debug, Parser)]
#[command(name = "connectome", version, arg_required_else_help = true, long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

const ABOUT: &str = "\
Connectome: agents as supervised actors, in a cluster, with messages and work that survive crashes.

This command looks at a configuration, runs a node, and looks into the store that a node has left.
Agents themselves are written in Rust: see the documentation of the crate.";

const EXAMPLES: &str = "\
Examples:
  connectome config                          what is configured, and where each value comes from
  connectome node --set data_dir=/var/lib/c  run a node until it is interrupted
  connectome status                          how the running nodes of a cluster are
  connectome stream ls --store /var/lib/c    what its store keeps
  connectome task ls --state failed          tasks that failed
  connectome keys ls                         who the agents are, to compare
  connectome dead replay 7                   send the message of a dead letter again
  connectome event ls --json | jq '.[].type'

Exit codes: 0 done, 1 not done (the reason is on standard error), 2 the command line makes no sense.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the effective configuration and where each value comes from
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigCommand),
    /// Run a node until it is interrupted
    #[command(long_about = NODE, after_help = NODE_EXAMPLES)]
    Node(ConfigArgs),
    /// Ask the running nodes of a cluster how they are
    #[command(long_about = STATUS, after_help = STATUS_EXAMPLES)]
    Status(StatusCommand),
    /// Look at the streams of a store
    #[command(arg_required_else_help = true)]
    Stream(StreamCommand),
    /// Look at the tasks of a store
    #[command(arg_required_else_help = true)]
    Task(TaskCommand),
    /// Look at events
    #[command(arg_required_else_help = true)]
    Event(EventCommand),
    /// List the agents that a store's events tell of, and the durable messages that wait for them
    #[command(long_about = AGENTS)]
    Agents(StoreArgs),
    /// Look at dead letters, send them again, or drop them
    #[command(arg_required_else_help = true, long_about = DEAD, after_help = DEAD_EXAMPLES)]
    Dead(DeadCommand),
    /// Look after the keys of agents: who they are, newer keys, keys taken back
    #[command(arg_required_else_help = true, long_about = KEYS, after_help = KEYS_EXAMPLES)]
    Keys(KeysCommand),
    /// Check who said a message
    #[command(arg_required_else_help = true)]
    Message(MessageCommand),
    /// Look into an envelope
    #[command(arg_required_else_help = true)]
    Envelope(EnvelopeCommand),
}

const CONFIG_EXAMPLES: &str = "\
Values come from flags, then the environment, then a file, then defaults: the first that has one decides.

Examples:
  connectome config
  connectome config --file node.toml --set call_timeout=2s
  CONNECTOME_STREAMS_MAX_AGE=1d connectome config --json
  connectome config check --file node.toml";

const NODE: &str = "\
Run a node until it is interrupted.

The node has no agents of its own: agents are libraries, linked into a program that starts a node
itself. So this one is a keeper of a store: it makes the streams where they are missing, and lets
what is in them age. The store is the embedded one of its data directory, whose lock it holds, or,
with nats.url, the one on those servers. Use it to see that a configuration works on a machine.

It prints its id and where the store is; its log goes to standard error. SIGINT or SIGTERM stops
it gracefully, within drain_timeout and stop_timeout; a second signal ends it at once.";

const NODE_EXAMPLES: &str = "\
Examples:
  connectome node
  connectome node --file node.toml
  connectome node --set name=till-3 --set data_dir=/var/lib/connectome --set log.format=json";

const STATUS: &str = "\
Ask the running nodes of a cluster how they are.

Every node of the namespace is asked over NATS, and answers with its health, its figures and what runs
on it. For one node its streams and its supervised parts are shown too; --json shows everything. The
same answers come to a request on the subject <namespace>.status, whoever sends it.

A node without NATS can't be asked: log.status_every lets it log a line of the same.";

const STATUS_EXAMPLES: &str = "\
Examples:
  connectome status --set nats.url=nats://one:4222
  connectome status till-3 --json | jq '.[0].metrics.streams'
  connectome status --check   fails unless all nodes that answer are ready";

const AGENTS: &str = "\
List the agents that a store's events tell of, and the durable messages that wait for them.

While a store is read no node runs on it, so this is what was last said of each agent:

  registered        it ran when its node ended without a word
  unregistered      it stopped, and why
  gone with its node
  never registered  durable messages wait for it, and it has not come yet

Events age, so agents that came and went long ago may be missing.";

const DEAD: &str = "\
Look at dead letters, send them again, or drop them.

A durable message or a task that was given up is kept as a dead letter, with its cause, its payload
and, for a task, its history. While a store is read no node may run on it; what is sent again is
delivered when the next one starts.";

const DEAD_EXAMPLES: &str = "\
Examples:
  connectome dead ls --max 20
  connectome dead show 7 --json
  connectome dead replay 7 --keep
  connectome dead drop 7";

/// Where a configuration comes from.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration file (TOML) [default: the one in CONNECTOME_CONFIG]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) file: Option<PathBuf>,
    /// Set a key, over environment and file; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting, global = true)]
    pub(crate) set: Vec<(String, String)>,
}

impl ConfigArgs {
    /// The effective configuration; its warnings are the caller's to tell.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        let flags = self.set.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Config::load(self.file.as_deref(), std::env::vars_os(), flags)
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err("there is no '='; write it as call_timeout=2s".to_owned()),
    }
}

/// Which nodes to ask, and for how long.
#[derive(Debug, Args)]
pub(crate) struct StatusCommand {
    /// Only this node: its name, or its id
    pub(crate) node: Option<String>,
    /// Fail unless every node that answers is ready
    #[arg(long)]
    pub(crate) check: bool,
    /// Wait so long for answers, in milliseconds
    #[arg(long = "wait", value_name = "MS", default_value_t = 1_000, value_parser = value_parser!(u64).range(1..=60_000))]
    pub(crate) wait_ms: u64,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Where a store is.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The directory of the store, or the data directory that it is in [default: as configured, on NATS with nats.url]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) store: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Which part of a stream.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Begin at this sequence [default: show the newest]
    #[arg(long, value_name = "SEQ")]
    pub(crate) from: Option<u64>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value = LISTED, value_parser = rows())]
    pub(crate) max: usize,
}

fn rows() -> ValueParser {
    let parser = value_parser!(u64).range(1..=LISTED_MAX);
    ValueParser::new(parser.map(|max| usize::try_from(max).unwrap_or(usize::MAX)))
}

#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(subcommand)]
    pub(crate) action: Option<ConfigAction>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Say whether the configuration is right, and what is wrong with it
    Check,
}

#[derive(Debug, Args)]
pub(crate) struct StreamCommand {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) action: StreamAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StreamAction {
    /// List the streams
    #[command(after_help = "Example:\n  connectome stream ls --store .connectome")]
    Ls,
    /// Show how a stream is kept, who consumes it, and its messages
    #[command(after_help = "Example:\n  connectome stream show AGENT_MESSAGES --from 1 --max 10 --json")]
    Show {
        /// The stream, such as AGENT_MESSAGES
        name: String,
        #[command(flatten)]
        part: Part,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TaskCommand {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) action: TaskAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskAction {
    /// List the tasks, oldest first
    #[command(after_help = "Example:\n  connectome task ls --state failed --json | jq -r '.[].id'")]
    Ls {
        /// Only those in this state
        #[arg(long, value_parser = states(), ignore_case = true)]
        state: Option<TaskState>,
        /// Show at most this many: the newest
        #[arg(long, value_name = "N", default_value = LISTED, value_parser = rows())]
        max: usize,
    },
    /// Show everything that is kept of a task
    #[command(after_help = "Example:\n  connectome task show 01KAPK7HZ0V4Z8C5QJ2N6Y3W9M")]
    Show {
        /// The task's id
        id: TaskId,
    },
}

fn states() -> ValueParser {
    let known = TaskState::KNOWN.iter().map(TaskState::as_str);
    ValueParser::new(
        PossibleValuesParser::new(known).try_map(|text| text.to_ascii_lowercase().parse::<TaskState>()),
    )
}

#[derive(Debug, Args)]
pub(crate) struct EventCommand {
    #[command(subcommand)]
    pub(crate) action: EventAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventAction {
    /// List events of a store
    #[command(
        after_help = "Example:\n  connectome event ls --type TASK_FAILED --type ERROR_OCCURRED --max 20"
    )]
    Ls {
        #[command(flatten)]
        store: StoreArgs,
        /// Only this type; may be given several times
        #[arg(long = "type", value_name = "TYPE", value_parser = types(), ignore_case = true)]
        types: Vec<EventType>,
        #[command(flatten)]
        part: Part,
    },
    /// Print an encoded event
    #[command(after_help = "Example:\n  connectome event decode --hex tests/vectors/event-task-failed.hex")]
    Decode(Input),
}

fn types() -> ValueParser {
    let known = EventType::KNOWN.iter().map(EventType::as_str);
    ValueParser::new(
        PossibleValuesParser::new(known).try_map(|text| text.to_ascii_uppercase().parse::<EventType>()),
    )
}

#[derive(Debug, Args)]
pub(crate) struct DeadCommand {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) action: DeadAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadAction {
    /// List the dead letters
    Ls(Part),
    /// Show a dead letter: its cause, its history and its payload
    Show {
        /// Its sequence, from `dead ls`
        sequence: u64,
    },
    /// Send the message or the task again, under a fresh id, and remove the dead letter
    Replay {
        /// Its sequence, from `dead ls`
        sequence: u64,
        /// Keep the dead letter
        #[arg(long)]
        keep: bool,
    },
    /// Remove a dead letter: its payload is lost
    Drop {
        /// Its sequence, from `dead ls`
        sequence: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnvelopeCommand {
    #[command(subcommand)]
    pub(crate) action: EnvelopeAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvelopeAction {
    /// Print the header and the body of an encoded envelope
    #[command(after_help = "Example:\n  connectome envelope decode --hex tests/vectors/envelope-full.hex")]
    Decode(Input),
}

/// Bytes to look into.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The file to read; - or nothing reads the standard input
    #[arg(default_value = "-", hide_default_value = true)]
    pub(crate) file: PathBuf,
    /// The input is written in hexadecimal; white space does not count
    #[arg(long)]
    pub(crate) hex: bool,
}
