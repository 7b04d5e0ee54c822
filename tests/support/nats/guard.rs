//! Ends a server when nobody is left who would: its test is over, has failed, or its process was killed.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Reads process ids, one a line, the last one counts; at the end of its input kills that process and clears up.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
watched=
while read -r line; do watched=$line; done
[ -n "$watched" ] && kill -9 "$watched" 2>/dev/null
rm -rf -- "$1" || { sleep 1; rm -rf -- "$1"; }
"#;

/// A process that outlives ours for a moment.
pub(super) struct Guard(Child);

impl Guard {
    /// Begins to guard a directory.
    pub(super) fn start(directory: &Path) -> Guard {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "guard"]).arg(directory).stdin(Stdio::piped());
        Guard(shell.spawn().expect("there is a shell"))
    }

    /// Guards this process from now on, in place of the one before.
    pub(super) fn watch(&mut self, process: Option<u32>) {
        let input = self.0.stdin.as_mut().expect("it is open until the end");
        let line = process.map(|process| process.to_string()).unwrap_or_default();
        writeln!(input, "{line}").expect("it reads until the end");
    }

    /// Kills what is guarded, removes the directory, and waits until that is done.
    pub(super) fn end(&mut self) {
        drop(self.0.stdin.take());
        // A guard that is gone already has done its work.
        let _ = self.0.wait();
    }
}
