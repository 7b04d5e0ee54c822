//! One node's part in one lease: it looks, takes, renews, and knows when it has lost.

use std::collections::BTreeSet;
use std::time::Duration;

use connectome_codecs::{NodeId, Revision, Term, UnixMillis};

use super::super::Now;
use super::tenure::RETRY_AFTER;
use super::{Action, Answer, Input, LeaseRecord, Loss, Move, Tenure, Ticket, decide};

/// One node's part in one lease.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::{Now, lease::{Action, Answer, Input, Keeper, Ticket}};
/// use connectome_codecs::{NodeId, Revision, Term, UnixMillis};
///
/// let mut keeper = Keeper::new(NodeId([1; 32]), Duration::from_secs(15));
/// let mut say = |input| keeper.handle(Now::ZERO, UnixMillis(1_000), input).collect::<Vec<_>>();
/// assert_eq!(say(Input::Acquire), [Action::Read { ticket: Ticket(0) }]);
/// let written = say(Input::Read { ticket: Ticket(0), entry: None });
/// assert!(matches!(written[..], [Action::Write { expect: None, .. }]));
/// let answer = Answer::Written(Revision(1));
/// assert_eq!(say(Input::Wrote { ticket: Ticket(1), answer }), [Action::Acquired { term: Term(1) }]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Keeper {
    me: NodeId,
    ttl: Duration,
    suspected: BTreeSet<NodeId>,
    /// The highest term that this node knows of: an entry that is gone takes none of them back.
    newest: Term,
    tickets: u64,
    state: State,
    actions: Vec<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// It is not wanted.
    Idle,
    /// Somebody else owns it, or the store did not answer.
    Waiting { look_at: Now, holder: Option<NodeId> },
    /// A look is on the way; `written` is what we wrote before, without an answer.
    Looking { ticket: Ticket, written: Option<Written> },
    /// The taking is on the way.
    Taking { ticket: Ticket, written: Written },
    /// It is ours.
    Holding(Held),
}

/// A taking that may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Written {
    term: Term,
    sent: Now,
    /// Tells it from what an earlier life of this node wrote under the same term, and what arrives late.
    expires: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    term: Term,
    revision: Revision,
    tenure: Tenure,
    /// The renewal, or the look after one without an answer, that is on the way.
    ticket: Option<Ticket>,
    /// Whether a renewal went without an answer, so that the revision has to be looked up.
    unsure: Option<Now>,
    /// What the last renewal wrote: an entry with another expiry is an earlier one, which arrived late.
    expires: UnixMillis,
}

impl Keeper {
    /// This node's part in a lease of this time to live. On a cluster it should be 15 s or more: a store that elects a
    /// new leader is silent for 5 to 9 s.
    pub fn new(me: NodeId, ttl: Duration) -> Self {
        let (suspected, newest, actions) = (BTreeSet::new(), Term(0), Vec::new());
        Self { me, ttl, suspected, newest, tickets: 0, state: State::Idle, actions }
    }

    /// There was such a term: what this node takes from now on is above it, though a store that has lost its entries knows
    /// nothing of it.
    pub fn known(&mut self, term: Term) {
        self.newest = self.newest.max(term);
    }

    /// Takes one input and returns what is to be done, in order. `now` measures; `wall` is only written down, and
    /// compared with what others wrote.
    pub fn handle(&mut self, now: Now, wall: UnixMillis, input: Input) -> impl Iterator<Item = Action> {
        self.end_in_time(now);
        match input {
            Input::Acquire => self.acquire(),
            Input::Tick => self.tick(now, wall),
            Input::Changed => self.changed(),
            Input::Read { ticket, entry } => self.read(now, wall, ticket, entry),
            Input::ReadFailed { ticket } => self.read_failed(now, ticket),
            Input::Wrote { ticket, answer } => self.wrote(now, ticket, answer),
            Input::Suspected { node } => self.suspect(node),
            Input::Cleared { node } => drop(self.suspected.remove(&node)),
            Input::Release => self.release(),
        }
        self.actions.drain(..)
    }

    /// When to say [`Input::Tick`] next, if nothing is said before.
    pub fn next_tick(&self) -> Option<Now> {
        match &self.state {
            State::Idle | State::Looking { .. } | State::Taking { .. } => None,
            State::Waiting { look_at, .. } => Some(*look_at),
            State::Holding(held) => Some(held.tenure.next_tick()),
        }
    }

    /// The term of the ownership, while it may be believed at `now`.
    pub fn term(&self, now: Now) -> Option<Term> {
        match &self.state {
            State::Holding(held) if now < held.tenure.ends_at() => Some(held.term),
            State::Holding(_)
            | State::Idle
            | State::Waiting { .. }
            | State::Looking { .. }
            | State::Taking { .. } => None,
        }
    }

    /// Before anything else: an ownership that was not renewed in time is over, whatever is said now.
    fn end_in_time(&mut self, now: Now) {
        if let State::Holding(held) = self.state
            && now >= held.tenure.ends_at()
        {
            self.lose(held.term, Loss::Silence);
        }
    }

    fn acquire(&mut self) {
        if self.state == State::Idle {
            self.look(None);
        }
    }

    /// Whoever waits looks whether it is free; whoever holds it, whether it was taken.
    fn changed(&mut self) {
        match self.state {
            State::Waiting { .. } => self.look(None),
            State::Holding(held) if held.ticket.is_none() => {
                let ticket = self.ticket();
                self.actions.push(Action::Read { ticket });
                self.state = State::Holding(Held { ticket: Some(ticket), ..held });
            }
            State::Holding(_) | State::Idle | State::Looking { .. } | State::Taking { .. } => {}
        }
    }

    fn suspect(&mut self, node: NodeId) {
        self.suspected.insert(node);
        if matches!(self.state, State::Waiting { holder, .. } if holder == Some(node)) {
            self.look(None);
        }
    }

    fn tick(&mut self, now: Now, wall: UnixMillis) {
        match self.state {
            State::Waiting { look_at, .. } if now >= look_at => self.look(None),
            State::Holding(held) if held.tenure.renew_at().is_some_and(|renew| now >= renew) => {
                self.renew(now, wall, held);
            }
            State::Holding(_)
            | State::Waiting { .. }
            | State::Idle
            | State::Looking { .. }
            | State::Taking { .. } => {}
        }
    }

    fn look(&mut self, written: Option<Written>) {
        let ticket = self.ticket();
        self.actions.push(Action::Read { ticket });
        self.state = State::Looking { ticket, written };
    }

    /// Renews; after a renewal without an answer, first looks what became of it.
    fn renew(&mut self, now: Now, wall: UnixMillis, mut held: Held) {
        let ticket = self.ticket();
        held.ticket = Some(ticket);
        if held.unsure.is_some() {
            self.actions.push(Action::Read { ticket });
        } else {
            held.expires = wall.after(self.ttl);
            self.write(ticket, held.term, held.expires, Some(held.revision));
        }
        held.tenure.sent(now);
        self.state = State::Holding(held);
    }

    fn read(&mut self, now: Now, wall: UnixMillis, ticket: Ticket, entry: Option<(LeaseRecord, Revision)>) {
        match self.state {
            State::Looking { ticket: asked, written } if asked == ticket => match (written, entry) {
                (Some(written), Some((record, revision)))
                    if self.is_mine(&record, written.term) && record.expires == written.expires =>
                {
                    self.take_office(now, written, revision);
                }
                (Some(_) | None, entry) => self.consider(now, wall, entry),
            },
            State::Holding(held) if held.ticket == Some(ticket) => self.reassure(now, held, entry),
            State::Holding(_)
            | State::Looking { .. }
            | State::Idle
            | State::Waiting { .. }
            | State::Taking { .. } => {}
        }
    }

    fn consider(&mut self, now: Now, wall: UnixMillis, entry: Option<(LeaseRecord, Revision)>) {
        let record = entry.map(|(record, _)| record);
        self.known(record.map_or(Term(0), |record| record.term));
        let holder = record.map(|record| record.holder);
        let suspected = holder.is_some_and(|holder| self.suspected.contains(&holder));
        match decide(self.me, record.as_ref(), wall, suspected) {
            Move::Take { term } => {
                let term = term.max(self.newest.next());
                let ticket = self.ticket();
                let expires = wall.after(self.ttl);
                self.write(ticket, term, expires, entry.map(|(_, revision)| revision));
                self.state = State::Taking { ticket, written: Written { term, sent: now, expires } };
            }
            Move::Wait { until } => {
                let wait = until.since(wall).clamp(RETRY_AFTER, RETRY_AFTER.max(self.ttl / 3));
                self.state = State::Waiting { look_at: now + wait, holder };
            }
        }
    }

    /// What became of a renewal without an answer: if it was written, it counts from when it was sent.
    fn reassure(&mut self, now: Now, mut held: Held, entry: Option<(LeaseRecord, Revision)>) {
        let Some((record, revision)) = entry.filter(|(record, _)| self.is_mine(record, held.term)) else {
            return self.lose(held.term, Loss::Taken);
        };
        if revision != held.revision
            && record.expires == held.expires
            && let Some(sent) = held.unsure
        {
            held.tenure.sent(sent);
            held.tenure.acknowledged();
        } else {
            held.tenure.unknown(now);
        }
        (held.revision, held.unsure, held.ticket) = (revision, None, None);
        self.state = State::Holding(held);
    }

    fn read_failed(&mut self, now: Now, ticket: Ticket) {
        match &mut self.state {
            State::Looking { ticket: asked, .. } if *asked == ticket => {
                self.state = State::Waiting { look_at: now + RETRY_AFTER, holder: None };
            }
            State::Holding(held) if held.ticket == Some(ticket) => {
                held.ticket = None;
                held.tenure.unknown(now);
            }
            State::Holding(_)
            | State::Looking { .. }
            | State::Idle
            | State::Waiting { .. }
            | State::Taking { .. } => {}
        }
    }

    fn wrote(&mut self, now: Now, ticket: Ticket, answer: Answer) {
        match self.state {
            State::Taking { ticket: asked, written } if asked == ticket => match answer {
                Answer::Written(revision) => self.take_office(now, written, revision),
                Answer::Conflict => self.look(None),
                Answer::Unknown => self.look(Some(written)),
            },
            State::Holding(held) if held.ticket == Some(ticket) => self.renewed(now, held, answer),
            State::Holding(_)
            | State::Taking { .. }
            | State::Idle
            | State::Waiting { .. }
            | State::Looking { .. } => {}
        }
    }

    /// An ownership counts from when its taking was sent. If that is too long ago, it is over before it began.
    fn take_office(&mut self, now: Now, written: Written, revision: Revision) {
        let tenure = Tenure::new(written.sent, self.ttl);
        if now >= tenure.ends_at() {
            return self.look(None);
        }
        self.known(written.term);
        let Written { term, expires, .. } = written;
        self.state = State::Holding(Held { term, revision, tenure, ticket: None, unsure: None, expires });
        self.actions.push(Action::Acquired { term: written.term });
    }

    fn renewed(&mut self, now: Now, mut held: Held, answer: Answer) {
        held.ticket = None;
        match answer {
            Answer::Written(revision) => {
                held.revision = revision;
                held.tenure.acknowledged();
                self.state = State::Holding(held);
            }
            Answer::Conflict => {
                // Somebody else's, or an earlier renewal whose answer was lost with a server: that one gives no time, for it is
                // not known when it was sent, and no reason to stop.
                let ticket = self.ticket();
                held.ticket = Some(ticket);
                self.actions.push(Action::Read { ticket });
                self.state = State::Holding(held);
            }
            Answer::Unknown => {
                held.unsure = held.tenure.on_the_way();
                held.tenure.unknown(now);
                self.state = State::Holding(held);
            }
        }
    }

    fn lose(&mut self, term: Term, why: Loss) {
        self.actions.push(Action::Lost { term, why });
        self.look(None);
    }

    fn release(&mut self) {
        if let State::Holding(held) = self.state {
            let ticket = self.ticket();
            self.write(ticket, held.term, FREE, Some(held.revision));
            self.actions.push(Action::Lost { term: held.term, why: Loss::Released });
        }
        self.state = State::Idle;
    }

    fn write(&mut self, ticket: Ticket, term: Term, expires: UnixMillis, expect: Option<Revision>) {
        let record = LeaseRecord { holder: self.me, term, expires };
        self.actions.push(Action::Write { ticket, record, expect });
    }

    fn is_mine(&self, record: &LeaseRecord, term: Term) -> bool {
        record.holder == self.me && record.term == term
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        ticket
    }
}

/// The expiry of a lease that was given back.
const FREE: UnixMillis = UnixMillis(0);
