//! The order of paths to one agent, and what to try next.

use super::super::Now;

/// A way to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// Its mailbox is on this node.
    Local,
    /// A connection to its node, with nobody in between.
    Peer,
    /// Core NATS.
    Broker,
    /// The durable stream.
    Stream,
}

/// What is promised of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// One way, at most once.
    Cast,
    /// With an answer and a deadline, at most once.
    Call,
    /// Durable: at least once, and de-duplicated. Always by the stream, however near the agent is.
    Send,
}

/// Which paths there are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// The agent lives here.
    pub local: bool,
    /// Its node is connected.
    pub peer: bool,
    /// A broker is connected.
    pub broker: bool,
}

/// How a path failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It certainly did not take the message: another may.
    NotSent,
    /// The agent, or its mailbox, said no: it would on any path.
    Refused,
    /// It may have taken the message.
    Unknown,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send it this way.
    Try(Path),
    /// Tell the caller.
    Stop(Stop),
}

/// Why nothing more is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// There is no path, or none took it. It certainly had no effect.
    #[error("no path leads there now: it was not sent; try again when the node is back")]
    NoPath,
    /// The receiver said no. It certainly had no effect.
    #[error("the receiver refused it: it had no effect")]
    Refused,
    /// The deadline has passed before any path took it. It certainly had no effect.
    #[error("the deadline passed before a path took it: it was not sent")]
    TooLate,
    /// It may have happened.
    #[error("it may have arrived, no answer came: send it again only if twice does no harm")]
    Unknown,
}

/// One message's way.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::{Now, routing::{Failure, Next, Path, Reach, Route, Stop, Verb}};
///
/// let reach = Reach { local: false, peer: true, broker: true };
/// let mut route = Route::new(Verb::Call, reach, Now::new(Duration::from_secs(5)));
/// assert_eq!(route.begin(Now::ZERO), Next::Try(Path::Peer));
/// assert_eq!(route.failed(Now::ZERO, Failure::NotSent), Next::Try(Path::Broker));
/// assert_eq!(route.failed(Now::ZERO, Failure::Unknown), Next::Stop(Stop::Unknown));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In the order in which they are tried.
    paths: [Option<Path>; 2],
    tried: usize,
    deadline: Now,
}

impl Route {
    /// The way of a message that must have left by `deadline`.
    pub fn new(verb: Verb, reach: Reach, deadline: Now) -> Self {
        let paths = match verb {
            Verb::Send => [Some(Path::Stream), None],
            Verb::Cast | Verb::Call if reach.local => [Some(Path::Local), None],
            Verb::Cast | Verb::Call => {
                [reach.peer.then_some(Path::Peer), reach.broker.then_some(Path::Broker)]
            }
        };
        Self { paths, tried: 0, deadline }
    }

    /// The first path.
    pub fn begin(&mut self, now: Now) -> Next {
        self.next(now)
    }

    /// What to do after the last path failed.
    pub fn failed(&mut self, now: Now, failure: Failure) -> Next {
        match failure {
            Failure::NotSent => self.next(now),
            Failure::Refused => self.stop(Stop::Refused),
            Failure::Unknown => self.stop(Stop::Unknown),
        }
    }

    fn next(&mut self, now: Now) -> Next {
        if now >= self.deadline {
            return self.stop(Stop::TooLate);
        }
        while let Some(path) = self.paths.get(self.tried) {
            self.tried += 1;
            if let Some(path) = path {
                return Next::Try(*path);
            }
        }
        Next::Stop(Stop::NoPath)
    }

    /// Whatever is said afterwards, no path is tried.
    fn stop(&mut self, why: Stop) -> Next {
        self.tried = self.paths.len();
        Next::Stop(why)
    }
}
