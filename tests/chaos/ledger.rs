//! What processes said that they did, kept where no kill reaches it.
//!
//! A line that was written to a pipe outlives its writer; the test reads it, and keeps it with who said it. What follows
//! from the lines is not decided here: see `audit.rs` for messages and `tasks.rs` for tasks.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

/// What stands before what a process says: the test harness writes to the same output.
const MARK: &str = "~> ";

/// A process of one place: each start is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Speaker {
    pub(super) place: String,
    pub(super) start: usize,
}

/// One line of one process.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) by: Speaker,
    pub(super) words: Vec<String>,
}

/// All lines, in the order in which they were read.
#[derive(Clone)]
pub(super) struct Ledger {
    lines: Arc<Mutex<Vec<Line>>>,
    count: watch::Sender<usize>,
}

/// Says a line: one write, so that a kill leaves all of it or nothing.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{MARK}{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        Ledger { lines: Arc::default(), count: watch::Sender::new(0) }
    }

    /// Takes down what a process says, until it ends; returns with its first line.
    pub(super) fn follow(&self, by: Speaker, output: impl Read + Send + 'static) {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let first = lines
            .find_map(|line| said(&line))
            .unwrap_or_else(|| panic!("{by} ended before it said anything"));
        self.note(&by, first);
        let ledger = self.clone();
        std::thread::spawn(move || {
            lines.filter_map(|line| said(&line)).for_each(|words| ledger.note(&by, words))
        });
    }

    /// The lines from this one on.
    pub(super) fn since(&self, start: usize) -> Vec<Line> {
        self.lines()[start..].to_vec()
    }

    pub(super) fn len(&self) -> usize {
        self.lines().len()
    }

    /// Waits for a line, from this one on, of which this is true.
    pub(super) async fn find(&self, mut from: usize, mut is_it: impl FnMut(&Line) -> bool) -> Line {
        let mut count = self.count.subscribe();
        loop {
            let found = {
                let lines = self.lines();
                let found = lines[from..].iter().find(|line| is_it(line)).cloned();
                from = lines.len();
                found
            };
            match found {
                Some(line) => return line,
                None => count.wait_for(|count| *count > from).await.expect("the ledger has a sender itself"),
            };
        }
    }

    fn note(&self, by: &Speaker, words: Vec<String>) {
        let mut lines = self.lines();
        lines.push(Line { by: by.clone(), words });
        self.count.send_replace(lines.len());
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap()
    }
}

fn said(line: &str) -> Option<Vec<String>> {
    let (_, words) = line.split_once(MARK)?;
    Some(words.split(' ').map(str::to_owned).collect())
}

impl Line {
    /// The words after the first one, if that is this one.
    pub(super) fn after(&self, verb: &str) -> Option<&[String]> {
        self.words.split_first().filter(|(first, _)| *first == verb).map(|(_, rest)| rest)
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.place, self.start)
    }
}
