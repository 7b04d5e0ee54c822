//! No test sleeps: it waits for the event, or moves the clock.
//!
//! On a paused clock a sleep moves it, and takes no time. That a clock is paused is seen by the file: it says
//! `start_paused`, or it belongs to the simulator.

use super::code::places_of;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

const SLEEPS: &[&str] = &["sleep(", "sleep_until("];

/// Stops the thread, whatever the clock.
const THREAD_SLEEPS: &str = "thread::sleep(";

/// Where the time is virtual.
const VIRTUAL: &[&str] = &["tests/simulation/", "runtime/src/sim"];

/// Where a test sleeps all the same, and why it must.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("tests/agents/accounts.rs", "handlers and senders take turns by chance; nothing is waited for"),
    ("tests/agents/lifecycle.rs", "a handler that blocks its thread is what is tested"),
    (
        "tests/agents/support.rs",
        "`until` looks again and again for what has no event, and gives up with a panic",
    ),
    ("tests/durable/apart.rs", "the same; a link stays cut for a while, and a sender keeps a pace"),
    ("tests/libp2p/both_ways.rs", "calls go on at a pace for as long as a server is away"),
    ("tests/ownership/support.rs", "the same, and a desk that takes its time"),
    ("tests/registration/support.rs", "the same, also for what a store is asked"),
    ("tests/nats/deploy.rs", "`until` asks servers again and again until they agree"),
    (
        "tests/nats/failover.rs",
        "a caller tries again and again, as callers do, and the time it takes is measured",
    ),
];

fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.rust().filter(|file| !EXCEPTIONS.iter().any(|(path, _)| *path == file.path));
    files.flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let code = &file.code;
    let sleeps = SLEEPS.iter().flat_map(|word| places_of(code, word));
    let in_tests = sleeps.filter(|&at| file.shipped.as_bytes().get(at) != code.as_bytes().get(at));
    let calls = in_tests.filter(|&at| !code[..at].ends_with("fn "));
    let real =
        calls.filter(|&at| !moves_the_clock(file) || code[..at + "sleep(".len()].ends_with(THREAD_SLEEPS));
    real.map(|at| finding(file.place(at))).collect()
}

fn moves_the_clock(file: &File) -> bool {
    file.code.contains("start_paused") || VIRTUAL.iter().any(|place| file.path.starts_with(place))
}

fn finding(place: String) -> Finding {
    Finding {
        place,
        wrong: "a test sleeps".to_owned(),
        why: "on a busy machine the time is too short and the test fails; on an idle one it is lost",
        cure: "wait for the event itself under a timeout, or pause the clock and move it",
    }
}

#[test]
fn no_test_sleeps() {
    hold_repository_to(check);
}

#[test]
fn a_sleeping_test_is_found() {
    let sample = [
        (
            "actors/src/mail.rs",
            "async fn f() { sleep(RETRY).await }\n#[cfg(test)]\nmod tests { fn g() { sleep(RETRY) } }",
        ),
        ("tests/agents.rs", "#[test]\nfn f() { std::thread::sleep(SECOND); }"),
        (
            "tests/clock.rs",
            "#[tokio::test(start_paused = true)]\nasync fn f() {\n    sleep(DAY).await;\n    thread::sleep(DAY);\n}",
        ),
    ];
    assert_eq!(found(check, &sample), ["actors/src/mail.rs:3", "tests/agents.rs:2", "tests/clock.rs:4"]);
}
