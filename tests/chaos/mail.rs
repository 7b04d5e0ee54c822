//! `send` to an agent whose owner is killed again and again: no entry is lost, none is applied twice, each sender's are in order.
//!
//! `CHAOS=full cargo test -p connectome-tests chaos::mail -- --nocapture --test-threads 1`

use std::collections::BTreeSet;
use std::time::Instant;

use rand::RngExt;

use super::ledger::Line;
use super::office::Office;
use super::senders::Senders;
use super::{dice, in_the_end, is_full};
use crate::support::nats::NatsServer;

/// How hard it is.
struct Plan {
    kills: usize,
    senders: u64,
    /// Entries a second, in all.
    rate: u64,
}

const SHORT: Plan = Plan { kills: 10, senders: 8, rate: 200 };
const FULL: Plan = Plan { kills: 100, senders: 20, rate: 1_000 };

/// SIGKILL for the owner's process, after a random number of entries that it wrote; it is started again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random() {
    let Plan { kills, senders, rate } = if is_full() { FULL } else { SHORT };
    let mut dice = dice();
    let server = NatsServer::start();
    let mut office = Office::open(&server.url(), 1, 1).await;
    let began = Instant::now();
    let sending = Senders::begin(&office.node, &mut dice, senders, 1, rate);
    let mut dead = BTreeSet::new();
    for kill in 1..=kills {
        let after = dice.random_range(1..=rate as usize / 2);
        let from = office.ledger.len();
        let mut count = 0;
        let is_last = |line: &Line| {
            let alive = line.after("wrote").is_some() && !dead.contains(&line.by);
            count += usize::from(alive);
            alive && count == after
        };
        let owner = in_the_end("the owner writes on", office.ledger.find(from, is_last)).await.by;
        office.process(&owner.place).kill();
        office.start(&owner.place);
        let (sent, written, passed) = (sending.acknowledged(), office.ledger.len(), began.elapsed());
        println!(
            "kill {kill}/{kills} at {passed:.1?}: {owner}, after {after} entries; {sent} sent, {written} written"
        );
        dead.insert(owner);
    }
    let (sent, seconds) = (sending.acknowledged(), began.elapsed().as_secs_f64());
    println!("{sent} entries in {seconds:.1} s: {:.0} a second of {rate} wanted", sent as f64 / seconds);
    let sent = sending.end().await;
    office.audit(&sent).await;
    let drained = began.elapsed().as_secs_f64() - seconds;
    let longest = sent.iter().map(|sent| sent.longest).max().unwrap_or_default();
    println!("{kills} kills; the last entries took {drained:.1} s more; longest send {longest:.2?}");
}
