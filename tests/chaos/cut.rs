//! An owner whose link to the server is cut, without a word: how long its agent is away, and what the owner does when it is back.
//!
//! `FAILOVER_RUNS=30 cargo test -p connectome-tests chaos::cut -- --nocapture --test-threads 1`

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::island::Island;
use super::office::{Office, PLACES};
use super::senders::Senders;
use super::{dice, holds, in_the_end, print, runs};
use crate::support::nats::NatsServer;

/// What was promised, from the cut to the next answered call.
const PROMISED: Duration = Duration::from_secs(6);

/// Each owner is cut off while entries come; another one answers. Healed, the old one finds itself fenced, and stops its
/// agent; whatever it had in hand is applied once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_and_on() {
    let Some(islands) = islands() else { return };
    let server = NatsServer::start_everywhere();
    let office = Office::open_on(&server.url(), 1, 1, islands).await;
    let sending = Senders::begin(&office.node, &mut dice(), 4, 1, 100);
    let (mut away, mut back) = (Vec::new(), Vec::new());
    for run in 0..runs(3) {
        let owner = office.page(0, "is answered", |_| true).await;
        // It is at work when it is cut off.
        let from = office.ledger.len();
        office.next_writer(0, from, &BTreeSet::new()).await;
        let before = office.report(&owner.place).await;
        office.island(&owner.place).cut();
        let began = Instant::now();
        let next = office.page(0, "another one answers", |page| page.place != owner.place).await;
        away.push(began.elapsed());
        assert!(next.term > owner.term, "run {run}: term {} after {}", next.term, owner.term);
        office.island(&owner.place).heal();
        let healed = Instant::now();
        in_the_end(
            "the old owner stops its agent",
            stops(&office, &owner.place, before.lost + before.fenced),
        )
        .await;
        back.push(healed.elapsed());
        // It is heard of as a node like others before it may own the agent again.
        office.report(&owner.place).await;
    }
    print("cut off, to the next answer", &away);
    print("healed, to the old owner's stop", &back);
    let sent = sending.end().await;
    office.audit(&sent).await;
    holds("cut off, to the next answer", &away, PROMISED);
}

/// Waits until a place has lost its agent: it was refused, and does not run it.
async fn stops(office: &Office, place: &str, losses: u64) {
    loop {
        let report = office.report(place).await;
        if report.lost + report.fenced > losses && report.books.is_empty() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// One for each place; none, and a line that says why, where the machine gives none.
fn islands() -> Option<BTreeMap<String, Island>> {
    let landed: Result<_, String> =
        PLACES.iter().map(|place| Ok(((*place).to_owned(), Island::land()?))).collect();
    match &landed {
        Ok(_) => println!("cut link: network namespaces, each with a veth pair that is taken down"),
        Err(why) => println!("cut link: not tested, it needs root and network namespaces: {why}"),
    }
    landed.ok()
}
