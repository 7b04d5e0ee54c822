//! The agent that is offered: a book in which each sender has an account, and the process that offers some of them.

use std::collections::BTreeMap;

use connectome::codecs::wire;
use connectome::port::Storage;
use connectome::prelude::*;
use connectome::telemetry::{self, Format};

use super::ledger::say;
use super::process::{Orders, Told, until_the_input_ends};

/// To be written into a book: the number is one more than the one before it from the same sender.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "entry", reply = ())]
pub(super) struct Entry {
    pub(super) sender: u64,
    pub(super) number: u64,
}

/// Who has the book, and what stands in it?
#[derive(Message, Serialize, Deserialize)]
#[message(name = "read", reply = Page)]
pub(super) struct Read;

/// What a book answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) place: String,
    pub(super) term: u64,
    pub(super) accounts: Vec<Account>,
}

/// What one sender's entries have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) sender: u64,
    pub(super) entries: u64,
    /// Depends on every number and on their order.
    pub(super) digest: u64,
}

impl Account {
    pub(super) fn new(sender: u64) -> Account {
        Account { sender, entries: 0, digest: 0 }
    }

    pub(super) fn write(&mut self, number: u64) {
        self.entries += 1;
        // FNV-1a, by whole numbers.
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }
}

pub(super) struct Book {
    place: String,
    accounts: BTreeMap<u64, Account>,
}

impl Agent for Book {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Entry>();
        table.on::<Read>();
    }

    fn save(&self) -> connectome::Bytes {
        let accounts: Vec<&Account> = self.accounts.values().collect();
        wire::encode(&accounts).expect("numbers can be encoded")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        let accounts: Vec<Account> = wire::decode(state)?;
        self.accounts = accounts.into_iter().map(|account| (account.sender, account)).collect();
        Ok(())
    }
}

impl Handle<Entry> for Book {
    async fn handle(&mut self, entry: Entry, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        let Entry { sender, number } = entry;
        let account = self.accounts.entry(sender).or_insert(Account::new(sender));
        account.write(number);
        let (book, term, entries) = (ctx.name(), term(ctx), account.entries);
        say(&format!("wrote {book} {sender} {number} {entries} {term} {}", ctx.incarnation()));
        Ok(())
    }
}

impl Handle<Read> for Book {
    async fn handle(&mut self, _: Read, ctx: &mut Context<'_>) -> Result<Page, HandlerError> {
        let accounts = self.accounts.values().copied().collect();
        Ok(Page { place: self.place.clone(), term: term(ctx), accounts })
    }
}

fn term(ctx: &Context<'_>) -> u64 {
    ctx.term().map_or(0, |term| term.0)
}

/// To the clerk of a place: what has become of your books?
#[derive(Message, Serialize, Deserialize)]
#[message(name = "report", reply = Report)]
pub(super) struct Ask;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Report {
    /// Leases that it took, all in all.
    pub(super) acquired: u64,
    /// Renewals that were acknowledged, of all of them.
    pub(super) renewed: u64,
    /// Leases that others took from it, and refusals by a newer term.
    pub(super) lost: u64,
    pub(super) fenced: u64,
    /// The books that run there now.
    pub(super) books: Vec<String>,
}

/// Answers for its node.
struct Clerk(Node);

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Ask>();
    }
}

impl Handle<Ask> for Clerk {
    async fn handle(&mut self, _: Ask, _: &mut Context<'_>) -> Result<Report, HandlerError> {
        let counts = self.0.ownership_counts();
        let agents = self.0.agents().into_iter().map(|agent| agent.to_string());
        let books = agents.filter(|agent| agent.starts_with("book-")).collect();
        let (acquired, renewed, lost, fenced) = (counts.acquired, counts.renewed, counts.lost, counts.fenced);
        Ok(Report { acquired, renewed, lost, fenced, books })
    }
}

pub(super) fn book(number: usize) -> String {
    format!("book-{number}")
}

pub(super) fn clerk(place: &str) -> String {
    format!("clerk-{place}")
}

/// How a node of this place is configured: a home of its own, so that it is the same node when it is started again.
pub(super) fn config(place: &str, orders: &Orders) -> Config {
    let mut config = Config { name: place.to_owned(), ..Config::default() };
    config.data_dir = format!("{}/{place}", orders.home).into();
    config.key_file = Some(format!("{}/root.key", orders.home).into());
    config.streams.storage = Storage::File;
    config.nats.url = Some(orders.url.clone());
    config.nats.replicas = orders.replicas;
    config
}

/// What processes log, where somebody wants to see it: `CHAOS_LOG=connectome=debug`.
fn log() {
    if let Ok(filter) = std::env::var("CHAOS_LOG") {
        telemetry::init(&filter, Format::Text).unwrap();
    }
}

/// The test that a process of the office runs.
pub(super) const OFFERS: &str = "chaos::book::offers";

/// The life of a process that offers books.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other tests start it in a process of its own"]
async fn offers() {
    let Told { place, orders } = Told::here();
    log();
    let node = Node::start(config(&place, &orders)).await.unwrap();
    for number in 0..orders.agents {
        let place = place.clone();
        let factory = move || Book { place: place.clone(), accounts: BTreeMap::new() };
        node.offer(&book(number), factory).await.unwrap();
    }
    let clerk_node = node.clone();
    node.spawn(&clerk(&place), move || Clerk(clerk_node.clone())).await.unwrap();
    say("offers");
    until_the_input_ends().await;
    node.stop().await;
}
