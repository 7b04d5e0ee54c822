//! What `connectome keys` and `connectome message` are told, and their help.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use connectome::codecs::{AgentId, AgentName, NodeId, ParseError};

use super::{Input, StoreArgs};

pub(super) const KEYS: &str = "\
Look after the keys of agents: who they are, newer keys, keys taken back.

Each agent that is sent durable messages has keys for them, and its owner's root key stands behind those
by a certificate. Keys are made, published, renewed and erased without anyone doing anything; this
command is for looking, for comparing, and for the day when something has leaked.

The root key is the one of the configuration, or the file root.key beside the store.";

pub(super) const KEYS_EXAMPLES: &str = "\
Examples:
  connectome keys ls                          the agents that have keys, and their fingerprints
  connectome keys export greeter > greeter.id who greeter is, to hand to somebody
  connectome keys verify greeter.id --fingerprint '2c26 b46b 68ff c68f f99b 453c 1d30 4134'
  connectome keys vouch did:key:z6Mk…         say that somebody else's agent is to be talked to
  connectome keys revoke greeter              take back its certificate, and give it other keys";

#[derive(Debug, Args)]
pub(crate) struct KeysCommand {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(subcommand)]
    pub(crate) action: KeysAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// List the agents that have keys for their mail, with their fingerprints
    Ls,
    /// Show who an agent is, and what is published of it
    Show {
        /// The agent's name
        agent: AgentName,
    },
    /// Print who an agent is as a line of text, with nothing secret in it: a card
    Export {
        /// The agent's name
        agent: AgentName,
    },
    /// Say whose card this is, and whether it holds; needs no store, key or network
    Verify(CardInput),
    /// Give an agent new prekeys now, not when they are due
    Rotate {
        /// The agent's name
        agent: AgentName,
    },
    /// Put the root key under the passphrase in key_passphrase_file, in place; nothing else changes
    #[command(
        after_help = "Example:\n  connectome keys protect --set key_passphrase_file=/run/secrets/passphrase"
    )]
    Protect,
    /// Print who this owner is when it vouches for others: the id to list in their sealing.organisations
    Organisation,
    /// Vouch for an agent or a node of another owner, and publish that
    #[command(after_help = VOUCH)]
    Vouch {
        /// Its id: did:key:… or node:…
        id: Id,
        /// How long it holds, in days
        #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
        /// Take it back instead
        #[arg(long)]
        withdraw: bool,
    },
    /// Take back an agent's certificate, and give it other keys
    #[command(after_help = REVOKE)]
    Revoke {
        /// The agent's name
        agent: AgentName,
        /// The certificate of this serial instead of the one of its mail; may be given several times
        #[arg(long = "serial", value_name = "N")]
        serials: Vec<u64>,
    },
}

const VOUCH: &str = "\
Nodes with sealing.peers = listed that list this owner in sealing.organisations talk to it from the moment
when they hear of it, and for as long as it holds. Compare the id with its owner first: keys show prints it.";

/// Whoever can be vouched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub(crate) AgentId);

impl std::str::FromStr for Id {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Id, ParseError> {
        let node = |error| text.parse::<NodeId>().map(|node| AgentId(*node.as_bytes())).map_err(|_| error);
        text.parse().or_else(node).map(Id)
    }
}

const REVOKE: &str = "\
From the moment when the nodes hear of it nobody begins a session with what was taken back, and the next
message of a session that is open is refused. What was sealed to those keys and not read yet is not
opened any more: it becomes a dead letter.";

/// A card, and what is known of whose it should be.
#[derive(Debug, Args)]
pub(crate) struct CardInput {
    /// The file to read; - or nothing reads the standard input
    #[arg(default_value = "-", hide_default_value = true)]
    pub(crate) file: PathBuf,
    /// Fail unless the agent has this fingerprint; spaces and case do not count
    #[arg(long)]
    pub(crate) fingerprint: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct MessageCommand {
    #[command(subcommand)]
    pub(crate) action: MessageAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MessageAction {
    /// Say who said an exported message, and whether that is proved; needs no store, key or network
    #[command(long_about = EVIDENCE)]
    Verify {
        #[command(flatten)]
        input: Input,
        /// The card of its sender, from whoever is trusted to know: what it took back is not believed
        #[arg(long, value_name = "FILE")]
        card: Option<PathBuf>,
    },
}

const EVIDENCE: &str = "\
Say who said an exported message, and whether that is proved.

The input is what Context::evidence gave to the agent that was told the message: the message, the
certificate of its sender, and the signature. It proves that the sender said this to the holder of one
certificate; when it was said is only what the message itself says. Needs no store, key or network.";
