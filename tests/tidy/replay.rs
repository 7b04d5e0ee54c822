//! Nothing that a seed can't replay, and nothing without a bound.
//!
//! Most of it is in `clippy.toml`; here is what a list of methods can't say.

use super::code::places_of;
use super::tree::{File, Tree};
use super::uses::shipped_mentions;
use super::{Finding, found, hold_repository_to};

const UNBOUNDED: &[&str] =
    &["unbounded_channel", "UnboundedSender", "mpsc::unbounded", "flume::unbounded", "channel::unbounded"];
const NAMED: &[&str] = &["Actor::spawn(Some", "Actor::spawn_linked(Some", "spawn_named"];

/// What is never replayed from a seed: programs, and our peers in the benches.
const PROGRAMS: &[&str] = &["benches/", "examples/", "runtime/src/bin/"];

fn check(tree: &Tree) -> Vec<Finding> {
    let ours = tree.rust().filter(|file| !file.path.starts_with("benches/"));
    ours.flat_map(|file| {
        [chance(file), of(file, UNBOUNDED, has_no_bound), of(file, NAMED, is_named), stops_its_thread(file)]
            .concat()
    })
    .collect()
}

fn chance(file: &File) -> Vec<Finding> {
    let is_program = PROGRAMS.iter().any(|place| file.path.starts_with(place));
    let choices = places_of(&file.code, "select! {").into_iter().filter(|&at| !is_biased(&file.code, at));
    choices.filter(|_| !is_program).map(|at| rolls_dice(file.place(at))).collect()
}

fn of(file: &File, words: &[&str], finding: fn(String) -> Finding) -> Vec<Finding> {
    let places = words.iter().flat_map(|word| places_of(&file.code, word));
    places.map(|at| finding(file.place(at))).collect()
}

/// The queues of the standard library are for threads.
fn stops_its_thread(file: &File) -> Vec<Finding> {
    let mentions = shipped_mentions(file, &["std::sync::mpsc"]);
    mentions.into_iter().map(|(place, _)| has_no_bound(place)).collect()
}

fn is_biased(code: &str, at: usize) -> bool {
    code[at + "select! {".len()..].trim_start().starts_with("biased;")
}

fn rolls_dice(place: String) -> Finding {
    Finding {
        place,
        wrong: "`select!` without `biased;`".to_owned(),
        why: "it chooses by chance among what is ready, and the same seed gives other events",
        cure: "write `biased;` first, and the branches in the order that should win",
    }
}

fn has_no_bound(place: String) -> Finding {
    Finding {
        place,
        wrong: "a queue without a bound".to_owned(),
        why: "it grows until memory ends, on the day that is busy anyway",
        cure: "use a channel with a named bound that says why that number",
    }
}

fn is_named(place: String) -> Finding {
    Finding {
        place,
        wrong: "a ractor actor with a name".to_owned(),
        why: "ractor's names belong to the process: a second node in it could not start",
        cure: "spawn it with `None`; agents have their names in the node's registry",
    }
}

#[test]
fn everything_can_be_replayed_and_has_a_bound() {
    hold_repository_to(check);
}

#[test]
fn chance_names_and_queues_without_bounds_are_found() {
    let sample = [(
        "actors/src/cell.rs",
        "tokio::select! {\n    biased;\n    x = a() => {}\n}\ntokio::select! {\n    x = a() => {}\n}\nlet (a, b) = mpsc::unbounded_channel();\nractor::Actor::spawn(Some(name), A, ());\n",
    )];
    assert_eq!(
        found(check, &sample),
        ["actors/src/cell.rs:5", "actors/src/cell.rs:8", "actors/src/cell.rs:9"]
    );
}
