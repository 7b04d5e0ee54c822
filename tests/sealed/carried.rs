//! Whoever carries: neither the packets on the way, nor the files, the memory, the log and the figures of a broker or a relay hold
//! a word of what agents say.
//!
//! It happens in network namespaces where all that passes is captured. Controls show that each search finds what is there: the same
//! without seals, a datagram in the open, the name of a node, a line of its log; and the memory of a node that is spoken to, where
//! everything is in the open, as it must be.
//!
//! `cargo test -p connectome-tests sealed::carried -- --nocapture --test-threads 1`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use connectome::prelude::*;
use connectome::telemetry::{self, Format};
use tokio::time::timeout;

use super::search::{Canaries, Song};
use super::{PATIENCE, until};
use crate::libp2p::networks::Networks;
use crate::support::nats::NatsServer;

/// What is said, and what is shown so that it is found.
const SAID: [&str; 5] = ["call", "answer", "cast", "mail", "waiting"];
const SHOWN: [&str; 3] = ["name", "line", "datagram"];

/// What the one who is spoken to has in its memory.
const HEARD: [&str; 4] = ["call", "answer", "cast", "mail"];

/// How often each thing is said: a canary that two packets share is found in another one.
const TIMES: usize = 4;

const HOME: &str = "CONNECTOME_CARRIED_HOME";
const SEALED: &str = "CONNECTOME_CARRIED_SEALED";
const NAME: &str = "CONNECTOME_CARRIED_NAME";
const RELAYS: &str = "CONNECTOME_CARRIED_RELAYS";

/// The address of the relay that both networks reach.
const RELAY: &str = "10.99.0.1";

/// A page of memory.
const PAGE: usize = 4096;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "repeated", reply = usize)]
struct Repeated;

/// Answers everything with the same song, and keeps what it hears: a dump of its memory must show that.
struct Parrot(Song, Vec<Song>);

impl Agent for Parrot {
    fn handles(table: &mut Table<Self>) {
        table.on::<Song>();
        table.on::<Repeated>();
    }
}

impl Handle<Song> for Parrot {
    async fn handle(&mut self, song: Song, _: &mut Context<'_>) -> Result<Song, HandlerError> {
        self.1.push(song);
        Ok(self.0.clone())
    }
}

impl Handle<Repeated> for Parrot {
    async fn handle(&mut self, _: Repeated, _: &mut Context<'_>) -> Result<usize, HandlerError> {
        Ok(self.1.len())
    }
}

async fn spawn_parrot(node: &Node, canaries: &Canaries<'_>) {
    let answer = canaries.song("answer");
    node.spawn_with(AgentSpec::new("parrot", move || Parrot(answer.clone(), Vec::new()))).await.unwrap();
}

/// Says everything to the parrot, and leaves something for an agent that nobody runs.
async fn talk(node: &Node, canaries: &Canaries<'_>) {
    let parrot = timeout(PATIENCE, node.wait_for("parrot")).await.unwrap().unwrap();
    until("it answers", async || parrot.call(Repeated).await.is_ok()).await;
    for _ in 0..TIMES {
        assert_eq!(parrot.call(canaries.song("call")).await.unwrap().text, canaries.hex("answer"));
        parrot.cast(canaries.song("cast")).await.unwrap();
        parrot.send(canaries.song("mail")).await.unwrap();
    }
    until("all is heard", async || parrot.call(Repeated).await.is_ok_and(|heard| heard == 3 * TIMES)).await;
    node.agent("nobody").unwrap().send(canaries.song("waiting")).await.unwrap();
}

async fn write_figures(node: &Node, below: &Path) {
    let figures = serde_json::to_vec(&node.metrics().await).unwrap();
    fs::write(below.join(format!("metrics/{}", node.id().to_string().replace(':', "-"))), figures).unwrap();
}

fn write_log() {
    let filter = "info,connectome=trace,connectome_actors=trace,connectome_codecs=trace";
    telemetry::init(filter, Format::Text).unwrap();
}

/// Writes down what a core dump of a process would hold: all memory that it can write to, while it stands still.
fn dump(process: u32, into: &Path) {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut core = std::io::BufWriter::new(File::create(into).unwrap());
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut page = [0; PAGE];
        for at in (begin..end).step_by(PAGE) {
            if memory.read_exact_at(&mut page, at).is_ok() && page != [0; PAGE] {
                core.write_all(&page).unwrap();
            }
        }
    }
    core.flush().unwrap();
}

/// Keeps all packets of a namespace.
struct Capture(Child, Lines<BufReader<ChildStdout>>);

impl Capture {
    /// `command`: what runs Python, where it is to run.
    fn start(mut command: Command, home: &Path) -> Capture {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("sealed/capture.py");
        command.arg(script).arg(home.join("packets/all")).arg(home.join("datagram"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        Capture(child, lines)
    }

    fn stop(mut self) {
        drop(self.0.stdin.take());
        let said = self.1.next().unwrap().unwrap();
        self.0.wait().unwrap();
        println!("packets: {said}");
        assert!(said.ends_with(", 0 missed"), "{said}");
    }
}

/// Room for one run: its canaries, and a directory for each place where they are looked for.
fn room() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    Canaries(home.path()).release(&[&SAID[..], &SHOWN].concat());
    for place in ["packets", "files", "memory", "log", "metrics", "spoken-to"] {
        fs::create_dir(home.path().join(place)).unwrap();
    }
    home
}

/// What is found in a place.
fn found(home: &Path, place: &str) -> BTreeSet<&'static str> {
    let names = [&SAID[..], &SHOWN].concat();
    let found = Canaries(home).found(&names, &[&home.join(place)]);
    println!("  {place}: {found:?}");
    found
}

/// In a namespace of its own: a broker, two nodes, and what passes between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test starts it"]
async fn cluster() {
    let home = PathBuf::from(std::env::var(HOME).unwrap());
    let (canaries, sealed) = (Canaries(&home), std::env::var(SEALED).unwrap() == "true");
    write_log();
    eprintln!("a line of the log: {}", canaries.hex("line"));
    let capture = Capture::start(Command::new("python3"), &home);
    let server = NatsServer::start_in(&home.join("files"), "", "");
    let here = super::over_nats::node(&canaries.hex("name"), &home, &server, sealed).await;
    let there = super::over_nats::node("there", &home, &server, sealed).await;
    spawn_parrot(&there, &canaries).await;
    talk(&here, &canaries).await;
    write_figures(&here, &home).await;
    write_figures(&there, &home).await;
    server.stop_signal();
    dump(server.id(), &home.join("memory/broker"));
    server.cont();
    dump(std::process::id(), &home.join("spoken-to/nodes"));
    here.stop().await;
    there.stop().await;
    capture.stop();
}

/// A broker learns nothing: not from what passes it, not from its files, not from its memory; nor does who reads the log and the
/// figures of the nodes. Without seals the same search finds what was said.
#[test]
fn a_broker_learns_nothing() {
    let networks = match Networks::new(&["all"]) {
        Ok(networks) => networks,
        Err(why) => return println!("a broker: not tested, it needs root and namespaces: {why}"),
    };
    for sealed in [true, false] {
        let home = room();
        let home = home.path();
        let mut command = networks.command("all", &std::env::current_exe().unwrap());
        command.args(["--exact", "sealed::carried::cluster", "--ignored", "--nocapture"]);
        let ended = command.env(HOME, home).env(SEALED, sealed.to_string()).output().unwrap();
        let log = [ended.stdout, ended.stderr].concat();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&log));
        fs::write(home.join("log/nodes"), log).unwrap();
        println!("sealed: {sealed}");
        let [packets, files, memory] = ["packets", "files", "memory"].map(|place| found(home, place));
        let [log, metrics, spoken_to] = ["log", "metrics", "spoken-to"].map(|place| found(home, place));
        assert!(packets.contains("datagram") && log.contains("line") && metrics.contains("name"));
        assert!(HEARD.iter().all(|said| spoken_to.contains(said)), "memory can be read");
        if sealed {
            let carried = [packets, files, memory, log, metrics];
            assert!(carried.iter().all(|found| SAID.iter().all(|said| !found.contains(said))));
        } else {
            assert!(SAID.iter().all(|said| packets.contains(said)), "it is seen on its way");
            assert!(files.contains("waiting"), "it is seen where it waits");
            assert!(SAID.iter().any(|said| memory.contains(said)), "and in the memory of whoever carries it");
        }
    }
}

/// A node in a namespace, which does what it is told until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test starts it"]
async fn part() {
    let (home, name) = (PathBuf::from(std::env::var(HOME).unwrap()), std::env::var(NAME).unwrap());
    let canaries = Canaries(&home);
    write_log();
    let mut config = Config::in_memory();
    config.name = name.clone();
    config.libp2p.listen = Some("/ip4/0.0.0.0/tcp/4001".to_owned());
    config.libp2p.relays = std::env::var(RELAYS).ok();
    if name == "relay" {
        eprintln!("a line of the log: {}", canaries.hex("line"));
        config.name = canaries.hex("name");
        config.libp2p.announce = Some(format!("/ip4/{RELAY}/tcp/4001"));
        config.libp2p.relay = true;
    }
    let node = Node::start(config).await.unwrap();
    if name == "bob" {
        spawn_parrot(&node, &canaries).await;
    }
    println!("\nready {}", node.libp2p().unwrap().addresses().join(","));
    let mut lines = std::io::stdin().lines();
    while let Some(Ok(line)) = tokio::task::block_in_place(|| lines.next()) {
        match line.as_str() {
            "talk" => talk(&node, &canaries).await,
            _ => write_figures(&node, &home).await,
        }
        println!("\ndone");
    }
    std::process::exit(0);
}

struct Part(Child, ChildStdin, Lines<BufReader<ChildStdout>>, String);

impl Part {
    fn start(networks: &Networks, name: &str, home: &Path, relays: &str) -> Part {
        let mut command = networks.command(name, &std::env::current_exe().unwrap());
        command.args(["--exact", "sealed::carried::part", "--ignored", "--nocapture"]);
        command.env(HOME, home).env(NAME, name);
        if !relays.is_empty() {
            command.env(RELAYS, relays);
        }
        let log = File::create(home.join("log").join(name)).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut part = Part(child, input, BufReader::new(output).lines(), String::new());
        part.3 = part.line("ready ");
        part
    }

    fn line(&mut self, begin: &str) -> String {
        let mut lines = self.2.by_ref().map_while(Result::ok);
        lines.find_map(|line| line.strip_prefix(begin).map(str::to_owned)).expect("it says so")
    }

    fn told(&mut self, line: &str) {
        writeln!(self.1, "{line}").unwrap();
        self.line("done");
    }

    fn dump(&self, into: &Path) {
        let id = self.0.id().to_string();
        let signal = |signal: &str| {
            assert!(Command::new("kill").args([signal, id.as_str()]).status().unwrap().success())
        };
        signal("-STOP");
        dump(self.0.id(), into);
        signal("-CONT");
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two networks with a relay in between, and no way from one to the other.
fn apart() -> Result<Networks, String> {
    let networks = Networks::new(&["ada", "bob", "relay"])?;
    networks.within("relay", &["sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward"])?;
    networks.within("relay", &["ip", "addr", "add", &format!("{RELAY}/32"), "dev", "lo"])?;
    for (net, private) in [(1, "ada"), (2, "bob")] {
        let [here, there] = [1, 2].map(|last| format!("10.{net}.0.{last}/30"));
        networks.link([(private, "relay", Some(&here)), ("relay", private, Some(&there))])?;
        networks.within(private, &["ip", "route", "add", RELAY, "via", there.trim_end_matches("/30")])?;
    }
    Ok(networks)
}

/// A relay learns nothing, from what passes it or in its memory; nor does who reads anybody's log and figures.
#[test]
fn a_relay_learns_nothing() {
    let networks = match apart() {
        Ok(networks) => networks,
        Err(why) => return println!("a relay: not tested, it needs root and namespaces: {why}"),
    };
    let home = room();
    let home = home.path();
    let capture = Capture::start(networks.command("relay", Path::new("python3")), home);
    let mut relay = Part::start(&networks, "relay", home, "");
    let mut bob = Part::start(&networks, "bob", home, &relay.3);
    let mut ada = Part::start(&networks, "ada", home, &relay.3);
    ada.told("talk");
    for part in [&mut ada, &mut bob, &mut relay] {
        part.told("figures");
    }
    relay.dump(&home.join("memory/relay"));
    bob.dump(&home.join("spoken-to/bob"));
    drop((ada, bob, relay));
    capture.stop();
    let [packets, memory, spoken_to] = ["packets", "memory", "spoken-to"].map(|place| found(home, place));
    let [log, metrics] = ["log", "metrics"].map(|place| found(home, place));
    assert!(HEARD.iter().all(|said| spoken_to.contains(said)), "memory can be read");
    assert_eq!(packets, BTreeSet::from(["datagram"]));
    assert!(memory.contains("name") && log.contains("line") && metrics.contains("name"));
    assert!([memory, log, metrics].iter().all(|found| SAID.iter().all(|said| !found.contains(said))));
}
