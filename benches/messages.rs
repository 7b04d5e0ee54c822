//! `cast` and `call` on one node: the price of one message.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::harness::{Group, Unit};
use crate::peers::{Channel, Goal, Kameo, KameoDeadline, Ours, Peer, Ractor, RactorDeadline};
use crate::runtimes::{both, run};

/// Messages of one turn of casts: some 50 ms, a thousand times what starting and stopping the clock costs.
const CASTS: u64 = 200_000;

/// Calls of one turn.
const CALLS: u64 = 20_000;

/// Senders that share one receiver.
const SENDERS: u64 = 8;

/// Callers that wait at the same time.
const CALLERS: u64 = 64;

pub(crate) fn groups() -> Vec<Group> {
    let both = both();
    let casts = both.iter().flat_map(|(name, runtime)| [one_sender(name, runtime), fan_in(name, runtime)]);
    let calls = both.iter().flat_map(|(name, runtime)| [one_call(name, runtime), many_calls(name, runtime)]);
    casts.chain(calls).collect()
}

fn one_sender(threads: &str, runtime: &Rc<Runtime>) -> Group {
    let note = "Sent and handled, a u64. The mailboxes of ractor have no bound; all others hold 1,024.";
    Group::new(format!("cast, 1 sender, {threads}"), Unit::Nanoseconds, note)
        .way(Ours::NAME, casts::<Ours>(runtime, 1))
        .way(Ractor::NAME, casts::<Ractor>(runtime, 1))
        .way(Kameo::NAME, casts::<Kameo>(runtime, 1))
        .way(Channel::NAME, casts::<Channel>(runtime, 1))
}

fn fan_in(threads: &str, runtime: &Rc<Runtime>) -> Group {
    let note = "The mailboxes are full nearly all the time, and the senders wait for room; those of ractor just grow.";
    Group::new(format!("cast, {SENDERS} senders, {threads}"), Unit::Nanoseconds, note)
        .way(Ours::NAME, casts::<Ours>(runtime, SENDERS))
        .way(Kameo::NAME, casts::<Kameo>(runtime, SENDERS))
        .way(Ractor::NAME, casts::<Ractor>(runtime, SENDERS))
        .way(Channel::NAME, casts::<Channel>(runtime, SENDERS))
}

fn one_call(threads: &str, runtime: &Rc<Runtime>) -> Group {
    let note = "The median of a turn's calls, each timed alone. Ours always has a deadline.";
    Group::new(format!("call, 1 in flight, {threads}"), Unit::Nanoseconds, note)
        .way(Ours::NAME, round_trip::<Ours>(runtime))
        .way(RactorDeadline::NAME, round_trip::<RactorDeadline>(runtime))
        .way(Ractor::NAME, round_trip::<Ractor>(runtime))
        .way(KameoDeadline::NAME, round_trip::<KameoDeadline>(runtime))
        .way(Kameo::NAME, round_trip::<Kameo>(runtime))
        .way(Channel::NAME, round_trip::<Channel>(runtime))
}

fn many_calls(threads: &str, runtime: &Rc<Runtime>) -> Group {
    let note = "All calls of a turn over its time: 64 tasks, each with one call at a time.";
    Group::new(format!("call, {CALLERS} in flight, {threads}"), Unit::Nanoseconds, note)
        .way(Ours::NAME, calls::<Ours>(runtime))
        .way(RactorDeadline::NAME, calls::<RactorDeadline>(runtime))
        .way(Ractor::NAME, calls::<Ractor>(runtime))
        .way(KameoDeadline::NAME, calls::<KameoDeadline>(runtime))
        .way(Kameo::NAME, calls::<Kameo>(runtime))
        .way(Channel::NAME, calls::<Channel>(runtime))
}

fn casts<P: Peer>(runtime: &Rc<Runtime>, senders: u64) -> impl FnMut() -> f64 + 'static {
    let reached = Arc::new(Notify::new());
    let mut started = Started::<P>::new(runtime, Goal { messages: CASTS, reached: reached.clone() });
    move || {
        let reached = reached.clone();
        started.measure(async move |peer| {
            let began = Instant::now();
            for _ in 0..senders {
                tokio::spawn(cast_all(peer.clone(), CASTS / senders));
            }
            reached.notified().await;
            began.elapsed().as_nanos() as f64 / CASTS as f64
        })
    }
}

async fn cast_all<P: Peer>(peer: P, messages: u64) {
    for value in 0..messages {
        peer.cast(value).await;
    }
}

fn round_trip<P: Peer>(runtime: &Rc<Runtime>) -> impl FnMut() -> f64 + 'static {
    let mut started = Started::<P>::new(runtime, Goal { messages: u64::MAX, reached: Arc::default() });
    move || {
        started.measure(async move |peer| {
            let mut times = Vec::with_capacity(CALLS as usize);
            for value in 0..CALLS {
                let began = Instant::now();
                peer.call(value).await;
                times.push(began.elapsed().as_nanos() as f64);
            }
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
    }
}

fn calls<P: Peer>(runtime: &Rc<Runtime>) -> impl FnMut() -> f64 + 'static {
    let mut started = Started::<P>::new(runtime, Goal { messages: u64::MAX, reached: Arc::default() });
    move || {
        started.measure(async move |peer| {
            let began = Instant::now();
            let callers: JoinSet<()> =
                (0..CALLERS).map(|_| call_all(peer.clone(), CALLS / CALLERS)).collect();
            callers.join_all().await;
            began.elapsed().as_nanos() as f64 / (CALLS / CALLERS * CALLERS) as f64
        })
    }
}

async fn call_all<P: Peer>(peer: P, calls: u64) {
    for value in 0..calls {
        peer.call(value).await;
    }
}

/// A peer that is started when its first turn comes, so that groups which nobody asked for cost nothing.
struct Started<P> {
    runtime: Rc<Runtime>,
    goal: Goal,
    peer: Option<P>,
}

impl<P: Peer> Started<P> {
    fn new(runtime: &Rc<Runtime>, goal: Goal) -> Started<P> {
        Started { runtime: runtime.clone(), goal, peer: None }
    }

    fn measure<F>(&mut self, work: impl FnOnce(P) -> F) -> f64
    where
        F: Future<Output = f64> + Send + 'static,
    {
        let goal = self.goal.clone();
        let peer = self.peer.get_or_insert_with(|| run(&self.runtime, P::start(goal))).clone();
        run(&self.runtime, work(peer))
    }
}
