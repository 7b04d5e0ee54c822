//! Asking until it is answered or the time is over, and then saying honestly what is known.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::{
    Arrival, ConnectionFigures, ConsumerInfo, Delivery, Entry, Stored, StreamError,
};
use connectome_codecs::NodeId;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::place::Place;
use super::session::{Figures, Lost, Session};
use crate::streams::served::parts::List;
use crate::streams::served::said::{Answer, Ask};
use crate::transport::libp2p::Libp2pTransport;

/// How long a question is asked again in all: the node that serves may be started again meanwhile.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long an answer may take while its session lives: a disk that others use stalls for seconds.
const ANSWER_MAX: Duration = Duration::from_secs(30);

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

/// What is asked.
pub(super) struct Question<'q> {
    pub(super) repeat: Repeat,
    /// What must be open, and whose handle the question has.
    pub(super) place: Option<&'q Place>,
    /// `None`: nothing but that the place be open.
    pub(super) ask: Option<&'q (dyn Fn(u32) -> Ask + Send + Sync)>,
    pub(super) body: Option<Bytes>,
    /// For how long the answer may wait for something to happen.
    pub(super) wait: Duration,
}

impl<'q> Question<'q> {
    /// One that needs nothing open, and waits for nothing.
    pub(super) fn plain(repeat: Repeat, ask: &'q (dyn Fn(u32) -> Ask + Send + Sync)) -> Question<'q> {
        Question { repeat, place: None, ask: Some(ask), body: None, wait: Duration::ZERO }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) lists: Vec<List>,
    pub(super) answer: Answer,
}

/// What everything that is opened here shares.
pub(super) struct Client {
    pub(super) transport: Arc<Libp2pTransport>,
    /// The node that serves.
    pub(super) at: NodeId,
    pub(super) namespace: String,
    /// The session, while there is one.
    pub(super) current: watch::Sender<Option<Arc<Session>>>,
    /// Why there is none.
    pub(super) problem: Mutex<String>,
    pub(super) figures: Arc<Figures>,
}

impl Client {
    pub(super) fn new(transport: Arc<Libp2pTransport>, at: NodeId, namespace: String) -> Client {
        let problem = Mutex::new("it was not reached yet".to_owned());
        let (current, figures) = (watch::Sender::new(None), Arc::default());
        Client { transport, at, namespace, current, problem, figures }
    }

    /// The session, as soon as there is one.
    pub(super) async fn session(&self) -> Arc<Session> {
        let mut current = self.current.subscribe();
        loop {
            if let Some(session) = current.borrow_and_update().clone()
                && !session.is_over()
            {
                return session;
            }
            // The sender is here: it does not go while somebody asks.
            if current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is said while there is none, and what would be right.
    pub(super) fn away(&self) -> String {
        let problem = self.problem.lock();
        format!(
            "the node that serves the store, {}, is not reached ({problem}): start it with libp2p.store = serve, and let \
             libp2p.peers name a way to it",
            self.at
        )
    }

    pub(super) fn figures(&self) -> ConnectionFigures {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let figures = &self.figures;
        ConnectionFigures {
            up: self.current.borrow().as_ref().is_some_and(|session| !session.is_over()),
            connected: of(&figures.connected),
            disconnected: of(&figures.disconnected),
            messages_in: of(&figures.units_in),
            bytes_in: of(&figures.bytes_in),
            messages_out: of(&figures.units_out),
            bytes_out: of(&figures.bytes_out),
            ..ConnectionFigures::default()
        }
    }

    /// Asks until it is answered, or the time is over.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Answered, StreamError> {
        let wait = question.wait.min(DAYS);
        let end = Instant::now() + wait + DEADLINE;
        let mut may_have_happened = false;
        loop {
            let Ok(session) = timeout_at(end, self.session()).await else {
                return Err(given_up(may_have_happened, self.away()));
            };
            let attempted = timeout(wait + ANSWER_MAX, attempt(&session, &question)).await;
            let is_over = attempted.is_err() || Instant::now() >= end;
            match attempted.unwrap_or(Err(Lost::Silent)) {
                Ok(Answered { answer: Answer::Refused(refusal), .. }) => return Err(refusal.into()),
                Ok(answered) => return Ok(answered),
                Err(Lost::Final(error)) => return Err(error),
                Err(Lost::Unsent) => {}
                Err(Lost::Silent) => may_have_happened |= question.repeat != Repeat::Reads,
            }
            if is_over || (may_have_happened && question.repeat == Repeat::Twice) {
                let problem = "the node that serves the store was asked, and did not answer";
                return Err(given_up(may_have_happened, problem.to_owned()));
            }
        }
    }
}

/// Nobody waits for longer.
const DAYS: Duration = Duration::from_secs(30 * 86_400);

fn given_up(may_have_happened: bool, problem: String) -> StreamError {
    match may_have_happened {
        true => StreamError::Unknown(problem),
        false => StreamError::Unavailable(problem),
    }
}

/// Asks once, in one session.
async fn attempt(session: &Arc<Session>, question: &Question<'_>) -> Result<Answered, Lost> {
    let handle = match question.place {
        Some(place) => place.handle(session).await?,
        None => 0,
    };
    let Some(ask) = question.ask else {
        return Ok(Answered { lists: Vec::new(), answer: Answer::Done });
    };
    let answered = session.begin(ask(handle), question.body.clone()).await?.answer().await?;
    match (&answered.answer, question.place) {
        (Answer::NotOpen, Some(place)) => {
            place.forget(handle).await;
            Err(Lost::Unsent)
        }
        _ => Ok(answered),
    }
}

/// What no such question is answered with.
pub(super) fn nonsense(answer: &Answer) -> StreamError {
    StreamError::Unknown(format!("the node that serves the store answered something else: {answer:?}"))
}

impl Answered {
    pub(super) fn messages(self) -> Vec<Stored> {
        self.of(|list| if let List::Messages(all) = list { all } else { Vec::new() })
    }

    pub(super) fn deliveries(self) -> Vec<Delivery> {
        self.of(|list| if let List::Deliveries(all) = list { all } else { Vec::new() })
    }

    pub(super) fn entries(self) -> Vec<Entry> {
        self.of(|list| if let List::Entries(all) = list { all } else { Vec::new() })
    }

    pub(super) fn arrivals(self) -> Vec<Arrival> {
        self.of(|list| if let List::Arrivals(all) = list { all } else { Vec::new() })
    }

    pub(super) fn consumers(self) -> Vec<ConsumerInfo> {
        self.of(|list| if let List::Consumers(all) = list { all } else { Vec::new() })
    }

    pub(super) fn names(self) -> Vec<String> {
        self.of(|list| if let List::Names(all) = list { all } else { Vec::new() })
    }

    /// What went wrong behind what came.
    pub(super) fn trouble(&self) -> Option<StreamError> {
        match &self.answer {
            Answer::Refused(refusal) => Some(refusal.clone().into()),
            _ => None,
        }
    }

    pub(super) fn number(self) -> Result<u64, StreamError> {
        match self.answer {
            Answer::Number(number) => Ok(number),
            other => Err(nonsense(&other)),
        }
    }

    fn of<T>(self, items: impl Fn(List) -> Vec<T>) -> Vec<T> {
        self.lists.into_iter().flat_map(items).collect()
    }
}
