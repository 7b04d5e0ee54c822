//! A process that a test may kill, stop and let go on: this test binary, started again to play a part.

use std::process::{Child, Command, Stdio};

use super::island::Island;
use super::ledger::{Ledger, Speaker};

/// Kills a process at the end of its own input: a stopped one does not notice that the test is over.
const GUARD: &str = "trap '' INT TERM HUP; cat >/dev/null; kill -9 $1 2>/dev/null";

/// What a process is told by its environment.
const PLACE: &str = "CONNECTOME_CHAOS_PLACE";
const URL: &str = "CONNECTOME_CHAOS_URL";
const HOME: &str = "CONNECTOME_CHAOS_HOME";
const REPLICAS: &str = "CONNECTOME_CHAOS_REPLICAS";
const AGENTS: &str = "CONNECTOME_CHAOS_AGENTS";

/// What all processes of a test have in common.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    /// The test that a process runs, by its path.
    pub(super) part: &'static str,
    /// Where the servers are.
    pub(super) url: String,
    /// A directory for all of them.
    pub(super) home: String,
    pub(super) replicas: usize,
    /// How many agents each of them offers, or has.
    pub(super) agents: usize,
}

/// What the process that runs this was told.
pub(super) struct Told {
    pub(super) place: String,
    pub(super) orders: Orders,
}

impl Told {
    pub(super) fn here() -> Told {
        let told =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by who starts this"));
        let number = |name| told(name).parse().unwrap();
        let (replicas, agents) = (number(REPLICAS), number(AGENTS));
        let orders = Orders { part: "", url: told(URL), home: told(HOME), replicas, agents };
        Told { place: told(PLACE), orders }
    }
}

/// Lives until whoever started this process closes its input, or ends.
pub(super) async fn until_the_input_ends() {
    let input = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    tokio::task::spawn_blocking(input).await.unwrap().unwrap();
}

/// A process of a place.
pub(super) struct Process {
    pub(super) by: Speaker,
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts it, on an island if there is one, and waits until it says its first line.
    pub(super) fn start(by: Speaker, orders: &Orders, island: Option<&Island>, ledger: &Ledger) -> Process {
        let binary = std::env::current_exe().unwrap();
        let (mut command, url) = match island {
            Some(island) => (island.command(&binary), island.url(&orders.url)),
            None => (Command::new(binary), orders.url.clone()),
        };
        command.args(["--exact", orders.part, "--ignored", "--nocapture"]);
        command.env(PLACE, &by.place).env(URL, url).env(HOME, &orders.home);
        command.env(REPLICAS, orders.replicas.to_string()).env(AGENTS, orders.agents.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard", &child.id().to_string()]).stdin(Stdio::piped());
        let guard = guard.spawn().expect("there is a shell");
        ledger.follow(by.clone(), child.stdout.take().expect("it was piped"));
        Process { by, child, guard }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.end();
    }

    /// SIGSTOP.
    pub(super) fn stop(&self) {
        signal("-STOP", self.child.id());
    }

    /// SIGCONT.
    pub(super) fn go_on(&self) {
        signal("-CONT", self.child.id());
    }
}

/// Stops the process `$0` and ends once each of its threads stands still: until then any of them may go on.
const STOP: &str = r#"kill -STOP "$0"; while cat /proc/"$0"/task/*/stat | grep -qv ') T '; do :; done"#;

/// Stops the process that calls this; it goes on here when somebody lets it.
pub(super) fn stop_myself() {
    let stopped = Command::new("sh").args(["-c", STOP, &std::process::id().to_string()]).status();
    assert!(stopped.unwrap().success(), "the process was stopped");
}

fn signal(signal: &str, process: u32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(sent.unwrap().success(), "kill {signal} {process}");
}

impl Process {
    /// The guard first: until somebody waits for it, the id of a dead process is nobody else's.
    fn end(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
