//! Where the servers are, who we are to them, and what may wait for them.

use std::path::PathBuf;
use std::time::Duration;

/// How a node reaches its NATS servers.
///
/// ```
/// use connectome::transport::nats::NatsOptions;
///
/// let options = NatsOptions::new("nats://one:4222, nats://two:4222")?;
/// assert_eq!(options.urls.len(), 2);
/// assert!(NatsOptions::new("http://one").is_err());
/// # Ok::<(), connectome::transport::nats::NatsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct NatsOptions {
    /// The servers, each as `nats://host:port` or `tls://host:port`, where it must be with `user:password@` or `token@` in front
    /// of the host. Name all of a cluster: a server that joins later is not
    /// learnt of before the next reconnect.
    pub urls: Vec<String>,
    /// The connection's name, as the server's monitoring shows it.
    pub name: String,
    /// A credentials file (user JWT and nkey seed), where the servers want one.
    pub credentials: Option<PathBuf>,
    /// A certificate authority to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// How long the first connection may take, and how long each later attempt may.
    pub connect_timeout: Duration,
    /// How long a request waits for its answer before it is tried again or given up.
    pub request_timeout: Duration,
    /// A server that answers no ping for three of these is left for another.
    pub ping_every: Duration,
}

impl NatsOptions {
    /// Servers, separated by commas, with defaults for everything else.
    ///
    /// # Errors
    /// [`NatsError::Url`].
    pub fn new(urls: &str) -> Result<NatsOptions, NatsError> {
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        let urls = urls.map(checked).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(NatsError::Url { url: String::new(), problem: "no server is named".into() });
        }
        if let Some(url) = urls.iter().find(|url| login(url) != login(&urls[0])) {
            let problem = "it names another user than the first one: all servers take the same".into();
            return Err(NatsError::Url { url: hidden(url), problem });
        }
        Ok(NatsOptions { urls, ..NatsOptions::default() })
    }

    /// The user that the servers' URLs name. The client passes over it there.
    pub(super) fn login(&self) -> Option<Login> {
        login(self.urls.first()?)
    }
}

impl std::fmt::Debug for NatsOptions {
    /// Without the passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(|url| hidden(url)).collect();
        f.debug_struct("NatsOptions").field("urls", &urls).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who we are to a server, as a URL says it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Token(String),
    User { name: String, password: String },
}

fn login(url: &str) -> Option<Login> {
    let address: async_nats::ServerAddr = url.parse().ok()?;
    let name = decoded(address.username()?);
    Some(match address.password() {
        Some(password) => Login::User { name, password: decoded(password) },
        None => Login::Token(name),
    })
}

/// A part of a URL without its percent signs. What is no text then is left as it is.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = part.get(part.len() - after.len()..).and_then(|after| after.get(..2));
        let escaped = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = &after[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

impl Default for NatsOptions {
    /// A server on this machine. A hung server is noticed within 3 s, since clusters promise failover within 6 s.
    fn default() -> NatsOptions {
        NatsOptions {
            urls: vec!["nats://127.0.0.1:4222".into()],
            name: "connectome".into(),
            credentials: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(2),
            ping_every: Duration::from_secs(1),
        }
    }
}

fn checked(url: &str) -> Result<String, NatsError> {
    let wrong = |problem: &str| NatsError::Url { url: hidden(url), problem: problem.into() };
    let whole = if url.contains("://") { url.to_owned() } else { format!("nats://{url}") };
    if !whole.starts_with("nats://") && !whole.starts_with("tls://") {
        return Err(wrong("its scheme is neither nats nor tls"));
    }
    let address = whole.parse::<async_nats::ServerAddr>().map_err(|error| wrong(&error.to_string()))?;
    if address.host().is_empty() { Err(wrong("it names no host")) } else { Ok(whole) }
}

/// The URL without its password.
fn hidden(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

/// Why there is no connection to NATS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The configuration names something that is no server.
    #[error("NATS_URL: {url:?} is no server: {problem}")]
    Url {
        /// What was given, without a password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that the configuration names can't be used.
    #[error("{key}: {path} can't be used: {problem}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// The path that was given.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No server could be reached, or none let us in.
    #[error("NATS_URL: no connection to {urls}: {problem}")]
    Connect {
        /// The servers that were tried, without passwords.
        urls: String,
        /// What the last one answered.
        problem: String,
    },
    /// The server lacks what we rely on.
    #[error(
        "NATS_URL: the NATS server {server} has version {version}: use 2.12.7 or newer, and within 2.14 or later any"
    )]
    TooOld {
        /// The server's name.
        server: String,
        /// Its version.
        version: String,
    },
    /// A namespace that can't be part of a subject.
    #[error(
        "the namespace {namespace:?} can't be part of a subject: write 1 to 64 of A-Z, a-z, 0-9, _ and -"
    )]
    Namespace {
        /// What was given.
        namespace: String,
    },
    /// What we said to ourselves did not come back.
    #[error(
        "the NATS server lets us not use {subjects}: allow this user to publish and subscribe there ({problem})"
    )]
    Subjects {
        /// The subjects that the transport needs.
        subjects: String,
        /// What was seen.
        problem: String,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gave no randomness ({problem}): allow getrandom in its sandbox")]
    Randomness {
        /// What it said.
        problem: String,
    },
    /// A monitoring endpoint that the configuration names can't be asked.
    #[error("nats.monitors: {url} can't be asked whether its server is durable: {problem}")]
    Monitor {
        /// The endpoint.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The configuration promises what a server does not keep.
    #[error(
        "nats.profile: durable was asked for, and the NATS server {server} forces writes to the disk each {every:?}: set \
         `sync_interval: always` in its jetstream block, or nats.profile to fast"
    )]
    NotDurable {
        /// The server's name.
        server: String,
        /// How often it forces writes to the disk.
        every: Duration,
    },
    /// The server keeps no streams.
    #[error(
        "NATS_URL: the NATS server {server} has JetStream off: start it with -js, or name a server that has it"
    )]
    NoJetStream {
        /// The server's name.
        server: String,
    },
}

impl NatsError {
    pub(super) fn connect(options: &NatsOptions, problem: impl ToString) -> NatsError {
        let urls: Vec<_> = options.urls.iter().map(|url| hidden(url)).collect();
        NatsError::Connect { urls: urls.join(", "), problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user in a URL is who we are; two users are one too many.
    #[test]
    fn users_are_read_from_urls() {
        let login = |urls: &str| NatsOptions::new(urls).unwrap().login();
        let user = |name: &str, password: &str| Login::User { name: name.into(), password: password.into() };
        assert!(
            login("one").is_none() && login("nats://t%20oken@one") == Some(Login::Token("t oken".into()))
        );
        assert!(login("ada:p%40ss%zz%@one, nats://ada:p%40ss%zz%@two") == Some(user("ada", "p@ss%zz%")));
        let secret = NatsOptions::new("ada:secret@one").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
        assert!(NatsOptions::new("ada:x@one, eve:y@two").unwrap_err().to_string().contains("another user"));
    }

    /// A host without scheme is a server; a password never reaches an error.
    #[test]
    fn urls_are_checked_and_hidden() {
        assert_eq!(NatsOptions::new("one").unwrap().urls, ["nats://one"]);
        assert_eq!(NatsOptions::new(" a:1 ,tls://b:2, ").unwrap().urls, ["nats://a:1", "tls://b:2"]);
        for wrong in ["", " , ", "http://a", "nats://", "nats://me:secret@"] {
            let error = NatsOptions::new(wrong).unwrap_err().to_string();
            assert!(error.starts_with("NATS_URL") && !error.contains("secret"), "{error}");
        }
    }
}
