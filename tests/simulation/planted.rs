//! Bugs on purpose: the checks find each of them, so they would find one that nobody planted.

use connectome::Planted;

use super::run::run_with;

/// Seeds that may be needed.
const SEEDS_MAX: u64 = 2_000;

/// Plays seeds until the bug shows.
fn find(bug: Planted, sign: &str) {
    for seed in 1..=SEEDS_MAX {
        let problems = run_with(seed, Some(bug)).problems;
        if let Some(found) = problems.iter().find(|problem| problem.contains(sign)) {
            println!("{bug:?} is found at seed {seed}: {found}");
            return;
        }
    }
    panic!("{bug:?} was not found within {SEEDS_MAX} seeds");
}

/// A message that was acknowledged and dropped is missed.
#[test]
fn a_lost_acknowledged_message_is_found() {
    find(Planted::LosesAcknowledged, "was acknowledged and is missing");
}

/// Two attempts under one term are seen.
#[test]
fn a_reused_term_is_found() {
    find(Planted::ReusesTerm, "had term");
}

/// A message that was applied twice is seen.
#[test]
fn a_message_applied_twice_is_found() {
    find(Planted::AppliesTwice, "stands before");
}

/// Messages that changed places are seen, or missed.
#[test]
fn reordered_messages_are_found() {
    find(Planted::Reorders, "ledger-");
}
