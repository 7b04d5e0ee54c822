//! What the server has lost though this store made it: made again as it was asked for, empty, and told.
//!
//! A server that comes back with an empty disk knows no streams and no buckets. Whoever needs one next finds it missing. What
//! it held is gone, and nobody here pretends otherwise: it is logged, counted, and told to whoever follows [`Store::losses`].
//!
//! Sequences of what is made here begin with the moment of it, in microseconds. So a place in a stream that is gone is never
//! mistaken for one in the stream that follows it, whoever has kept it: a cursor in an agent's state, a revision of a lease, a
//! tail. What takes fewer than a million messages a second, on the average, stays behind the clock.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectome_actors::port::StreamError;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Store;

/// How long whoever asks in a circle waits before the answer that something can't be made again; and how seldom that is logged.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// How often each stream and bucket was lost, by our names.
pub(crate) type Losses = BTreeMap<String, u64>;

/// What a store has made, or found made: as many as its users have named.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Our name, and what was asked for, by the server's name.
    wanted: Mutex<BTreeMap<String, (String, Value)>>,
    /// One is made again at a time, so that its loss is told once.
    making: tokio::sync::Mutex<()>,
    losses: watch::Sender<Losses>,
    /// When it was last logged that something can't be made again.
    complained: Mutex<Option<Instant>>,
}

impl Made {
    pub(super) fn note(&self, there: &str, name: &str, wanted: &Value) {
        self.wanted.lock().insert(there.to_owned(), (name.to_owned(), wanted.clone()));
    }

    fn of(&self, there: &str) -> Option<(String, Value)> {
        self.wanted.lock().get(there).cloned()
    }

    /// Whether it is time to log it again.
    fn complains(&self) -> bool {
        let mut complained = self.complained.lock();
        let is_time = complained.is_none_or(|at| at.elapsed() >= REFUSED_PAUSE);
        if is_time {
            *complained = Some(Instant::now());
        }
        is_time
    }

    fn lost(&self, name: &str) {
        self.losses.send_modify(|losses| *losses.entry(name.to_owned()).or_default() += 1);
    }
}

impl Store {
    /// Follows what the server has lost.
    pub(super) fn losses(&self) -> watch::Receiver<Losses> {
        self.made.losses.subscribe()
    }

    /// Makes again what this store knows and the server does not. `false`: this store does not know it either.
    ///
    /// # Errors
    /// [`StreamError::Unavailable`] when the server refuses it: the text says why, and what would be right.
    pub(super) async fn make_again(&self, there: &str) -> Result<bool, StreamError> {
        let Some((name, wanted)) = self.made.of(there) else { return Ok(false) };
        let making = self.made.making.lock().await;
        if self.look_up(there).await?.is_some() {
            return Ok(true);
        }
        let made = self.make(&name, there, &wanted, &|_| Ok(())).await;
        drop(making);
        match made {
            Ok(()) => self.say_lost(&name),
            Err(error @ (StreamError::Unavailable(_) | StreamError::Unknown(_))) => return Err(error),
            Err(error) => {
                let problem = format!("the NATS server has lost {name}, and it can't be made again: {error}");
                if self.made.complains() {
                    tracing::error!("{problem}");
                }
                return Err(StreamError::Unavailable(problem));
            }
        }
        Ok(true)
    }

    /// The same, for those who would ask again at once: an error comes slowly.
    pub(super) async fn make_again_slowly(&self, there: &str) -> Result<bool, StreamError> {
        let made = self.make_again(there).await;
        if made.is_err() {
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
        made
    }

    fn say_lost(&self, name: &str) {
        tracing::error!("the NATS server has lost {name}: what it held is gone; it is made again, empty");
        self.counters.remade.add(1);
        self.made.lost(name);
    }

    /// What is asked for, with where its sequences begin.
    pub(super) fn beginning(&self, wanted: &Value) -> Value {
        let mut wanted = wanted.clone();
        if self.options.remake {
            wanted["first_seq"] = micros().into();
        }
        wanted
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only how it compares with the beginnings before it matters, and those are on the server"
)]
fn micros() -> u64 {
    // A clock before 1970 gives what the server would begin with anyway.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(1).max(1)
}
