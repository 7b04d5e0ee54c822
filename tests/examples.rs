//! Every example, run as a user runs it, prints what it is meant to print.
//!
//! The executables are those that Cargo built beside this test: it builds a package's examples before it runs its tests.

#![allow(clippy::unwrap_used, reason = "a test that fails there has found something")]

use std::env::consts::EXE_EXTENSION;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The smallest agent answers.
#[test]
fn hello() {
    prints("hello", &["hello Ada, from greeter\n"]);
}

/// An agent is found, called, referred to and streamed from, on another node.
#[test]
fn two_nodes() {
    prints(
        "two_nodes",
        &[
            "plato has thought about the good\n",
            "hypatia has thought about cones, as plato was told\n",
            "  sing\n  goddess\n  the\n  wrath\n",
            "4 words from another node\n",
        ],
    );
}

/// A crash takes along who was started later; a poisoned message is set aside; every message is accounted for.
#[test]
fn supervised() {
    let wanted = [
        "the parser reads 21.5\n",
        "the caller was told: the agent crashed while handling the message: \"cold\" is no number\n",
        "a message was set aside after 3 attempts: \"warm\" is no number\n",
        "the parser reads 19\n",
        "reader: life 1\n",
        "parser: life 1, crashed: \"cold\" is no number, life 2, crashed: \"warm\" is no number, ",
        "life 3, crashed: \"warm\" is no number, life 4, crashed: \"warm\" is no number, life 5\n",
        "display: life 1, shutdown, life 2, shutdown, life 3, shutdown, life 4, shutdown, life 5\n",
        "accepted 3 = handled 2 + given up 1 + pending 0\n",
    ];
    prints("supervised", &wanted);
}

/// Tasks outlive the node that was at work on them, and their results the cluster.
#[test]
fn durable_task() {
    prints(
        "durable_task",
        &[
            "a node was killed in the middle of task 3\n",
            "task 1: 1, by the first worker, attempt 1\n",
            "task 2: 4, by the first worker, attempt 1\n",
            "task 3: 9, by the second worker, attempt 2\n",
            "task 4: 16, by the second worker, attempt 1\n",
            "task 5: 25, by the second worker, attempt 1\n",
            "kept: 1\nkept: 4\nkept: 9\nkept: 16\nkept: 25\n",
        ],
    );
}

/// An agent that several nodes offer outlives the death of one owner and the leave of the next, with what it keeps.
#[test]
fn failover() {
    prints(
        "failover",
        &[
            "10 in the till, under term 1\n",
            "its node is killed\n",
            "20 in the till, under term 2\n",
            "its node leaves\n",
            "30 in the till, under term 3\n",
        ],
    );
}

/// The executable of an example: beside `deps/`, where this test is. `--test` alone builds no examples, so it may be old.
fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("a test lies in target/<profile>/deps");
    let built = profile.join("examples").join(name).with_extension(EXE_EXTENSION);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).with_extension("rs");
    let changed = |path: &Path| path.metadata().and_then(|known| known.modified()).ok();
    assert!(
        changed(&built) > changed(&source),
        "{} is missing or older than its source: `cargo test -p connectome-examples` builds it",
        built.display()
    );
    built
}

#[track_caller]
fn prints(name: &str, wanted: &[&str]) {
    let output = Command::new(executable(name)).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted.concat(), "{errors}");
}
