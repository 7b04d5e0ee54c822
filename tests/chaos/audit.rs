//! Holds books to what their senders were promised, and says which entry went wrong where.
//!
//! Every process says each entry that it writes, before its state is saved. So a branch (what one incarnation wrote, under
//! one term) may repeat what an older one wrote and did not save, and nothing else: it goes on somewhere in what was
//! written before, and from there without a hole. What was saved in the end is in the books themselves.
//!
//! An owner that was replaced and does not know it yet may write on, over holes: what the next one applied is gone from the
//! stream. None of that is saved, so it is counted, and only the books say whether it did harm.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Account, Page};
use super::ledger::{Line, Speaker};
use super::senders::Sent;

/// Complaints that are shown: the first ones say what happened.
const SHOWN: usize = 12;

/// One line of a process that wrote an entry.
#[derive(Debug, Clone)]
struct Written {
    book: String,
    sender: u64,
    number: u64,
    /// Entries of this sender in the book with this one.
    entries: u64,
    branch: Branch,
    /// Somebody had written into the book under a newer term.
    is_late: bool,
}

/// What one incarnation did, in the order of their terms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    term: u64,
    by: Speaker,
    incarnation: u64,
}

/// Asserts that every entry that was acknowledged is in its book once, and in order; nothing else is.
pub(super) fn audit(sent: &[Sent], pages: &BTreeMap<String, Page>, lines: &[Line]) {
    let written = in_order(lines);
    let mut complaints = Vec::new();
    for sent in sent {
        let of_sender = written.iter().filter(|w| w.sender == sent.sender && w.book == sent.book);
        let of_sender: Vec<&Written> = of_sender.collect();
        complaints.extend(in_book(sent, &pages[&sent.book], &of_sender));
        complaints.extend(in_branches(sent, &of_sender));
    }
    let promised: u64 = sent.iter().map(|sent| sent.last).sum();
    let branches: BTreeSet<&Branch> = written.iter().map(|written| &written.branch).collect();
    let (again, branches) = ((written.len() as u64).saturating_sub(promised), branches.len());
    let late = written.iter().filter(|written| written.is_late).count();
    println!(
        "audit: {promised} entries promised; {again} more were written and not saved, {late} of them by owners that had \
         been replaced; {branches} incarnations wrote"
    );
    let more = complaints.len().saturating_sub(SHOWN);
    complaints.truncate(SHOWN);
    assert!(complaints.is_empty(), "{}\n({more} more)", complaints.join("\n"));
}

/// What the book says of a sender, against what the sender was promised.
fn in_book(sent: &Sent, page: &Page, written: &[&Written]) -> Option<String> {
    let account = account_of(page, sent.sender);
    let mut right = Account::new(sent.sender);
    (1..=sent.last).for_each(|number| right.write(number));
    if account == right {
        return None;
    }
    let wrong = match account.entries.cmp(&right.entries) {
        std::cmp::Ordering::Less => "entries are lost",
        std::cmp::Ordering::Greater => "entries were applied twice",
        std::cmp::Ordering::Equal => "entries are in a wrong order, or one is lost and one applied twice",
    };
    let (has, last) = (account.entries, sent.last);
    let book = &sent.book;
    let where_ = suspects(written);
    Some(format!("{book}, sender {}: {wrong}: it has {has} of {last}; {where_}", sent.sender))
}

pub(super) fn account_of(page: &Page, sender: u64) -> Account {
    let found = page.accounts.iter().find(|account| account.sender == sender);
    found.copied().unwrap_or(Account::new(sender))
}

/// Where the number of an entry is not the count of entries with it.
fn suspects(written: &[&Written]) -> String {
    let first = written.iter().find(|written| written.number != written.entries);
    let last = written.last().map_or_else(|| "nothing was ever written".to_owned(), |last| last.told());
    match first {
        Some(first) => format!("first wrong at {}; the last that was written is {last}", first.told()),
        None => format!("every line that was written is right; the last is {last}"),
    }
}

/// Holes and jumps in what was written.
fn in_branches(sent: &Sent, written: &[&Written]) -> Vec<String> {
    let mut branches: BTreeMap<&Branch, Vec<&Written>> = BTreeMap::new();
    for written in written {
        branches.entry(&written.branch).or_default().push(written);
    }
    let (mut complaints, mut reached) = (Vec::new(), 0);
    for lines in branches.values() {
        let first = lines[0];
        if first.number > reached + 1 && !first.is_late {
            complaints
                .push(format!("{} begins after {reached}: what is between was never written", first.told()));
        }
        for pair in lines.windows(2) {
            if pair[1].number != pair[0].number + 1 && !pair[1].is_late {
                complaints.push(format!("{} follows directly on entry {}", pair[1].told(), pair[0].number));
            }
        }
        reached = lines.iter().map(|line| line.number).chain([reached]).max().unwrap_or(reached);
    }
    if reached != sent.last {
        let (book, sender, last) = (&sent.book, sent.sender, sent.last);
        complaints.push(format!(
            "{book}, sender {sender}: entry {last} was promised, and {reached} is the last written"
        ));
    }
    complaints
}

/// What was written, in the order in which it was read.
fn in_order(lines: &[Line]) -> Vec<Written> {
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut written: Vec<Written> = lines.iter().filter_map(read).collect();
    for written in &mut written {
        let newest = newest.entry(written.book.clone()).or_default();
        written.is_late = written.branch.term < *newest;
        *newest = written.branch.term.max(*newest);
    }
    written
}

fn read(line: &Line) -> Option<Written> {
    let [book, numbers @ ..] = line.after("wrote")? else { return None };
    let numbers: Vec<u64> = numbers.iter().map(|word| word.parse().unwrap()).collect();
    let [sender, number, entries, term, incarnation] = numbers[..] else { panic!("{line:?}") };
    let branch = Branch { term, by: line.by.clone(), incarnation };
    Some(Written { book: book.clone(), sender, number, entries, branch, is_late: false })
}

impl Written {
    fn told(&self) -> String {
        let Written { book, sender, number, entries, branch: Branch { term, by, incarnation }, .. } = self;
        format!(
            "entry {number} of sender {sender} in {book} (its {entries}. there), by {by}, term {term}, incarnation {incarnation},"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(place: &str, number: u64, entries: u64, term: u64) -> Line {
        let by = Speaker { place: place.to_owned(), start: 0 };
        let words = format!("wrote book-0 7 {number} {entries} {term} 1");
        Line { by, words: words.split(' ').map(str::to_owned).collect() }
    }

    fn page(numbers: &[u64]) -> BTreeMap<String, Page> {
        let mut account = Account::new(7);
        numbers.iter().for_each(|number| account.write(*number));
        let page = Page { place: "two".into(), term: 2, accounts: vec![account] };
        BTreeMap::from([("book-0".to_owned(), page)])
    }

    fn sent(last: u64) -> Vec<Sent> {
        vec![Sent { sender: 7, book: "book-0".into(), last, ..Sent::default() }]
    }

    /// An entry that was not saved is written again by the next owner: that is no fault.
    #[test]
    fn what_was_not_saved_is_written_again() {
        let lines = [line("one", 1, 1, 1), line("one", 2, 2, 1), line("two", 2, 2, 2), line("two", 3, 3, 2)];
        audit(&sent(3), &page(&[1, 2, 3]), &lines);
    }

    #[test]
    #[should_panic(expected = "entries are lost")]
    fn a_lost_entry_is_found() {
        let lines = [line("one", 1, 1, 1), line("two", 3, 2, 2)];
        audit(&sent(3), &page(&[1, 3]), &lines);
    }

    #[test]
    #[should_panic(expected = "entries were applied twice")]
    fn an_entry_that_was_applied_twice_is_found() {
        let lines = [line("one", 1, 1, 1), line("two", 1, 2, 2), line("two", 2, 3, 2)];
        audit(&sent(2), &page(&[1, 1, 2]), &lines);
    }

    #[test]
    #[should_panic(expected = "in a wrong order")]
    fn a_wrong_order_is_found() {
        let lines = [line("one", 2, 1, 1), line("one", 1, 2, 1)];
        audit(&sent(2), &page(&[2, 1]), &lines);
    }
}
