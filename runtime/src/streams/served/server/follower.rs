//! Live readers of one client: what comes is gathered while the client reads what came before.

use connectome_actors::port::{Arrival, Arrivals, StreamError, Tail, Watch};
use futures_util::FutureExt;
use parking_lot::Mutex as Lock;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::taking::Reply;
use crate::streams::served::parts::List;
use crate::streams::served::said::Answer;
use crate::streams::subject::Filter;

/// Told at once, at the most; and with so many bytes of bodies it is enough.
const TOLD_MAX: usize = 256;
const TOLD_BYTES: usize = 512 * 1024;

/// Subjects that one client listens to in one stream: one for each shard of its agents.
const FILTERS_MAX: usize = 4_096;

/// A reader. One asks at a time; others wait.
pub(super) struct Follower {
    source: Mutex<Source>,
    filters: Lock<Vec<Filter>>,
    closed: CancellationToken,
}

/// What is read.
pub(super) enum Source {
    Tail(Box<dyn Tail>),
    Arrivals(Box<dyn Arrivals>),
    Watch(Box<dyn Watch>),
}

impl Follower {
    pub(super) fn new(source: Source) -> Follower {
        Follower { source: Mutex::new(source), filters: Lock::default(), closed: CancellationToken::new() }
    }

    /// Ends whoever waits here.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Hears of these subjects too.
    pub(super) fn listen(&self, filter: &str) -> Result<(), StreamError> {
        let filter = Filter::parse(filter)?;
        let mut filters = self.filters.lock();
        if filters.len() >= FILTERS_MAX {
            let problem = format!("this listener has {FILTERS_MAX} filters: listen with wildcards");
            return Err(StreamError::Unavailable(problem));
        }
        filters.push(filter);
        Ok(())
    }

    /// Waits for what comes, and takes what is there beside it. What goes wrong is told behind what came before.
    pub(super) async fn next(&self) -> Reply {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Reply::from(Answer::NotOpen),
            reply = self.gather() => reply,
        }
    }

    async fn gather(&self) -> Reply {
        let mut source = self.source.lock().await;
        let mut list = source.list();
        let mut came = self.one(&mut source, &mut list).await;
        let (mut count, mut bytes) = (0, 0);
        loop {
            match came {
                Ok(more) => (count, bytes) = (count + 1, bytes + more),
                Err(error) => {
                    let answer = Answer::Refused(error.into());
                    return Reply { answer, ..Reply::from(list) };
                }
            }
            if count >= TOLD_MAX || bytes >= TOLD_BYTES {
                return Reply::from(list);
            }
            match self.one(&mut source, &mut list).now_or_never() {
                Some(next) => came = next,
                None => return Reply::from(list),
            }
        }
    }

    /// Puts the next one into the list; gives the bytes of its body.
    async fn one(&self, source: &mut Source, list: &mut List) -> Result<usize, StreamError> {
        match (source, list) {
            (Source::Tail(tail), List::Messages(all)) => {
                all.push(tail.next().await?);
                Ok(all.last().map_or(0, |stored| stored.body.len()))
            }
            (Source::Watch(watch), List::Entries(all)) => {
                all.push(watch.next().await?);
                Ok(all.last().and_then(|entry| entry.value.as_ref()).map_or(0, |value| value.len()))
            }
            (Source::Arrivals(arrivals), List::Arrivals(all)) => loop {
                let arrival = arrivals.next().await?;
                if self.wants(&arrival) {
                    all.push(arrival);
                    return Ok(0);
                }
            },
            (Source::Tail(_) | Source::Watch(_) | Source::Arrivals(_), _) => Ok(0),
        }
    }

    fn wants(&self, arrival: &Arrival) -> bool {
        match arrival {
            Arrival::Stored { subject, .. } => {
                self.filters.lock().iter().any(|filter| filter.matches(subject))
            }
            Arrival::Missed { .. } | Arrival::Anew => true,
        }
    }
}

impl Source {
    /// A list of what it gives.
    fn list(&self) -> List {
        match self {
            Source::Tail(_) => List::Messages(Vec::new()),
            Source::Watch(_) => List::Entries(Vec::new()),
            Source::Arrivals(_) => List::Arrivals(Vec::new()),
        }
    }
}
