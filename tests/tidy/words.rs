//! What stands in files: the first line, what was left behind, how wide a line is, and paths that only one machine has.

use super::code::{is_word, places_of};
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

/// Fits two files side by side on one screen. Markdown is read as it is set, and has no width.
const WIDTH_MAX: usize = 132;

/// The one file that names what no other may say.
const OURSELVES: &str = "tests/tidy/words.rs";

/// Marks of work that is not done, and macros that stand for it.
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK", "WIP", "todo!", "unimplemented!", "dbg!"];

/// Homes, and places where people work: what begins with one of these is nowhere else.
const ONE_MACHINE: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "/tmp/wt", "C:\\Users"];

/// Words that praise and say nothing.
const EMPTY: &[&str] = &[
    "blazing",
    "blazingly",
    "seamless",
    "seamlessly",
    "cutting-edge",
    "world-class",
    "enterprise-grade",
    "game-changing",
    "effortless",
    "effortlessly",
    "revolutionary",
    "state-of-the-art",
    "lorem ipsum",
];

fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.files.iter().filter(|file| file.path != OURSELVES && file.path != "Cargo.lock");
    let text = files.filter(|file| !file.text.is_empty());
    text.flat_map(|file| {
        [first_line(file), leftovers(file), machines(file), praise(file), width(file)].concat()
    })
    .collect()
}

fn first_line(file: &File) -> Vec<Finding> {
    let misses = file.path.ends_with(".rs") && !file.text.starts_with("//!");
    let finding = finding(
        format!("{}:1", file.path),
        "it does not begin with `//!`".to_owned(),
        "a newcomer who opens it can't tell what it is for",
        "say in the first line what it is; then what it does not do, and where to look next",
    );
    if misses { vec![finding] } else { vec![] }
}

fn leftovers(file: &File) -> Vec<Finding> {
    of(file, LEFTOVERS, |place, word| {
        let why = "it tells a reader that something is missing, and nobody that it will come";
        finding(
            place,
            format!("`{word}` was left behind"),
            why,
            "do it now, or open an issue and take the mark out",
        )
    })
}

fn machines(file: &File) -> Vec<Finding> {
    let places = ONE_MACHINE.iter().flat_map(|path| file.text.match_indices(path));
    let absolute = places.filter(|&(at, _)| at == 0 || !is_part_of_path(file.text.as_bytes()[at - 1]));
    let told = absolute.map(|(at, path)| {
        let why = "it is nowhere else";
        finding(
            file.place(at),
            format!("`{path}`: a path of one machine"),
            why,
            "use a path from the root of the repository",
        )
    });
    told.collect()
}

/// `benches/work/` and `https://…/home/` are no homes.
fn is_part_of_path(before: u8) -> bool {
    is_word(before) || matches!(before, b'.' | b'-' | b'}' | b'>' | b'$' | b'*' | b'/')
}

fn praise(file: &File) -> Vec<Finding> {
    let is_prose = file.path.ends_with(".md") || file.path.ends_with(".rs") || file.path.ends_with(".toml");
    let words = if is_prose { EMPTY } else { &[] };
    of(file, words, |place, word| {
        finding(
            place,
            format!("`{word}`"),
            "it praises and says nothing",
            "say what it does, with a number if there is one",
        )
    })
}

fn of(file: &File, words: &[&str], finding: fn(String, &str) -> Finding) -> Vec<Finding> {
    let places =
        words.iter().flat_map(|&word| places_of(&file.text, word).into_iter().map(move |at| (at, word)));
    places.map(|(at, word)| finding(file.place(at), word)).collect()
}

fn width(file: &File) -> Vec<Finding> {
    let has_width = file.path.ends_with(".rs");
    let lines =
        file.text.lines().enumerate().filter(|(_, line)| has_width && line.chars().count() > WIDTH_MAX);
    let wide = lines.filter(|(_, line)| !can_not_be_broken(line));
    let told = wide.map(|(number, line)| {
        let wrong = format!("a line of {} characters; at most {WIDTH_MAX}", line.chars().count());
        let why = "two files no longer fit side by side";
        finding(format!("{}:{}", file.path, number + 1), wrong, why, "break it, or say less")
    });
    told.collect()
}

/// Rows of tables, addresses, and text between quotes.
fn can_not_be_broken(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("//!").trim_start_matches("///").trim_start();
    line.starts_with('|') || line.contains("://") || line.contains('"')
}

fn finding(place: String, wrong: String, why: &'static str, cure: &'static str) -> Finding {
    Finding { place, wrong, why, cure }
}

#[test]
fn files_begin_with_a_word_and_end_without_leftovers() {
    hold_repository_to(check);
}

#[test]
fn a_missing_first_line_is_found() {
    assert_eq!(found(check, &[("codecs/src/id.rs", "use std::fmt;\n")]), ["codecs/src/id.rs:1"]);
}

#[test]
fn leftovers_are_found_in_code_and_prose() {
    let sample = [
        ("a.rs", "//! A.\n// TODO: later\nfn f() { todo!() }\n"),
        ("b.md", "A\n\nFIXME\nTODOS"),
        ("run", "# XXX"),
    ];
    assert_eq!(found(check, &sample), ["a.rs:2", "a.rs:3", "b.md:3", "run:1"]);
}

#[test]
fn paths_of_one_machine_are_found() {
    let sample = [("a.md", "see /root/x\nsee benches/work/x\n"), ("run", "cd /home/ada\ncd \"$home/work/\"")];
    assert_eq!(found(check, &sample), ["a.md:1", "run:1"]);
}

#[test]
fn praise_and_wide_lines_are_found() {
    let wide = format!("//! {}\nfn f() {{}}\n// {}\n", "é ".repeat(70), "x".repeat(116));
    let sample = [("README.md", "fast\nblazingly fast\n"), ("a.rs", &wide)];
    assert_eq!(found(check, &sample), ["README.md:2", "a.rs:1"]);
}
