//! The main job as a person runs it: on a few documents, on nothing, and killed in the middle.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::nats::NatsServer;

/// Where `cargo test` has put the example that it built beside this test.
fn digest() -> Command {
    let test = std::env::current_exe().expect("a test knows where it is");
    let built =
        test.ancestors().nth(2).expect("tests lie in a directory of their profile").join("examples/digest");
    assert!(
        built.exists(),
        "{} is missing: run `cargo test` from the root, or `cargo build --examples`",
        built.display()
    );
    let mut command = Command::new(built);
    command.arg("--quiet").arg("--json");
    command
}

/// A few documents that are about something.
fn documents(count: usize) -> TempDir {
    let directory = tempfile::tempdir().expect("there is room for a few files");
    for n in 0..count {
        let topic = ["leases", "mailboxes", "supervisors", "streams"][n % 4];
        let text = format!(
            "# Notes on {topic}, part {n}\n\nThis part explains {topic} to newcomers. A reader of {topic} should know \
             number {n} first. Everything about {topic} takes patience. Whoever skips {topic} regrets it later.\n"
        );
        std::fs::write(directory.path().join(format!("{n}.md")), text)
            .expect("there is room for a few files");
    }
    directory
}

fn figure(output: &Output, name: &str) -> serde_json::Value {
    let table: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&output.stdout)));
    table[name].clone()
}

fn assert_whole(output: &Output, documents: usize, out: &Path) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(figure(output, "documents"), documents);
    assert_eq!((figure(output, "lost"), figure(output, "applied twice")), (0.into(), 0.into()));
    assert_eq!(figure(output, "same as without a cluster"), "yes, to the bit");
    for name in ["digest.md", "digest.html"] {
        let written = std::fs::read_to_string(out.join(name)).expect("it was written");
        assert!(written.contains("Notes on leases, part 0"), "{name} tells of the documents");
    }
}

/// Ten documents, an agent that panics and a node that is killed: nothing is lost, and the digest is the right one.
#[test]
fn a_few_documents() {
    let (input, out) = (documents(10), tempfile::tempdir().unwrap());
    let output = digest().arg(input.path()).arg("--out").arg(out.path()).output().unwrap();
    assert_whole(&output, 10, out.path());
    assert!(figure(&output, "agent panics survived").as_u64() >= Some(1));
    assert_eq!(figure(&output, "nodes killed"), 1);
}

/// The same in three processes over a nats-server, one of which is killed with SIGKILL.
#[test]
fn over_nats() {
    let (server, input, out) = (NatsServer::start(), documents(40), tempfile::tempdir().unwrap());
    let mut command = digest();
    command.arg(input.path()).arg("--out").arg(out.path()).args(["--nats", &server.url()]);
    let output = command.output().unwrap();
    assert_whole(&output, 40, out.path());
    assert_eq!(figure(&output, "nodes killed"), 1);
}

/// The same in three processes with nobody between them, over the store of the first one.
#[test]
fn over_libp2p() {
    let (input, out) = (documents(40), tempfile::tempdir().unwrap());
    let mut command = digest();
    let output = command.arg(input.path()).arg("--out").arg(out.path()).arg("--libp2p").output().unwrap();
    assert_whole(&output, 40, out.path());
    assert_eq!(figure(&output, "nodes killed"), 1);
}

/// Killed in the middle with SIGKILL, it goes on where it was when it is started again.
#[test]
fn killed_in_the_middle() {
    let (input, out) = (documents(60), tempfile::tempdir().unwrap());
    let mut command = digest();
    command.arg(input.path()).arg("--out").arg(out.path()).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
    let halfway = lines.map_while(Result::ok).find(|line| line.contains("was killed without warning"));
    assert!(halfway.is_some(), "half of the tasks are done at some moment");
    child.kill().unwrap();
    child.wait().unwrap();
    let output = digest().arg(input.path()).arg("--out").arg(out.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("going on with a job that was interrupted"));
    assert_whole(&output, 60, out.path());
    assert!(!out.path().join("store").exists(), "a finished job leaves no store behind");
}

fn refused(path: PathBuf) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = digest().arg(path).arg("--out").arg(out.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where there is nothing to digest, it says what is wrong and what would be right.
#[test]
fn nothing_to_digest() {
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path().to_owned()).contains("no documents below"));
    assert!(refused(empty.path().join("missing")).contains("does not exist"));
    std::fs::write(empty.path().join("image.bin"), [0, 159, 146, 150]).unwrap();
    assert!(refused(empty.path().to_owned()).contains("looked for"));
}
