//! One connection of a node to its NATS servers: opened, watched, counted and closed.
//!
//! The client reconnects by itself, with back-off and jitter; whoever uses it decides what a lost answer means. What this
//! does not do: read or write subjects. `transport/nats/` does for frames, `streams/jetstream/` for streams and buckets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event};
use connectome_actors::port::{ConnectionFigures, Notice, Part};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::options::{Login, NatsError, NatsOptions};
use crate::transport::looped::{Attended, Run};

/// Commands that wait for the socket while it is away or slow. Each is one publish at most; beyond it, a publish waits.
const COMMANDS_MAX: usize = 2_048;

/// Messages of one subscription that wait to be read; beyond it the client drops, and counts.
const SUBSCRIPTION_MAX: usize = 65_536;

/// The first and the longest pause between two attempts to reconnect.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// Notices that wait to be told. They come with losses of the connection, and complaints; more are in the counts alone.
const NOTICES_MAX: usize = 64;

/// A connection that several parts of a node share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NatsConnection {
    client: Client,
    state: Arc<Counters>,
    life: Arc<Attended>,
}

/// What has happened to a connection since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Connections made, the first one included.
    pub connected: u64,
    /// Connections lost.
    pub disconnected: u64,
    /// Times the client dropped messages because a subscription was not read fast enough.
    pub slow_consumer: u64,
    /// Servers that told us they are about to stop.
    pub lame_duck: u64,
    /// Refusals and complaints of a server: a denied subject, say.
    pub server_errors: u64,
}

#[derive(Debug)]
struct Counters {
    connected: AtomicU64,
    disconnected: AtomicU64,
    slow_consumer: AtomicU64,
    lame_duck: AtomicU64,
    server_errors: AtomicU64,
    up: watch::Sender<bool>,
    lost_at: Mutex<Option<Instant>>,
    notices: mpsc::Sender<Said>,
}

/// What the life of a connection hears of it.
#[derive(Debug)]
enum Said {
    Notice(Notice),
    Closed,
}

impl NatsConnection {
    /// Connects, and refuses a server that lacks what we rely on.
    ///
    /// # Errors
    /// [`NatsError`]: it names the key that is wrong, or what the server lacks.
    pub async fn open(options: &NatsOptions) -> Result<NatsConnection, NatsError> {
        let (notices, waiting) = mpsc::channel(NOTICES_MAX);
        let state = Arc::new(Counters::new(notices));
        let connect = connect_options(options, state.clone())?.connect(options.urls.clone());
        let client = match tokio::time::timeout(options.connect_timeout, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(NatsError::connect(options, error)),
            Err(_) => {
                let waited = format!("none answered within {:?}", options.connect_timeout);
                return Err(NatsError::connect(options, waited));
            }
        };
        let life = Arc::new(live(client.clone(), waiting));
        let connection = NatsConnection { client, state, life };
        connection.check()?;
        connection.state.up.send_replace(true);
        Ok(connection)
    }

    /// What has happened to it.
    pub fn counts(&self) -> ConnectionCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionCounts {
            connected: read(&self.state.connected),
            disconnected: read(&self.state.disconnected),
            slow_consumer: read(&self.state.slow_consumer),
            lame_duck: read(&self.state.lame_duck),
            server_errors: read(&self.state.server_errors),
        }
    }

    /// The same, with what has gone over it.
    pub(crate) fn figures(&self) -> ConnectionFigures {
        let (counts, traffic) = (self.counts(), self.client.statistics());
        ConnectionFigures {
            up: self.is_up(),
            connected: counts.connected,
            disconnected: counts.disconnected,
            slow_consumer: counts.slow_consumer,
            lame_duck: counts.lame_duck,
            server_errors: counts.server_errors,
            messages_in: traffic.in_messages.load(Ordering::Relaxed),
            bytes_in: traffic.in_bytes.load(Ordering::Relaxed),
            messages_out: traffic.out_messages.load(Ordering::Relaxed),
            bytes_out: traffic.out_bytes.load(Ordering::Relaxed),
        }
    }

    /// Its life, for a supervisor.
    pub(crate) fn part(&self) -> Arc<dyn Part> {
        self.life.part()
    }

    /// Whether a server is connected now.
    pub fn is_up(&self) -> bool {
        // Not by our events: the client drops those that come too fast.
        self.client.connection_state() == State::Connected
    }

    /// Leaves the server and connects anew, to another one if there are several: with fresh credentials, say.
    pub async fn reconnect(&self) {
        // It fails when the client is closed; then there is nothing to connect.
        drop(self.client.force_reconnect().await);
    }

    /// How often the connection has been made, if it stands.
    pub(crate) fn connections(&self) -> Option<u64> {
        let connects = self.client.statistics().connects.load(Ordering::Relaxed);
        self.is_up().then_some(connects)
    }

    /// Whether the server is one of several that clients may move between.
    pub(crate) fn in_cluster(&self) -> bool {
        self.client.server_info().cluster.is_some()
    }

    /// Sends what is on its way, and closes. A server that does not take it in time is left.
    pub async fn close(&self) {
        let drained = tokio::time::timeout(RECONNECT_MAX, async {
            if self.client.drain().await.is_ok() {
                let mut up = self.state.up.subscribe();
                // The sender lives as long as we do.
                drop(up.wait_for(|up| !up).await);
            }
        });
        if drained.await.is_err() {
            tracing::warn!("the NATS connection was left before everything had been sent");
        }
    }

    /// The client, for those who speak NATS.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Follows whether a server is connected.
    pub(crate) fn watch_up(&self) -> watch::Receiver<bool> {
        self.state.up.subscribe()
    }

    fn check(&self) -> Result<(), NatsError> {
        let info = self.client.server_info();
        if !recent(&info.version) {
            return Err(NatsError::TooOld { server: info.server_name, version: info.version });
        }
        if !info.jetstream {
            return Err(NatsError::NoJetStream { server: info.server_name });
        }
        Ok(())
    }
}

/// Tells what happens to a connection. After a crash in its middle it connects anew: nobody knows what was missed.
fn live(client: Client, waiting: mpsc::Receiver<Said>) -> Attended {
    let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
    Attended::start("connection", move |run: Run<'_>| {
        let (client, waiting) = (client.clone(), Arc::clone(&waiting));
        async move {
            if run.follows_a_crash {
                // It fails when the client is closed, which is told below.
                drop(client.force_reconnect().await);
            }
            let mut waiting = waiting.lock().await;
            while let Some(Said::Notice(notice)) = waiting.recv().await {
                run.notices.tell(notice).await;
            }
            Err("the NATS client has closed: nothing connects it any more".to_owned())
        }
        .boxed()
    })
}

/// Whether this version has what we use (per-message TTL, markers, atomic batches) and none of the holes that were closed in
/// 2.12.7 and 2.14.0 (CVE-2026-27889, -29785, -27571, -33248).
fn recent(version: &str) -> bool {
    let number = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let version = (next(), next(), next());
    version >= (2, 14, 0) || ((2, 12, 7)..(2, 13, 0)).contains(&version)
}

fn connect_options(options: &NatsOptions, state: Arc<Counters>) -> Result<ConnectOptions, NatsError> {
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(options.connect_timeout)
        .request_timeout(Some(options.request_timeout))
        .ping_interval(options.ping_every)
        .client_capacity(COMMANDS_MAX)
        .subscription_capacity(SUBSCRIPTION_MAX)
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            state.note(&event);
            std::future::ready(())
        });
    if let Some(path) = &options.credentials {
        let unusable = |problem: std::io::Error| NatsError::File {
            key: "nats.credentials",
            path: path.clone(),
            problem: problem.to_string(),
        };
        let text = std::fs::read_to_string(path).map_err(unusable)?;
        connect = connect.credentials(&text).map_err(unusable)?;
    }
    connect = match options.login() {
        Some(Login::User { name, password }) => connect.user_and_password(name, password),
        Some(Login::Token(token)) => connect.token(token),
        None => connect,
    };
    // Where QUIC is built in, there are two libraries for TLS in the process; this one is what NATS is tested with. Whoever
    // was first has chosen, which is as good.
    #[cfg(feature = "quic")]
    drop(async_nats::rustls::crypto::ring::default_provider().install_default());
    if let Some(path) = &options.ca_file {
        connect = connect.add_root_certificates(path.clone());
    }
    Ok(connect)
}

/// Doubles from the first pause to the longest, and half of it is chance, so that nodes do not come back all at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let doubled = RECONNECT_FIRST * 2u32.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX).min(10));
    let longest = doubled.min(RECONNECT_MAX);
    longest / 2 + longest.mul_f64(rand::random::<f64>() / 2.0)
}

impl Counters {
    fn new(notices: mpsc::Sender<Said>) -> Counters {
        let zero = || AtomicU64::new(0);
        Counters {
            connected: zero(),
            disconnected: zero(),
            slow_consumer: zero(),
            lame_duck: zero(),
            server_errors: zero(),
            up: watch::Sender::new(false),
            lost_at: Mutex::default(),
            notices,
        }
    }

    fn tell(&self, notice: Notice) {
        // One too many is in the counts.
        drop(self.notices.try_send(Said::Notice(notice)));
    }

    fn note(&self, event: &Event) {
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        match event {
            Event::Connected => {
                count(&self.connected);
                self.up.send_replace(true);
                tracing::info!("connected to NATS");
                if let Some(lost_at) = self.lost_at.lock().take() {
                    self.tell(Notice::ConnectionBack { away: lost_at.elapsed() });
                }
            }
            Event::Disconnected => {
                count(&self.disconnected);
                self.up.send_replace(false);
                tracing::warn!("the connection to NATS is lost; reconnecting");
                self.lost_at.lock().get_or_insert_with(Instant::now);
                self.tell(Notice::ConnectionLost);
            }
            Event::Closed => {
                self.up.send_replace(false);
                // With no room for it, who is told of the others finds it closed all the same.
                drop(self.notices.try_send(Said::Closed));
            }
            Event::LameDuckMode => {
                count(&self.lame_duck);
                tracing::warn!("the NATS server is about to stop");
                self.tell(Notice::ServerLeaves);
            }
            Event::SlowConsumer(subscription) => {
                count(&self.slow_consumer);
                tracing::warn!(
                    subscription,
                    "messages from NATS were dropped: they are not read fast enough"
                );
                self.tell(Notice::MessagesDropped { limit: SUBSCRIPTION_MAX });
            }
            Event::ServerError(error) => {
                count(&self.server_errors);
                tracing::warn!(%error, "the NATS server refuses something");
            }
            Event::ClientError(error) => tracing::warn!(%error, "the NATS client has a problem"),
            Event::Draining => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Versions with known holes, and what is no version, are refused.
    #[test]
    fn versions_are_told_apart() {
        for good in ["2.15.1", "2.14.0", "2.12.7", "2.12.11", "3.0.0", "2.15.0-RC.1"] {
            assert!(recent(good), "{good}");
        }
        for old in ["2.9.10", "2.12.6", "2.13.9", "", "new"] {
            assert!(!recent(old), "{old}");
        }
    }

    /// The pause grows, is never longer than its bound, and differs.
    #[test]
    fn reconnecting_backs_off() {
        for attempts in 0..100 {
            let delay = reconnect_delay(attempts);
            assert!(delay >= RECONNECT_FIRST / 2 && delay <= RECONNECT_MAX, "{attempts}: {delay:?}");
        }
        assert!((0..10).map(|_| reconnect_delay(20)).any(|delay| delay != reconnect_delay(20)));
    }
}
