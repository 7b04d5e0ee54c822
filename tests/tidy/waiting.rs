//! No test sleeps: it waits for the event, or moves the clock.

use super::code::places_of;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

const SLEEPS: &[&str] = &["sleep(", "sleep_until("];

/// Where a test sleeps all the same, and why it must.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree
        .rust()
        .filter(|file| !EXCEPTIONS.iter().any(|(path, _)| *path == file.path));
    files.flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let sleeps = SLEEPS.iter().flat_map(|word| places_of(&file.code, word));
    let in_tests = sleeps.filter(|&at| file.shipped.as_bytes().get(at) != file.code.as_bytes().get(at));
    in_tests
        .filter(|&at| !file.code[..at].ends_with("fn "))
        .map(|at| finding(file.place(at)))
        .collect()
}

fn finding(place: String) -> Finding {
    Finding {
        place,
        wrong: "a test sleeps".to_owned(),
        why: "on a busy machine the time is too short and the test fails; on an idle one it is lost",
        cure: "wait for the event itself under a timeout, or move the paused clock with `tokio::time::advance`",
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
            "tests/agents.rs",
            "#[test]\nfn f() { std::thread::sleep(SECOND); }",
        ),
        (
            "actors/src/mail.rs",
            "async fn f() { sleep(RETRY).await }\n#[cfg(test)]\nmod tests { fn g() { sleep(RETRY) } }",
        ),
    ];
    assert_eq!(
        found(check, &sample),
        ["actors/src/mail.rs:3", "tests/agents.rs:2"]
    );
}
