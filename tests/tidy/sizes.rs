//! Files and functions that can be read in one sitting.
//!
//! The good ones sit near 200 lines a file and seven a function; these are the bounds, not the aim. `cargo test -p
//! connectome-tests longest -- --nocapture` prints the longest of each.

use super::code::functions;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

/// Past this a file has two ideas.
const FILE_MAX: usize = 480;

/// Past this a function that is shipped does not fit on a screen. (Tables of cases may be as long as their cases.)
const FUNCTION_MAX: usize = 60;

/// Longer files, how long each may be, and why it is one idea all the same.
const LONGER: &[(&str, usize, &str)] = &[
    ("actors/src/remote.rs", 800, "one actor: what is under way to and from other nodes"),
    ("actors/src/supervisor.rs", 833, "one actor: what `protocol::restart` asks for, carried out"),
    ("actors/src/context.rs", 647, "one type: all that a handler can ask for"),
    ("actors/src/router.rs", 625, "one type: the door that every message passes"),
];

fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(|file| file_length(file).into_iter().chain(function_lengths(file))).collect()
}

fn file_length(file: &File) -> Option<Finding> {
    let length = file.text.lines().count();
    let exception = LONGER.iter().find(|(path, ..)| *path == file.path);
    let max = exception.map_or(FILE_MAX, |(_, max, _)| *max);
    if length > max {
        let wrong = format!("{length} lines; at most {max}");
        return Some(finding(file.path.clone(), wrong, "split it by noun: one idea a file, named after it"));
    }
    let wrong = format!("{length} lines: it needs no exception any more");
    let is_stale = exception.is_some() && length <= FILE_MAX;
    is_stale.then(|| finding(file.path.clone(), wrong, "take it out of the list in tests/tidy/sizes.rs"))
}

fn function_lengths(file: &File) -> Vec<Finding> {
    let long = functions(&file.shipped).into_iter().filter(|function| function.lines > FUNCTION_MAX);
    let told = long.map(|function| {
        let wrong = format!("`{}` has {} lines; at most {FUNCTION_MAX}", function.name, function.lines);
        finding(
            file.place(function.at),
            wrong,
            "keep the branching in it, and move the work into functions below",
        )
    });
    told.collect()
}

fn finding(place: String, wrong: String, cure: &'static str) -> Finding {
    Finding {
        place,
        wrong,
        why: "nobody keeps it in the head, so the next change goes on top instead of in",
        cure,
    }
}

#[test]
fn files_and_functions_are_read_in_one_sitting() {
    hold_repository_to(check);
}

/// A report, not a rule: the ten longest of each.
#[test]
fn longest() {
    let tree = Tree::repository();
    let mut files: Vec<_> = tree.rust().map(|file| (file.text.lines().count(), file.path.clone())).collect();
    let all = tree
        .rust()
        .flat_map(|file| functions(&file.shipped).into_iter().map(move |function| (file, function)));
    let mut lengths: Vec<_> = all
        .map(|(file, function)| (function.lines, format!("{} {}", file.place(function.at), function.name)))
        .collect();
    files.sort();
    lengths.sort();
    let median = |all: &[(usize, String)]| all[all.len() / 2].0;
    println!(
        "files: {}, median {} lines; functions: {}, median {}",
        files.len(),
        median(&files),
        lengths.len(),
        median(&lengths)
    );
    for (lines, place) in files.iter().rev().take(10).chain(lengths.iter().rev().take(10)) {
        println!("{lines:5}  {place}");
    }
}

#[test]
fn long_files_and_functions_are_found() {
    let file = "//! A.\n".repeat(FILE_MAX + 1);
    let function = format!("fn short() {{}}\nfn long() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_MAX));
    assert_eq!(found(check, &[("a.rs", &file), ("c/src/b.rs", &function)]), ["a.rs", "c/src/b.rs:2"]);
}
