//! Three processes that offer books, whoever reads and writes them, and the ledger of what they did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connectome::prelude::*;
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

use super::book::{Ask, OFFERS, Page, Read, Report, book, clerk, config};
use super::island::Island;
use super::ledger::{Ledger, Line, Speaker};
use super::process::{Orders, Process};
use super::senders::Sent;
use super::{TRY, audit, in_the_end, until};

pub(super) const PLACES: [&str; 3] = ["one", "two", "three"];

/// How often a book is looked at that is not complete yet.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An office, without its servers: they are the test's.
pub(super) struct Office {
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    processes: BTreeMap<String, Process>,
    islands: BTreeMap<String, Island>,
    starts: usize,
    orders: Orders,
    _home: TempDir,
}

impl Office {
    /// Opens one at these servers: so many books, each offered by three processes.
    pub(super) async fn open(url: &str, replicas: usize, books: usize) -> Office {
        Office::open_on(url, replicas, books, BTreeMap::new()).await
    }

    /// The same, with some of the places on islands.
    pub(super) async fn open_on(
        url: &str,
        replicas: usize,
        books: usize,
        islands: BTreeMap<String, Island>,
    ) -> Office {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().expect("it is text").to_owned();
        let orders = Orders { part: OFFERS, url: url.to_owned(), home, replicas, agents: books };
        let node = Node::start(config("street", &orders)).await.unwrap();
        let (ledger, processes) = (Ledger::new(), BTreeMap::new());
        let mut office = Office { node, ledger, processes, islands, starts: 0, orders, _home: directory };
        for place in PLACES {
            office.hire(place).await;
        }
        office
    }

    /// Starts the process of a place (again), and waits until it is known.
    pub(super) async fn hire(&mut self, place: &str) {
        self.start(place);
        self.report(place).await;
    }

    /// Starts the process of a place (again).
    pub(super) fn start(&mut self, place: &str) {
        self.starts += 1;
        let by = Speaker { place: place.to_owned(), start: self.starts };
        let process = Process::start(by, &self.orders, self.islands.get(place), &self.ledger);
        self.processes.insert(place.to_owned(), process);
    }

    pub(super) fn process(&mut self, place: &str) -> &mut Process {
        self.processes.get_mut(place).expect("it was hired")
    }

    pub(super) fn island(&self, place: &str) -> &Island {
        &self.islands[place]
    }

    /// What a place says of itself, once it can be asked.
    pub(super) async fn report(&self, place: &str) -> Report {
        let clerk = self.node.agent(&clerk(place)).unwrap();
        until(&format!("the clerk of {place} answers"), || clerk.call_within(TRY, Ask)).await
    }

    /// A page of a book of which this is true.
    pub(super) async fn page(&self, number: usize, what: &str, is_it: impl Fn(&Page) -> bool) -> Page {
        let agent = self.node.agent(&book(number)).unwrap();
        let read = async || match agent.call_within(TRY, Read).await {
            Ok(page) if is_it(&page) => Ok(page),
            Ok(page) => Err(format!("{} under term {}", page.place, page.term)),
            Err(error) => Err(error.to_string()),
        };
        until(&format!("book {number}: {what}"), read).await
    }

    /// Reads the books once they hold all that was sent, and audits them.
    pub(super) async fn audit(&self, sent: &[Sent]) {
        let mut pages = BTreeMap::new();
        for number in 0..self.orders.agents {
            let of_book: Vec<&Sent> = sent.iter().filter(|sent| sent.book == book(number)).collect();
            pages.insert(book(number), self.complete(number, &of_book).await);
        }
        audit::audit(sent, &pages, &self.ledger.since(0));
    }

    /// A book with all its entries, or as it is when for a long time nobody has written into it.
    async fn complete(&self, number: usize, sent: &[&Sent]) -> Page {
        let is_whole =
            |page: &Page| sent.iter().all(|sent| audit::account_of(page, sent.sender).entries >= sent.last);
        let agent = self.node.agent(&book(number)).unwrap();
        let mut written = self.ledger.len();
        let mut last: Option<Page> = None;
        let (mut looks, mut quiet) = (interval(LOOK_EVERY), std::time::Instant::now());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Ok(page) = agent.call_within(TRY, Read).await {
                if is_whole(&page) {
                    return page;
                }
                last = Some(page);
            }
            if self.ledger.len() > written {
                (written, quiet) = (self.ledger.len(), std::time::Instant::now());
            }
            if quiet.elapsed() > super::PATIENCE {
                let dead = self.node.dead_letters();
                println!("nothing was written for {:?}; dead letters here: {dead:?}", super::PATIENCE);
                return last.expect("somebody has the book");
            }
            looks.tick().await;
        }
    }

    /// The next line, from this one on, of a process that writes into this book and is none of the dead.
    pub(super) async fn next_writer(&self, number: usize, from: usize, dead: &BTreeSet<Speaker>) -> Speaker {
        let name = book(number);
        let is_it = |line: &Line| {
            !dead.contains(&line.by) && line.after("wrote").is_some_and(|words| words[0] == name)
        };
        in_the_end(&format!("somebody writes into {name}"), self.ledger.find(from, is_it)).await.by
    }
}
