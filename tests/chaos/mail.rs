//! `send` to an agent whose owner is killed, or hangs, again and again: no entry is lost, none is applied twice, each
//! sender's are in order.
//!
//! `CHAOS=full cargo test -p connectome-tests chaos::mail -- --nocapture --test-threads 1`

use std::time::Instant;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::ledger::{Line, Speaker};
use super::office::Office;
use super::senders::Senders;
use super::{dice, in_the_end, is_full};
use crate::support::nats::NatsServer;

/// How hard it is.
struct Plan {
    kills: usize,
    /// Owners that are stopped, and go on when they have been replaced.
    hangs: usize,
    senders: u64,
    /// Entries a second, in all.
    rate: u64,
}

const SHORT: Plan = Plan { kills: 10, hangs: 3, senders: 8, rate: 200 };
const FULL: Plan = Plan { kills: 100, hangs: 10, senders: 20, rate: 1_000 };

/// SIGKILL for the owner's process, after a random number of entries that it wrote; it is started again at once. Now and then
/// SIGSTOP instead, and SIGCONT when another one writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random() {
    let plan = if is_full() { FULL } else { SHORT };
    let Plan { kills, senders, rate, .. } = plan;
    let mut dice = dice();
    let server = NatsServer::start();
    let mut office = Office::open(&server.url(), 1, 1).await;
    let began = Instant::now();
    let sending = Senders::begin(&office.node, &mut dice, senders, 1, rate);
    let mut newest = 0;
    for (number, hangs) in rounds(&plan, &mut dice).into_iter().enumerate() {
        let after = dice.random_range(1..=rate as usize / 2);
        let (owner, term) = owner_after(&office, newest, after).await;
        if hangs {
            let from = office.ledger.len();
            office.process(&owner.place).stop();
            let is_next = |line: &Line| term_of(line) > Some(term);
            in_the_end("another one writes", office.ledger.find(from, is_next)).await;
            office.process(&owner.place).go_on();
        } else {
            office.process(&owner.place).kill();
            office.start(&owner.place);
        }
        newest = term + 1;
        let (what, passed) = (if hangs { "hung" } else { "killed" }, began.elapsed());
        let (sent, written) = (sending.acknowledged(), office.ledger.len());
        println!(
            "{number}: {owner} {what} at {passed:.1?}, after {after} entries; {sent} sent, {written} written"
        );
    }
    let (sent, seconds) = (sending.acknowledged(), began.elapsed().as_secs_f64());
    println!("{sent} entries in {seconds:.1} s: {:.0} a second of {rate} wanted", sent as f64 / seconds);
    let sent = sending.end().await;
    office.audit(&sent).await;
    let drained = began.elapsed().as_secs_f64() - seconds;
    let longest = sent.iter().map(|sent| sent.longest).max().unwrap_or_default();
    println!("{kills} kills; the last entries took {drained:.1} s more; longest send {longest:.2?}");
}

/// Which owners hang: the others are killed.
fn rounds(plan: &Plan, dice: &mut StdRng) -> Vec<bool> {
    let mut rounds = [vec![true; plan.hangs], vec![false; plan.kills]].concat();
    rounds.shuffle(dice);
    rounds
}

/// The owner under this term or a newer one, when it has written so many entries, and its term.
async fn owner_after(office: &Office, mut newest: u64, after: usize) -> (Speaker, u64) {
    let mut count = 0;
    let is_last = |line: &Line| {
        let Some(term) = term_of(line).filter(|term| *term >= newest) else { return false };
        count = if term > newest { 1 } else { count + 1 };
        newest = term;
        count == after
    };
    let last = in_the_end("an owner writes", office.ledger.find(0, is_last)).await;
    let term = term_of(&last).expect("it was found by its term");
    (last.by, term)
}

/// Under which term an entry was written.
fn term_of(line: &Line) -> Option<u64> {
    line.after("wrote")?.get(4)?.parse().ok()
}
