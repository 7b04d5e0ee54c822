//! Where the NATS servers are, where a cluster has them. Without them a node keeps its own store and knows no others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use connectome_actors::port::Storage;

use super::problem::Wrong;
#[cfg(feature = "nats")]
use crate::streams::JetStreamOptions;
#[cfg(feature = "nats")]
use crate::transport::nats::{NatsError, NatsOptions};

/// How a node reaches NATS. What `Debug` prints has no password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// The servers, separated by commas. `None`: none; the node is on its own, with an embedded store.
    pub url: Option<String>,
    /// A credentials file, where the servers want one.
    pub credentials: Option<PathBuf>,
    /// A certificate authority to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// On how many servers each stream and bucket is kept.
    pub replicas: usize,
    /// How long one request waits for its answer before it is tried again.
    pub request_timeout: Duration,
    /// What an acknowledged write survives.
    pub profile: Profile,
    /// The servers' monitoring endpoints, separated by commas, where [`Profile::Durable`] is checked. `None`: it can't be.
    pub monitors: Option<String>,
}

/// What an acknowledged write survives: `kill -9` of all servers in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Loss of power may take the newest writes along, since the server forces them to the disk every two minutes.
    #[default]
    Fast,
    /// Loss of power of all servers, and loss of one machine for good: at least three replicas, on servers that have
    /// `sync_interval: always`.
    Durable,
}

/// Replicas that survive the loss of a machine.
const DURABLE_REPLICAS: usize = 3;

impl Default for NatsConfig {
    fn default() -> NatsConfig {
        NatsConfig {
            url: None,
            credentials: None,
            ca_file: None,
            replicas: 1,
            request_timeout: Duration::from_secs(2),
            profile: Profile::default(),
            monitors: None,
        }
    }
}

impl NatsConfig {
    /// The servers as they may be shown: without user and password. `None`: the node keeps its own store.
    pub fn servers(&self) -> Option<String> {
        self.url.as_deref().map(shown)
    }

    /// What of the configuration is not durable though it should be: the key, its value, and what is wrong.
    pub(super) fn not_durable(&self, storage: Storage) -> Option<(&'static str, String, Wrong)> {
        if self.profile == Profile::Fast {
            return None;
        }
        if storage == Storage::Memory {
            let wrong = Wrong::new(
                "nats.profile is durable, and memory is not",
                "write file, or set nats.profile to fast",
            );
            return Some(("storage", "memory".to_owned(), wrong));
        }
        if self.url.is_some() && self.replicas < DURABLE_REPLICAS {
            let right = "write 3 or 5, on a cluster of as many servers with sync_interval: always, or set nats.profile to fast";
            let wrong = Wrong::new(
                "nats.profile is durable, and fewer than 3 replicas do not survive the loss of a machine",
                right,
            );
            return Some(("nats.replicas", self.replicas.to_string(), wrong));
        }
        None
    }
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("url", &self.servers())
            .field("credentials", &self.credentials)
            .field("ca_file", &self.ca_file)
            .field("replicas", &self.replicas)
            .field("request_timeout", &self.request_timeout)
            .field("profile", &self.profile)
            .field("monitors", &self.monitors)
            .finish()
    }
}

/// The servers as they may be shown: without user and password.
pub(super) fn shown(urls: &str) -> String {
    let hide = |url: &str| match url.trim().rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.trim().to_owned(),
    };
    urls.split(',').map(hide).collect::<Vec<_>>().join(",")
}

/// Whether these are monitoring endpoints.
pub(super) fn check_monitors(urls: &str) -> Result<(), Wrong> {
    let right = "write http://host:8222, several separated by commas: what the servers have as `http` or `monitor_port`";
    match urls.split(',').map(str::trim).find(|url| host_of(url).is_none()) {
        Some(url) => Err(Wrong::new(format!("{url:?} is no http://host:port"), right)),
        None => Ok(()),
    }
}

/// The host and port of a monitoring endpoint.
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let host = url.trim().strip_prefix("http://")?.trim_end_matches('/');
    let (name, port) = host.rsplit_once(':')?;
    (!name.is_empty() && !host.contains(['/', '@', ' ']) && port.parse::<u16>().is_ok()).then_some(host)
}

/// Whether these are servers that this build can reach.
pub(super) fn check(urls: &str) -> Result<(), Wrong> {
    #[cfg(not(feature = "nats"))]
    return Err(Wrong::new(
        format!("this build can't reach {}: it has no NATS transport", shown(urls)),
        "build with the feature nats, or unset it: the embedded store needs no server",
    ));
    #[cfg(feature = "nats")]
    NatsOptions::new(urls)
        .map(|_| ())
        .map_err(|error| Wrong::new(error.to_string(), "write nats://host:4222, several separated by commas"))
}

#[cfg(feature = "nats")]
impl NatsConfig {
    /// What the connection of a node of this name is made of. `None` without servers.
    ///
    /// # Errors
    /// [`NatsError::Url`] when the servers are none.
    pub fn connection(&self, name: &str) -> Result<Option<NatsOptions>, NatsError> {
        let Some(urls) = &self.url else { return Ok(None) };
        let mut options = NatsOptions::new(urls)?;
        options.name = name.to_owned();
        options.credentials.clone_from(&self.credentials);
        options.ca_file.clone_from(&self.ca_file);
        options.request_timeout = self.request_timeout;
        Ok(Some(options))
    }

    /// How the store of a cluster of this namespace is kept.
    pub fn store(&self, namespace: &str) -> JetStreamOptions {
        JetStreamOptions {
            namespace: namespace.to_owned(),
            replicas: self.replicas,
            request_timeout: self.request_timeout,
            remake: true,
            ..JetStreamOptions::default()
        }
    }
}
