//! Where the NATS servers are, where a cluster has them. Without them a node keeps its own store and knows no others.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
}

impl Default for NatsConfig {
    fn default() -> NatsConfig {
        NatsConfig {
            url: None,
            credentials: None,
            ca_file: None,
            replicas: 1,
            request_timeout: Duration::from_secs(2),
        }
    }
}

impl NatsConfig {
    /// The servers as they may be shown: without user and password. `None`: the node keeps its own store.
    pub fn servers(&self) -> Option<String> {
        self.url.as_deref().map(shown)
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
