//! Senders that write into books, each entry acknowledged before the next, for as long as a test lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connectome::prelude::*;
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::book::{Entry, book};

/// Sends under way.
pub(super) struct Senders {
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    sending: JoinSet<Sent>,
}

/// What became of one sender's entries: all up to `last` were acknowledged.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) sender: u64,
    pub(super) book: String,
    pub(super) last: u64,
    /// Answers that were no acknowledgement, each followed by the same entry under the same id.
    pub(super) failures: u64,
    pub(super) longest: Duration,
}

impl Senders {
    /// So many senders over so many books, `rate` entries a second in all if the store takes them.
    pub(super) fn begin(node: &Node, dice: &mut StdRng, senders: u64, books: usize, rate: u64) -> Senders {
        let (over, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut sending = JoinSet::new();
        for sender in 0..senders {
            let book = book(sender as usize % books);
            let agent = node.agent(&book).unwrap();
            let sent = Sent { sender, book, ..Sent::default() };
            // The ids of two runs differ, so that a server that is used twice takes both for what they are.
            let ids = dice.random::<u32>();
            let (over, acknowledged) = (over.clone(), acknowledged.clone());
            let every =
                Duration::from_secs(1) * u32::try_from(senders).unwrap() / u32::try_from(rate).unwrap();
            sending.spawn(send(agent, sent, ids, every, over, acknowledged));
        }
        Senders { over, acknowledged, sending }
    }

    /// Entries that were acknowledged so far.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Lets each come to its end.
    pub(super) async fn end(self) -> Vec<Sent> {
        self.over.store(true, Ordering::Relaxed);
        let mut sent = self.sending.join_all().await;
        sent.sort_by_key(|sent| sent.sender);
        sent
    }
}

async fn send(
    agent: AgentRef,
    mut sent: Sent,
    ids: u32,
    every: Duration,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Sent {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        let (number, began) = (sent.last + 1, Instant::now());
        sent.failures += write(&agent, ids, sent.sender, number).await;
        sent.last = number;
        sent.longest = sent.longest.max(began.elapsed());
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    sent
}

/// Sends one entry until it is acknowledged, always under the same id; says how often it was not.
pub(super) async fn write(agent: &AgentRef, ids: u32, sender: u64, number: u64) -> u64 {
    let mixed = u128::from(ids) << 48 | u128::from(number);
    let id = MessageId::from_parts(connectome::codecs::UnixMillis(1_700_000_000_000), mixed);
    let mut failures = 0;
    while let Err(error) = agent.send_as(id, Entry { sender, number }).await {
        failures += 1;
        println!("entry {number} of sender {sender} is sent again: {error}");
        tokio::task::yield_now().await;
    }
    failures
}
