//! What is said (`codecs`) and what is decided (`actors/src/protocol`) do not wait, look at a clock, roll dice or touch
//! the world: time and randomness are arguments.

use super::code::places_of;
use super::tree::{File, Tree};
use super::uses::shipped_mentions;
use super::{Finding, found, hold_repository_to};

const PURE: &[&str] = &["codecs/src/", "actors/src/protocol/", "actors/src/protocol.rs"];

/// What would make the same inputs give other outputs, or none.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures_util",
    "ractor",
    "rand",
    "getrandom",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "dashmap",
    "parking_lot",
    "tracing",
];

/// The same, as words of the language.
const WAITING: &[&str] = &["async fn", "async move", ".await", "println!", "eprintln!"];

fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_below(PURE).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let mentions = shipped_mentions(file, IMPURE);
    let words =
        WAITING.iter().flat_map(|&word| places_of(&file.shipped, word).into_iter().map(move |at| (at, word)));
    let words = words.map(|(at, word)| (file.place(at), word));
    mentions.into_iter().chain(words).map(|(place, what)| finding(place, what)).collect()
}

fn finding(place: String, what: &str) -> Finding {
    Finding {
        place,
        wrong: format!("`{what}` in code that must be pure"),
        why: "the same inputs at the same instants must give the same outputs: in a test, in the simulator, on a node",
        cure: "make it an argument (`Now`, `Dice`), an `Action` that the actor around it carries out, or a BTreeMap",
    }
}

#[test]
fn what_is_decided_touches_no_world() {
    hold_repository_to(check);
}

#[test]
fn impure_code_is_found_outside_its_tests() {
    let sample = [
        ("actors/src/protocol/task.rs", "use std::{collections::{BTreeMap, HashMap}};\nasync fn f() {}"),
        ("codecs/src/id.rs", "fn f() { tokio::spawn(g()) }\n#[cfg(test)]\nmod tests { use tokio::time; }"),
        ("actors/src/router.rs", "use tokio::time;"),
    ];
    assert_eq!(
        found(check, &sample),
        ["actors/src/protocol/task.rs:1", "actors/src/protocol/task.rs:2", "codecs/src/id.rs:1"]
    );
}
