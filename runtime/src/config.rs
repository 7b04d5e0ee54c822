//! Everything a node can be told, as plain data with defaults.
//!
//! | from | for example | strength |
//! |---|---|---|
//! | flags | `--set streams.max_age=1d` | strongest |
//! | environment | `CONNECTOME_STREAMS_MAX_AGE=1d` | |
//! | file | `[streams]`, `max_age = "1d"` | |
//! | defaults | `7d` | weakest |
//!
//! The variable of a key is its name in capitals, with `_` for `.` and `CONNECTOME_` before it. An empty variable counts
//! as not set. The file is TOML: the one that is named to [`Config::load`], else the one in `CONNECTOME_CONFIG`, else
//! none; no file is found by accident. What no key answers to is an error, never passed over.
//!
//! Everything is checked once, here, and all problems are told together. All keys stand in `config/key.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use connectome_actors::port::Storage;
use connectome_actors::protocol::membership::Timing;
use connectome_actors::{MailboxConfig, RouterConfig, StreamLimits};
use connectome_codecs::Encoding;
use connectome_codecs::limits::COMPRESSION_THRESHOLD;

use crate::node::{Drain, NodeOptions, StopTimeout};
use crate::telemetry::Format;

mod describe;
mod direct;
mod field;
mod key;
mod nats;
mod problem;
mod reserved;
mod sealing;
mod source;
pub mod units;

pub use describe::{Description, Row};
pub use direct::Libp2pConfig;
use key::{KEYS, Key};
#[cfg(feature = "nats")]
pub(crate) use nats::host_of;
pub use nats::{NatsConfig, Profile};
pub use problem::{ConfigError, Origin, Problem, Wrong};
pub use sealing::{Peers, SealingConfig};
use source::Setting;

/// What a node is told.
///
/// ```
/// use connectome::config::Config;
///
/// let env = [("CONNECTOME_NAME", "till-3"), ("NATS_STREAM_MAX_AGE", "1d")];
/// let flags = [("storage", "memory")];
/// let config = Config::load(None, env, flags)?;
/// assert_eq!(config.name, "till-3");
/// assert_eq!(config.streams.max_age, Some(std::time::Duration::from_secs(86_400)));
///
/// let error = Config::load(None, [("CONNECTOME_CALL_TIMOUT", "5")], []).unwrap_err();
/// assert!(error.to_string().contains("did you mean CONNECTOME_CALL_TIMEOUT?"));
/// # Ok::<(), connectome::config::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name: with the root key it makes the node's own key, so it differs from node to node.
    pub name: String,
    /// The first token of every subject: clusters with different namespaces do not see each other.
    pub namespace: String,
    /// Where the node keeps its files.
    pub data_dir: PathBuf,
    /// The file of the root key. Nodes of a cluster share one root: what each of them stores is sealed under it. `None`:
    /// `root.key` in the data directory; with streams in memory, a root that is gone with the process.
    pub key_file: Option<PathBuf>,
    /// The file of the passphrase that the root is under. `None`: it is in the open, in a file for its owner alone.
    pub key_passphrase_file: Option<PathBuf>,
    /// How long a stopping node lets the work in hand come to its end.
    pub drain_timeout: Duration,
    /// How long it then takes to stop its actors, before it leaves without them.
    pub stop_timeout: Duration,
    /// Calls, streamed answers and tasks.
    pub router: RouterConfig,
    /// Heartbeats, and how soon silence means something.
    pub membership: Timing,
    /// The bounds of a mailbox whose agent does not set its own.
    pub mailbox: MailboxConfig,
    /// Where and how long streams are kept.
    pub streams: StreamLimits,
    /// How many messages each consumer of the node may take in a second. `None`: as fast as it can.
    pub consumer_rate: Option<u64>,
    /// The NATS servers of a cluster past one process.
    pub nats: NatsConfig,
    /// How nodes reach each other directly.
    pub libp2p: Libp2pConfig,
    /// Whom the node talks to.
    pub sealing: SealingConfig,
    /// How bodies are made smaller on their way.
    pub compression: CompressionConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Where the values come from.
    pub origins: Origins,
    /// What was set, does nothing, and may be meant for other programs. One sentence each, to be logged.
    pub warnings: Vec<String>,
}

/// How bodies are made smaller on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressionConfig {
    /// Whether at all. Do not, where secrets travel in one body with text that an attacker chooses.
    pub enabled: bool,
    /// Shorter bodies go as they are, in bytes.
    pub threshold: usize,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Targets and levels, as in `info,connectome=debug`.
    pub filter: String,
    /// For people or for machines.
    pub format: Format,
    /// How often the node's figures are logged, in a line. `None`: never.
    pub status_every: Option<Duration>,
}

/// Where each value that is not a default comes from. Empty for a `Config` that a program has made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<&'static str, (Origin, String)>);

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "node".to_owned(),
            namespace: "connectome".to_owned(),
            data_dir: PathBuf::from(".connectome"),
            key_file: None,
            key_passphrase_file: None,
            drain_timeout: Drain::default().0,
            stop_timeout: StopTimeout::default().0,
            router: RouterConfig::default(),
            membership: Timing::default(),
            mailbox: MailboxConfig::default(),
            streams: StreamLimits::default(),
            consumer_rate: None,
            nats: NatsConfig::default(),
            libp2p: Libp2pConfig::default(),
            sealing: SealingConfig::default(),
            compression: CompressionConfig::default(),
            log: LogConfig::default(),
            origins: Origins::default(),
            warnings: Vec::new(),
        }
    }
}

impl Default for CompressionConfig {
    fn default() -> CompressionConfig {
        CompressionConfig { enabled: true, threshold: COMPRESSION_THRESHOLD }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { filter: "info".to_owned(), format: Format::default(), status_every: None }
    }
}

impl Config {
    /// The defaults, but nothing touches the disk: streams and keys are gone with the process.
    pub fn in_memory() -> Config {
        let mut config = Config::default();
        config.streams.storage = Storage::Memory;
        config
    }

    /// What the environment of this process says, with the file in `CONNECTOME_CONFIG` if there is one.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_env() -> Result<Config, ConfigError> {
        Config::load(None, std::env::vars_os(), [])
    }

    /// Puts a configuration together from a file, an environment and flags (keys and values), each stronger than the one
    /// before it.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong: values, unknown keys and variables, a file that can't be read, and
    /// values that do not go together.
    pub fn load<'a, N, V>(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (N, V)>,
        flags: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Config, ConfigError>
    where
        N: Into<OsString>,
        V: Into<OsString>,
    {
        let mut problems = Vec::new();
        let env = source::environment(env, &mut problems);
        let named = file.or(env.file.as_deref());
        let mut settings = named.map(|path| source::file(path, &mut problems)).unwrap_or_default();
        settings.extend(env.settings);
        settings.extend(source::flags(flags, &mut problems));
        let mut config = Config { warnings: env.warnings, ..Config::default() };
        problems.extend(settings.into_iter().filter_map(|setting| config.apply(setting).err()));
        problems.extend(config.problems());
        ConfigError::unless_empty(problems).map(|()| config)
    }

    /// Checks a configuration that a program has made or changed.
    ///
    /// # Errors
    /// [`ConfigError`] with every value that can't be, and those that do not go together.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::unless_empty(self.problems())
    }

    /// The effective values and where they come from.
    pub fn describe(&self) -> Description {
        describe::describe(self)
    }

    /// What a node needs to know beside its ports.
    pub fn node_options(&self) -> NodeOptions {
        let mut router = self.router.clone();
        router.namespace.clone_from(&self.namespace);
        router.mailbox = self.mailbox;
        // Without a broker, and without a node that serves its own, each node has a store to itself, whoever it speaks to.
        let is_shared = self.nats.url.is_some() || self.libp2p.store.is_some();
        router.store_is_shared = is_shared || !self.libp2p.is_used();
        router.accept = self.sealing.accept();
        router.compression_threshold = self.compression.threshold;
        if !self.compression.enabled {
            router.encodings = vec![Encoding::Identity];
        }
        let (timing, streams) = (self.membership, self.streams.clone());
        NodeOptions {
            router,
            timing,
            streams,
            drain: Drain(self.drain_timeout),
            stop: StopTimeout(self.stop_timeout),
            name: self.name.clone(),
            consumer_rate: self.consumer_rate,
            log_status_every: self.log.status_every,
        }
    }

    /// The directory of the streams, when they are kept on disk.
    pub fn store_path(&self) -> PathBuf {
        self.data_dir.join("streams")
    }

    /// Where the root key is kept.
    pub fn key_path(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.data_dir.join("root.key"))
    }

    fn apply(&mut self, setting: Setting) -> Result<(), Problem> {
        let Setting { key, text, origin } = setting;
        let read = (key.field)(self).read(&text);
        read.map_err(|wrong| Problem::new(key.name, Some(&text), origin.clone(), wrong))?;
        let shown = (key.field)(self).to_string();
        self.origins.0.insert(key.name, (origin, shown));
        Ok(())
    }

    fn problems(&self) -> Vec<Problem> {
        let mut copy = self.clone();
        let mut problems: Vec<Problem> = KEYS.iter().filter_map(|key| copy.problem_of(key)).collect();
        problems.extend(self.contradictions());
        problems
    }

    fn problem_of(&mut self, key: &Key) -> Option<Problem> {
        let shown = (key.field)(self).to_string();
        let wrong = (key.field)(self).check().err()?;
        Some(Problem::new(key.name, Some(&shown), self.origin(key.name, &shown), wrong))
    }

    /// Values that are fine by themselves, but not together.
    fn contradictions(&self) -> impl Iterator<Item = Problem> {
        let (membership, router) = (&self.membership, &self.router);
        let ascending = [
            (
                "membership.heartbeat",
                membership.heartbeat_every,
                "membership.suspect_after",
                membership.suspect_after,
            ),
            (
                "membership.suspect_after",
                membership.suspect_after,
                "membership.down_after",
                membership.down_after,
            ),
            ("membership.down_after", membership.down_after, "ownership.lease", router.ownership_lease),
            ("tasks.lease", router.task_lease, "tasks.attempt_max", router.task_attempt_max),
        ];
        let durable = self
            .nats
            .not_durable(self.streams.storage)
            .map(|(name, shown, wrong)| Problem::new(name, Some(&shown), self.origin(name, &shown), wrong));
        let misplaced = self.libp2p.misplaced_store(self.nats.url.is_some()).map(|(shown, wrong)| {
            let name = "libp2p.store";
            Problem::new(name, Some(&shown), self.origin(name, &shown), wrong)
        });
        let in_order = ascending.into_iter().filter(|(_, shorter, _, longer)| shorter >= longer).map(
            |(name, shorter, than, longer)| {
                let (shorter, longer) = (units::show_duration(shorter), units::show_duration(longer));
                let wrong = Wrong {
                    problem: format!("it is not shorter than {than}, which is {longer}"),
                    right: format!("make {name} shorter or {than} longer"),
                };
                Problem::new(name, Some(&shorter), self.origin(name, &shorter), wrong)
            },
        );
        durable.into_iter().chain(misplaced).chain(in_order)
    }

    /// Where the present value of a key comes from. One that differs from what was loaded was set by the program.
    fn origin(&self, key: &str, shown: &str) -> Origin {
        match self.origins.0.get(key) {
            Some((origin, loaded)) if loaded == shown => origin.clone(),
            None if key::default_of(key).as_deref() == Some(shown) => Origin::Default,
            Some(_) | None => Origin::Program,
        }
    }
}

#[cfg(test)]
mod tests;
