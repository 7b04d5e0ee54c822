//! Nodes in networks without a way to each other: over a relay, past routers with NAT where they let it, and on when a relay
//! hangs. Each node is a process in a network namespace of its own.
//!
//! `cargo test -p connectome-tests libp2p::reach -- --nocapture --test-threads 1`

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use connectome::prelude::*;

use super::networks::Networks;
use super::support::{Add, Adder, soon, until};

const NAME: &str = "CONNECTOME_REACH_NAME";
const RELAYS: &str = "CONNECTOME_REACH_RELAYS";
const ANNOUNCE: &str = "CONNECTOME_REACH_ANNOUNCE";

/// How long is called while a relay hangs: longer than it may take to notice that, and to find another way.
const LISTENED: Duration = Duration::from_secs(12);

/// Without another way there would be no answer at all. What was promised is 5 s; what it takes is printed.
const REROUTED_MS: u64 = 10_000;

/// The other process: a node with an agent of its own name, which does what it is told, line by line, until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "other tests start it"]
async fn part() {
    let mut config = Config::in_memory();
    config.name = std::env::var(NAME).unwrap();
    config.libp2p.listen = Some("/ip4/0.0.0.0/tcp/4001".to_owned());
    config.libp2p.announce = std::env::var(ANNOUNCE).ok();
    config.libp2p.relay = config.libp2p.announce.is_some();
    config.libp2p.relays = std::env::var(RELAYS).ok();
    let name = config.name.clone();
    let node = Node::start(config).await.unwrap();
    node.spawn(&name, Adder::default).await.unwrap();
    println!("\nready {}", node.libp2p().unwrap().addresses().join(","));
    let mut lines = std::io::stdin().lines();
    while let Some(Ok(line)) = tokio::task::block_in_place(|| lines.next()) {
        println!("\ndone {}", obey(&node, &line).await);
    }
    std::process::exit(0);
}

/// `call NAME`: until it is answered. `gap NAME`: for a while, again and again; the longest time without an answer.
/// `held COUNT`: until so many relays carry for this node. `direct`: until a direct connection was tried, with what came of it.
async fn obey(node: &Node, line: &str) -> String {
    let p2p = node.libp2p().unwrap();
    match line.split_once(' ').unwrap_or((line, "")) {
        ("call", name) => {
            let adder = soon(node.wait_for(name)).await.unwrap();
            until(async || adder.call_within(Duration::from_millis(500), Add(1)).await.is_ok()).await;
            let relayed = p2p.peers().into_iter().filter(|peer| p2p.is_relayed(*peer)).count();
            format!("answered, with {relayed} of {} links over a relay", p2p.peers().len())
        }
        ("gap", name) => {
            let adder = soon(node.wait_for(name)).await.unwrap();
            let (begun, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
            while begun.elapsed() < LISTENED {
                if adder.call_within(Duration::from_millis(500), Add(1)).await.is_ok() {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
            }
            longest.max(last.elapsed()).as_millis().to_string()
        }
        ("held", count) => {
            let count: u64 = count.parse().unwrap();
            until(async || p2p.counts().reserved == count).await;
            format!("{count} relays")
        }
        ("direct", _) => {
            let mut watcher = p2p.watch();
            while p2p.counts().moved + p2p.counts().not_punched == 0 {
                soon(watcher.next()).await.unwrap();
            }
            let counts = p2p.counts();
            format!(
                "moved {}, punched {}, not punched {}, own addresses that could be dialled {}, that could not {}",
                counts.moved, counts.punched, counts.not_punched, counts.reachable, counts.unreachable
            )
        }
        (other, _) => panic!("{other}"),
    }
}

/// A node in a namespace.
struct Part {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    addresses: String,
}

impl Part {
    fn start(networks: &Networks, name: &str, with: &[(&str, &str)]) -> Part {
        let mut command: Command = networks.command(name, &std::env::current_exe().unwrap());
        command.args(["--exact", "libp2p::reach::part", "--ignored", "--nocapture"]);
        command.env(NAME, name).envs(with.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut part = Part { child, input, lines: BufReader::new(output).lines(), addresses: String::new() };
        part.addresses = part.line("ready ");
        part
    }

    /// A relay at an address that everybody reaches.
    fn relay(networks: &Networks, name: &str, address: &str) -> Part {
        Part::start(networks, name, &[(ANNOUNCE, &format!("/ip4/{address}/tcp/4001"))])
    }

    fn line(&mut self, begin: &str) -> String {
        let mut lines = self.lines.by_ref().map_while(Result::ok);
        lines.find_map(|line| line.strip_prefix(begin).map(str::to_owned)).expect("it says so")
    }

    /// Has it do something, and waits until it is done.
    fn told(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.line("done ")
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Two private networks and two relays that both reach; no way from one to the other.
fn apart() -> Result<Networks, String> {
    let networks = Networks::new(&["ada", "bob", "r1", "r2"])?;
    for (at, relay) in ["r1", "r2"].into_iter().enumerate() {
        let public = format!("10.99.0.{}", at + 1);
        networks.within(relay, &["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])?;
        networks.within(relay, &["ip", "addr", "add", &format!("{public}/32"), "dev", "lo"])?;
        for (net, private) in ["ada", "bob"].into_iter().enumerate() {
            let [here, there] = [1, 2].map(|last| format!("10.{}.{at}.{last}/30", net + 1));
            networks.link([(private, relay, Some(&here)), (relay, private, Some(&there))])?;
            let way = there.trim_end_matches("/30");
            networks.within(private, &["ip", "route", "add", &public, "via", way])?;
        }
    }
    Ok(networks)
}

/// Two networks behind routers with NAT, and a relay where all is public.
fn masked() -> Result<Networks, String> {
    let networks = Networks::new(&["ada", "bob", "na", "nb", "r1", "net"])?;
    networks.within("net", &["ip", "link", "add", "hub", "type", "bridge"])?;
    networks.within("net", &["ip", "link", "set", "hub", "up"])?;
    for (space, address) in [("r1", "10.99.0.1/24"), ("na", "10.99.0.11/24"), ("nb", "10.99.0.12/24")] {
        networks.link([(space, "wan", Some(address)), ("net", space, None)])?;
        networks.within("net", &["ip", "link", "set", space, "master", "hub"])?;
    }
    for (private, router, net) in [("ada", "na", "10.1.0"), ("bob", "nb", "10.2.0")] {
        let [here, there] = [format!("{net}.2/24"), format!("{net}.1/24")];
        networks.link([(private, "out", Some(&here)), (router, "lan", Some(&there))])?;
        networks.within(private, &["ip", "route", "add", "default", "via", there.trim_end_matches("/24")])?;
        networks.masquerade(router)?;
    }
    Ok(networks)
}

fn or_say(networks: Result<Networks, String>, what: &str) -> Option<Networks> {
    networks.inspect_err(|why| println!("{what}: not tested, it needs root, namespaces and nft: {why}")).ok()
}

/// Two nodes with no way to each other talk over a relay; when the relay hangs, they talk over the other one.
#[test]
fn a_relay_between_networks_and_another_when_it_hangs() {
    let Some(networks) = or_say(apart(), "two relays") else { return };
    let relays = [("r1", "10.99.0.1"), ("r2", "10.99.0.2")];
    let relays = relays.map(|(name, address)| Part::relay(&networks, name, address));
    let known = relays.each_ref().map(|relay| relay.addresses.clone()).join(",");
    let [mut ada, mut bob] =
        ["ada", "bob"].map(|name| Part::start(&networks, name, &[(RELAYS, known.as_str())]));
    for part in [&mut ada, &mut bob] {
        part.told("held 2");
    }
    println!("ada calls bob: {}", ada.told("call bob"));
    println!("bob calls ada: {}", bob.told("call ada"));
    for (at, relay) in relays.iter().enumerate() {
        relay.signal("-STOP");
        let gap: u64 = ada.told("gap bob").parse().unwrap();
        println!("relay {} hangs: at the longest {gap} ms without an answer", at + 1);
        assert!(gap < REROUTED_MS, "{gap} ms");
        relay.signal("-CONT");
        ada.told("held 2");
        bob.told("held 2");
    }
}

/// Two nodes behind NAT talk over a relay, and then directly, if their routers let them.
#[test]
fn past_two_routers() {
    let Some(networks) = or_say(masked(), "NAT") else { return };
    let relay = Part::relay(&networks, "r1", "10.99.0.1");
    let [mut ada, mut bob] =
        ["ada", "bob"].map(|name| Part::start(&networks, name, &[(RELAYS, relay.addresses.as_str())]));
    println!("ada calls bob: {}", ada.told("call bob"));
    println!("bob calls ada: {}", bob.told("call ada"));
    println!("directly, ada: {}", ada.told("direct"));
    println!("ada calls bob: {}", ada.told("call bob"));
}
