//! Two processes with nothing between them: one is killed, stopped and let go on, and the other one sees it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use connectome::transport::libp2p::{LinkEnd, LinkEvent};

use super::support::{Add, Adder, addresses, node, soon, until};

const PEERS: &str = "CONNECTOME_LIBP2P_PEERS";

/// What a clean end, and a hung peer, may take to be noticed.
const AT_ONCE: Duration = Duration::from_secs(1);
const HUNG: Duration = Duration::from_secs(6);

/// The other process: a node with an adder, until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests start it"]
async fn part() {
    let node = node("there", Some(std::env::var(PEERS).unwrap())).await;
    node.spawn("adder", Adder::default).await.unwrap();
    println!("\nready {}", addresses(&node));
    let input = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(input).await.unwrap().unwrap();
    std::process::exit(0);
}

struct Process(Child);

impl Process {
    fn start(peers: &str) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "libp2p::process::part", "--ignored", "--nocapture"]);
        command.env(PEERS, peers).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines
            .map_while(Result::ok)
            .find(|line| line.starts_with("ready "))
            .expect("it says that it is ready");
        Process(child)
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A killed peer is noticed at once, a hung one within six seconds, each with its reason; one that goes on is linked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_and_a_hung_peer_are_noticed() {
    let here = node("here", None).await;
    let p2p = here.libp2p().unwrap();
    let process = Process::start(&addresses(&here));
    let adder = soon(here.wait_for("adder")).await.unwrap();
    assert_eq!(adder.call(Add(1)).await.unwrap(), 1);
    let mut watcher = p2p.watch();
    let mut ended = async || loop {
        if let LinkEvent::Down { end, .. } = soon(watcher.next()).await.unwrap() {
            return end;
        }
    };

    let begun = Instant::now();
    process.signal("-STOP");
    assert_eq!(ended().await, LinkEnd::Silent);
    let hung = begun.elapsed();
    process.signal("-CONT");
    until(async || adder.call_within(Duration::from_secs(1), Add(1)).await.is_ok()).await;

    let begun = Instant::now();
    process.signal("-KILL");
    let end = ended().await;
    let killed = begun.elapsed();
    println!("noticed: hung after {hung:?}, killed after {killed:?} ({end})");
    assert!(hung < HUNG && killed < AT_ONCE, "{hung:?} {killed:?}");
    assert!(matches!(end, LinkEnd::Lost(_)), "{end}");
    here.stop().await;
}
