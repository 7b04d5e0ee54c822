//! What a server logs: read as it comes, so that a test can wait for a line.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Lines that are kept: a start takes some fifty, and no test waits for a line that is further back.
const LINES_MAX: usize = 2_000;

/// Lines that are shown when something fails.
const LINES_SHOWN: usize = 30;

/// The log of one run of a server.
#[derive(Default)]
pub(super) struct Log {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    newest: VecDeque<String>,
    is_over: bool,
}

impl Log {
    /// Reads until the server ends.
    pub(super) fn follow(output: impl Read + Send + 'static) -> Arc<Log> {
        let log = Arc::new(Log::default());
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| kept.push(line));
            kept.change(|lines| lines.is_over = true);
        });
        log
    }

    /// Waits for a line that holds `words`; fails with what the server said instead.
    pub(super) fn wait_for(&self, words: &str, timeout: Duration) -> Result<(), String> {
        let end = Instant::now() + timeout;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if lines.newest.iter().any(|line| line.contains(words)) {
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            if lines.is_over || left.is_zero() {
                return Err(format!("it did not say {words:?}, but:\n{}", lines.last()));
            }
            lines = self.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// What it said last.
    pub(super) fn tail(&self) -> String {
        self.lines.lock().unwrap().last()
    }

    fn push(&self, line: String) {
        self.change(|lines| {
            lines.newest.push_back(line);
            if lines.newest.len() > LINES_MAX {
                lines.newest.pop_front();
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines.lock().unwrap());
        self.changed.notify_all();
    }
}

impl Lines {
    fn last(&self) -> String {
        let skipped = self.newest.len().saturating_sub(LINES_SHOWN);
        self.newest.iter().skip(skipped).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
