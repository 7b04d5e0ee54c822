//! One name that this node offers: what is known of its lease, and what becomes of its agent here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome_codecs::{AgentName, NodeId, Revision, Term, UnixMillis};

use super::super::Now;
use super::super::lease::{Keeper, LeaseRecord, Move, Ticket, decide};
use super::Rules;
use super::order::before;

/// The first wait after an agent could not run here; it doubles with each failure, up to [`BACK_OFF_MAX`].
const BACK_OFF: Duration = Duration::from_secs(1);

/// The longest such wait: as long as a lease, after which the world may have changed.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// Before a lease is tried again whose store did not answer.
const RETRY: Duration = Duration::from_millis(250);

/// One name that this node offers.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) keeper: Keeper,
    /// The other nodes that offer it.
    pub(super) others: BTreeSet<NodeId>,
    offered: Now,
    /// Somebody waits for it.
    pub(super) wanted: bool,
    /// It is not offered any more.
    pub(super) withdrawn: bool,
    /// The newest entry that was read, written or told by the watch.
    pub(super) seen: Option<(LeaseRecord, Revision)>,
    /// The life that held it under this term has ended.
    orphaned: Option<Term>,
    /// The newest term of which its holder itself has told, or that was there before this node looked: after that, silence
    /// means something.
    told_of: Option<Term>,
    /// Since when it may be taken, as far as is known.
    open_since: Option<Now>,
    /// How many come before this node, when that was last asked.
    rank: u32,
    not_before: Now,
    failures: u32,
    pub(super) stage: Stage,
    pub(super) agent: Life,
    pub(super) due: Option<Now>,
    /// Writes without an answer yet, and what they expected.
    pub(super) writing: BTreeMap<Ticket, (LeaseRecord, Option<Revision>)>,
    /// Whom the lease's keeper was told to suspect.
    pub(super) told: Option<NodeId>,
}

/// How far this node is with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is somebody else's, or not its time yet.
    Resting,
    /// It waits for its turn to be taken.
    InLine(Turn),
    /// It is being taken.
    Trying,
    /// It is this node's.
    Holding(Term),
}

/// A place in the line: what somebody waits for comes first, then what is this node's by the order, then what others have
/// left lying (they may only be behind), each by how long it has been free.
pub(super) type Turn = (bool, u32, Now);

/// What becomes of the agent here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Absent,
    /// `doomed`: it is to be stopped as soon as it has started.
    Starting {
        term: Term,
        doomed: bool,
    },
    Running(Term),
    Stopping(Term),
}

/// What this node may do about a lease that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing, until it is told something.
    Closed,
    /// Look again at this moment.
    Look(Now),
    /// Take it, from this moment on.
    Take(Now),
}

/// What all claims of a node have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) me: NodeId,
    pub(super) rules: Rules,
    pub(super) began: Now,
    pub(super) up: &'a BTreeSet<NodeId>,
    /// When each node was last seen to take a name.
    pub(super) took: &'a BTreeMap<NodeId, Now>,
    pub(super) leaving: bool,
}

impl Claim {
    pub(super) fn new(me: NodeId, rules: Rules, now: Now) -> Self {
        Self {
            keeper: Keeper::new(me, rules.ttl),
            others: BTreeSet::new(),
            offered: now,
            wanted: false,
            withdrawn: false,
            seen: None,
            orphaned: None,
            told_of: None,
            open_since: None,
            rank: 0,
            not_before: now,
            failures: 0,
            stage: Stage::Resting,
            agent: Life::Absent,
            due: None,
            writing: BTreeMap::new(),
            told: None,
        }
    }

    /// What may be done now about a lease that this node neither has nor is about to take.
    pub(super) fn opening(
        &mut self,
        name: &AgentName,
        view: View<'_>,
        now: Now,
        wall: UnixMillis,
    ) -> Opening {
        if view.leaving || self.withdrawn || self.agent != Life::Absent {
            return Opening::Closed;
        }
        let record = self.seen.map(|(record, _)| record);
        let lost = record.is_some_and(|record| self.is_lost(&record, view, now));
        match decide(view.me, record.as_ref(), wall, lost) {
            Move::Take { .. } => Opening::Take(self.turn_at(name, record, view, now)),
            Move::Wait { until } => {
                self.open_since = None;
                let expired = now + until.since(wall).max(RETRY);
                let stranger = view.began + view.rules.strange_after;
                let is_stranger = record.is_some_and(|record| !view.up.contains(&record.holder));
                Opening::Look(if is_stranger && stranger > now { expired.min(stranger) } else { expired })
            }
        }
    }

    /// Whether its holder is gone: this life of it has ended, or it has fallen silent.
    ///
    /// A holder that was never heard to have it proves nothing by its silence: it may have taken it in silence, over a
    /// store that a partition does not reach. Two sides that can't hear each other would take a name from each other for
    /// ever. Such a lease ends when it is not renewed.
    fn is_lost(&self, record: &LeaseRecord, view: View<'_>, now: Now) -> bool {
        let heard_all = now >= view.began + view.rules.strange_after;
        let is_silent =
            !view.up.contains(&record.holder) && (heard_all || self.others.contains(&record.holder));
        self.orphaned == Some(record.term) || (is_silent && self.told_of >= Some(record.term))
    }

    /// The holder of this term has told of it, over the path whose silence counts.
    pub(super) fn heard(&mut self, term: Term) {
        self.told_of = self.told_of.max(Some(term));
        self.keeper.known(term);
    }

    /// When it is this node's turn: those who come first are given time, one after the other.
    fn turn_at(&mut self, name: &AgentName, record: Option<LeaseRecord>, view: View<'_>, now: Now) -> Now {
        let since = *self.open_since.get_or_insert(now);
        let holder = record.map(|record| record.holder);
        if holder == Some(view.me) {
            self.rank = 0;
            return since.max(self.not_before);
        }
        let live =
            self.others.iter().copied().filter(|other| view.up.contains(other) && Some(*other) != holder);
        let (mut turn, mut rank) = (since, 0);
        for other in before(name, view.me, live) {
            // Whoever is busy taking others is given more time.
            let busy_until = view.took.get(&other).copied().unwrap_or(since);
            turn = turn.max(busy_until.max(since)) + view.rules.stagger;
            rank += 1;
        }
        self.rank = rank;
        // A name that had an owner was offered long enough for others to be heard of.
        let known = if record.is_some() { view.began } else { view.began.max(self.offered) };
        let settled = if self.wanted { now } else { known + view.rules.settle };
        turn.max(settled).max(self.not_before)
    }

    /// Its holder's life has ended.
    pub(super) fn orphan(&mut self, node: NodeId) -> bool {
        let held = self.seen.filter(|(record, _)| record.holder == node);
        self.orphaned = held.map(|(record, _)| record.term).or(self.orphaned);
        held.is_some()
    }

    /// Notes an entry, unless a newer one is known.
    pub(super) fn see(&mut self, record: Option<LeaseRecord>, revision: Revision) -> bool {
        if self.seen.is_some_and(|(_, known)| known >= revision) {
            return false;
        }
        if let Some(record) = record {
            self.keeper.known(record.term);
        }
        if self.seen.is_none() {
            // It was so before this node looked: its holder is either heard of soon, or gone.
            self.told_of = self.told_of.max(record.map(|record| record.term));
        }
        self.seen = record.map(|record| (record, revision));
        true
    }

    /// The agent could not run here: others come first for a while.
    pub(super) fn failed(&mut self, now: Now) {
        let wait = BACK_OFF * 2u32.pow(self.failures.min(5));
        self.failures += 1;
        self.not_before = now + wait.min(BACK_OFF_MAX);
    }

    /// The store did not answer.
    pub(super) fn unanswered(&mut self, now: Now) {
        self.not_before = self.not_before.max(now + RETRY);
    }

    /// It runs.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It was taken, here or elsewhere: nobody waits for it to be.
    pub(super) fn taken(&mut self) {
        self.wanted = false;
        self.open_since = None;
    }

    pub(super) fn turn(&self, now: Now) -> Turn {
        (!self.wanted, self.rank, self.open_since.unwrap_or(now))
    }

    /// Whether it is on the way to run here: such are bounded.
    pub(super) fn is_moving(&self) -> bool {
        self.stage == Stage::Trying || matches!(self.agent, Life::Starting { .. })
    }

    /// Whether nothing of it is left here.
    pub(super) fn has_gone(&self) -> bool {
        self.agent == Life::Absent
            && self.writing.is_empty()
            && match self.stage {
                Stage::Resting | Stage::InLine(_) => true,
                Stage::Trying | Stage::Holding(_) => false,
            }
    }
}
