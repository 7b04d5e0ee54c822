//! The same seed tells the same story, in one process and over two.

use std::process::Command;

use super::run::run;

/// Seeds that are compared over two processes.
const SEEDS: u64 = 50;

/// What tells a process that it is the second one: where to put its log, and the seeds.
const LOGS: &str = "SIM_LOGS";

/// Twice in one process.
#[test]
fn the_same_seed_twice_is_the_same_log() {
    compare(7, &run(7).log, &run(7).log);
}

/// Fifty seeds in two processes each, byte for byte.
#[test]
fn fifty_seeds_are_the_same_in_another_process() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begin = |logs: &tempfile::TempDir| {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--exact", "simulation::same::in_a_process_of_its_own", "--ignored"]);
        test.env(LOGS, logs.path()).stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let (mut first, mut second) = (begin(&one), begin(&other));
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    for seed in 1..=SEEDS {
        let read =
            |logs: &tempfile::TempDir| std::fs::read_to_string(logs.path().join(seed.to_string())).unwrap();
        compare(seed, &read(&one), &read(&other));
    }
}

/// Not a test of its own: the other side of the one above.
#[test]
#[ignore = "is started by fifty_seeds_are_the_same_in_another_process"]
fn in_a_process_of_its_own() {
    let Ok(logs) = std::env::var(LOGS) else { return };
    for seed in 1..=SEEDS {
        std::fs::write(std::path::Path::new(&logs).join(seed.to_string()), run(seed).log).unwrap();
    }
}

/// Shows the first line that differs.
fn compare(seed: u64, one: &str, other: &str) {
    if one == other {
        return;
    }
    let differs = one.lines().zip(other.lines()).position(|(one, other)| one != other);
    let line = differs.unwrap_or_else(|| one.lines().count().min(other.lines().count()));
    let show = |log: &str| log.lines().nth(line).unwrap_or("(the end)").to_owned();
    panic!("seed {seed} differs in line {}:\n  {}\n  {}", line + 1, show(one), show(other));
}
