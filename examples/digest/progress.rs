//! What a person sees while it works, and at the end.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of tasks, with what has gone wrong meanwhile.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        let bar = ProgressBar::hidden();
        if !quiet {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Progress { bar }
    }

    pub fn begin(&self, phase: &'static str, tasks: usize) {
        let style =
            ProgressStyle::with_template("{prefix:>15} [{bar:32}] {pos}/{len} tasks  {msg}  {elapsed}");
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        self.bar.set_length(tasks as u64);
        self.phase(phase);
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    pub fn phase(&self, phase: &'static str) {
        self.bar.set_prefix(phase);
    }

    pub fn step(&self, done: usize, restarts: u64, redeliveries: u64, nodes: usize) {
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("{restarts} restarts  {redeliveries} redeliveries  {nodes} nodes"));
    }

    /// A line above the bar.
    pub fn note(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A table of two columns.
pub fn table(rows: &[(&str, String)]) -> String {
    let wide = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| format!("  {name:wide$}  {value}\n")).collect()
}
