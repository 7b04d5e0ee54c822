//! The death of a process that owns a thousand agents makes no storm: the others take them once, and nothing else moves.
//!
//! `cargo test -p connectome-tests chaos::storm -- --nocapture --test-threads 1`

use std::collections::BTreeMap;
use std::time::Instant;

use super::book::Report;
use super::office::{Office, PLACES};
use super::until;
use crate::support::nats::NatsServer;

const AGENTS: usize = 1_000;

/// The first process takes all of them, being alone; it dies, then another one. Each time every agent has an owner again,
/// and as many leases were taken as the dead one had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_moves_what_the_dead_had() {
    let server = NatsServer::start();
    let mut office = Office::open(&server.url(), 1, AGENTS).await;
    let mut before = all_owned(&office, &PLACES).await;
    for (death, place) in PLACES.iter().take(2).enumerate() {
        let had = before[*place].books.len();
        office.process(place).kill();
        let began = Instant::now();
        let others: Vec<&str> = PLACES.iter().copied().filter(|other| other != place).collect();
        let after = all_owned(&office, &others).await;
        let took: Vec<u64> =
            others.iter().map(|other| after[*other].acquired - before[*other].acquired).collect();
        println!("death {death}: {place} had {had}; {others:?} took {took:?} in {:.2?}", began.elapsed());
        assert_eq!(took.iter().sum::<u64>(), had as u64, "each agent moves once, and no other one does");
        office.hire(place).await;
        before = all_owned(&office, &PLACES).await;
        assert!(before[*place].books.is_empty(), "who comes back takes nothing that somebody owns");
    }
}

/// What these places say, once every agent runs at one of them.
async fn all_owned(office: &Office, places: &[&str]) -> BTreeMap<String, Report> {
    until("every agent has an owner", async || {
        let mut reports = BTreeMap::new();
        for place in places {
            reports.insert((*place).to_owned(), office.report(place).await);
        }
        let owned: usize = reports.values().map(|report| report.books.len()).sum();
        if owned == AGENTS { Ok(reports) } else { Err(format!("{owned} of {AGENTS} run")) }
    })
    .await
}
