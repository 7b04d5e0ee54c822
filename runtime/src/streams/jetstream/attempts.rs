//! Trying again until it is answered or the time is over, and then saying honestly what is known.

use std::time::Duration;

use connectome_actors::port::StreamError;
use tokio::time::{Instant, timeout_at};

use super::Store;
use super::requests::Lost;

/// The first and the longest pause between two attempts: an election takes seconds, a restart less than one.
const PAUSE_FIRST: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How long past the deadline an attempt that has failed in time may look for the reason.
const EXPLAIN_MAX: Duration = Duration::from_secs(1);

/// What is said while there is no connection, and what would be right.
pub(super) const AWAY: &str = "no NATS server is connected: start one of those that NATS_URL names, or look whether they can be reached";

/// What doing it twice means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Nothing: it only looks.
    Reads,
    /// The same as doing it once.
    Same,
    /// Two effects: it is not tried again once it may have happened.
    Twice,
}

/// Why an attempt did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It never will.
    Final(StreamError),
    /// It had no effect, and may have one later.
    Passing(String),
    /// It may have had its effect.
    Silent(String),
}

impl From<StreamError> for Trouble {
    fn from(error: StreamError) -> Trouble {
        Trouble::Final(error)
    }
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Trouble {
        match lost {
            Lost::Away => Trouble::Passing(AWAY.to_owned()),
            Lost::Nobody => {
                Trouble::Passing("nobody answers for it: the stream has no leader now".to_owned())
            }
            Lost::Silent => Trouble::Silent("the NATS server was asked, and did not answer".to_owned()),
            Lost::Refused(problem) => Trouble::Final(StreamError::Invalid(format!(
                "{problem}; split it, or raise the NATS server's max_payload to 2MB"
            ))),
        }
    }
}

impl Store {
    /// Attempts it until it succeeds, fails for good, or the deadline has passed. Each attempt is told how long it may take.
    pub(super) async fn persist<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        repeat: Repeat,
        mut attempt: impl FnMut(Duration) -> F,
    ) -> Result<T, StreamError> {
        let end = Instant::now() + self.options.deadline;
        let (mut pause, mut is_open, mut known) = (PAUSE_FIRST, false, None);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let attempted =
                timeout_at(end + EXPLAIN_MAX, attempt(self.options.request_timeout.min(left))).await;
            let problem = match attempted.unwrap_or_else(|_| Err(cut_off(known.take()))) {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(StreamError::Unavailable(problem))) => {
                    return Err(given_up(is_open, problem));
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(problem)) => problem,
                Err(Trouble::Silent(problem)) => {
                    is_open |= repeat != Repeat::Reads;
                    problem
                }
            };
            let is_over = Instant::now() + pause >= end || (is_open && repeat == Repeat::Twice);
            if is_over {
                return Err(given_up(is_open, self.without_streams().unwrap_or(problem)));
            }
            known = Some(problem);
            self.counters.retries.add(1);
            self.pause(pause, end).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// A server that keeps no streams explains everything else.
    fn without_streams(&self) -> Option<String> {
        let connection = self.requests.connection();
        let info = connection.client().server_info();
        (connection.is_up() && !info.jetstream).then(|| {
            format!(
                "the NATS server {} has JetStream off: start it with -js, or name a server that has it",
                info.server_name
            )
        })
    }

    /// Waits for so long, and then until a server is connected.
    pub(super) async fn pause(&self, pause: Duration, end: Instant) {
        tokio::time::sleep(pause).await;
        let mut up = self.requests.connection().watch_up();
        // Whoever paused looks at the time, and at the connection, again.
        drop(timeout_at(end, up.wait_for(|up| *up)).await);
    }
}

/// An attempt that was cut off: it had asked, and nobody was there, and why was still being looked for. What was known before
/// is the best that can be said.
fn cut_off(known: Option<String>) -> Trouble {
    known.map_or_else(|| Lost::Nobody.into(), Trouble::Passing)
}

fn given_up(is_open: bool, problem: String) -> StreamError {
    if is_open { StreamError::Unknown(problem) } else { StreamError::Unavailable(problem) }
}
