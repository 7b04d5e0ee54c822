//! `connectome node`: it starts, holds its store, and goes when it is asked to.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::support::{command, run};

/// A node prints who and where it is, keeps its store to itself, and stops gracefully when it is asked to.
#[test]
fn a_node_runs_until_it_is_asked_to_stop() {
    for signal in ["-TERM", "-INT"] {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().to_str().unwrap();
        let (mut node, lines) = start(path);
        assert!(lines[0].starts_with("node") && lines[0].contains("node:z6Mk"), "{lines:?}");
        assert!(lines[1].starts_with("store") && lines[1].ends_with("/streams"), "{lines:?}");

        let error = run(&["stream", "ls", "--store", path]).bad(1);
        assert!(error.contains("in use") && error.contains(path), "{error}");
        let error = run(&["node", "--set", &format!("data_dir={path}"), "--set", "log.filter=off"]).bad(1);
        assert!(error.contains("in use"), "{error}");

        kill(signal, &node);
        assert_eq!(node.wait().unwrap().code(), Some(0));
        let events = run(&["event", "ls", "--store", path, "--json"]).json();
        let types: Vec<_> = events.as_array().unwrap().iter().map(|event| &event["type"]).collect();
        assert_eq!(types, ["SYSTEM_READY", "SYSTEM_SHUTDOWN"]);
    }
}

/// A process that holds keys leaves no core dump.
#[cfg(target_os = "linux")]
#[test]
fn a_node_leaves_no_core_dump() {
    let data = tempfile::tempdir().unwrap();
    let (mut node, _) = start(data.path().to_str().unwrap());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    kill("-TERM", &node);
    node.wait().unwrap();
}

/// A node that is killed without warning leaves a store that can be read, and does not take its name with it.
#[test]
fn a_killed_node_leaves_its_store_whole() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let (mut node, first) = start(path);
    kill("-KILL", &node);
    node.wait().unwrap();
    assert!(run(&["stream", "ls", "--store", path]).good().contains("SYSTEM_EVENTS"));
    let (mut node, second) = start(path);
    assert_eq!(first[0], second[0]);
    kill("-TERM", &node);
    assert_eq!(node.wait().unwrap().code(), Some(0));
}

/// A store that a node serves is looked into while the node runs, by who has its root key.
#[cfg(feature = "libp2p")]
#[test]
fn a_served_store_is_looked_into() {
    let data = tempfile::tempdir().unwrap();
    let setting = format!("data_dir={}", data.path().to_str().unwrap());
    let serving = ["libp2p.listen=/ip4/127.0.0.1/tcp/0", "libp2p.store=serve", "log.filter=connectome=info"];
    let mut arguments = vec!["node", "--set", &setting];
    arguments.extend(serving.iter().flat_map(|setting| ["--set", setting]));
    let mut node = command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(node.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = log.find(|line| line.contains("can be dialled")).expect("it says where it can be dialled");
    let at = told.split(['"', ' ', '=']).find(|word| word.starts_with("/ip4/")).expect("there is an address");

    let at = format!("libp2p.store={at}");
    let looked = |what: &[&str]| run(&[what, &["--set", &setting, "--set", &at]].concat());
    assert!(looked(&["stream", "ls"]).good().contains("AGENT_MESSAGES"));
    assert!(looked(&["dead", "ls"]).good().contains("no dead letters"));
    let events = looked(&["event", "ls", "--json"]).json();
    assert_eq!(events[0]["type"], "SYSTEM_READY");
    kill("-TERM", &node);
    drop(log);
    assert_eq!(node.wait().unwrap().code(), Some(0));
}

/// A configuration that is wrong, or a directory that is somebody else's, is told and changes nothing.
#[test]
fn a_node_that_cannot_start_says_why() {
    let error = run(&["node", "--set", "call_timeout=never"]).bad(1);
    assert!(error.contains("call_timeout"), "{error}");
    let error = run(&["node", "--set", "log.filter=connectome=loud"]).bad(1);
    assert!(error.contains("loud"), "{error}");
    let theirs = tempfile::tempdir().unwrap();
    std::fs::create_dir(theirs.path().join("streams")).unwrap();
    std::fs::write(theirs.path().join("streams/precious"), "theirs").unwrap();
    let setting = format!("data_dir={}", theirs.path().to_str().unwrap());
    let error = run(&["node", "--set", &setting, "--set", "log.filter=off"]).bad(1);
    assert!(error.contains("not a Connectome store"), "{error}");
}

/// Starts a node, and waits until it has said who it is.
fn start(path: &str) -> (Child, Vec<String>) {
    let mut command: Command = command(&["node", "--set", &format!("data_dir={path}")]);
    let mut node = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines().take(2).map(Result::unwrap).collect();
    (node, lines)
}

fn kill(signal: &str, node: &Child) {
    let killed = Command::new("kill").args([signal, &node.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// A node on its own can't be asked how it is; whoever tries is told what can be done.
#[test]
fn a_node_on_its_own_cannot_be_asked() {
    let error = run(&["status"]).bad(1);
    assert!(error.contains("nats.url") && error.contains("log.status_every"), "{error}");
    let error = run(&["status", "--set", "nats.url=127.0.0.1:1"]).bad(1);
    assert!(error.contains("NATS_URL") && error.contains("127.0.0.1:1"), "{error}");
}
