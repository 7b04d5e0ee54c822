//! No static holds state: many nodes fit in one process and share nothing.

use super::code::places_of;
use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

/// Where a task may know of where it runs; nothing outlives the poll that set it.
const EXCEPTIONS: &[&str] = &["actors/src/scope.rs"];

const MACROS: &[&str] = &["thread_local!", "task_local!", "lazy_static!"];

fn check(tree: &Tree) -> Vec<Finding> {
    let files = tree.rust_below(&["codecs/src/", "actors/src/", "actors/derive/src/", "runtime/src/"]);
    files.filter(|file| !EXCEPTIONS.contains(&file.path.as_str())).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let statics = places_of(&file.shipped, "static ").into_iter().filter(|&at| is_item(&file.shipped, at));
    let locals = MACROS.iter().flat_map(|name| places_of(&file.shipped, name));
    statics.chain(locals).map(|at| finding(file.place(at))).collect()
}

/// `static NAME`, and not the lifetime `'static` or a closure.
fn is_item(code: &str, at: usize) -> bool {
    let name = code[at + "static ".len()..].trim_start_matches("mut ");
    !code[..at].ends_with('\'') && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
}

fn finding(place: String) -> Finding {
    Finding {
        place,
        wrong: "a static, or a local of a thread or a task".to_owned(),
        why: "two nodes in one process would share it, and a seed would no longer say what happens",
        cure: "let the node own it and hand it down; a value that never changes is a `const`",
    }
}

#[test]
fn no_static_holds_state() {
    hold_repository_to(check);
}

#[test]
fn statics_and_locals_are_found() {
    let sample = [
        ("runtime/src/node.rs", "fn f(a: &'static str) {}\npub static mut COUNT: u64 = 0;\n"),
        ("actors/src/cell.rs", "thread_local! {\n    static HERE: u8 = 0;\n}"),
        ("actors/src/scope.rs", "tokio::task_local! { static PLACE: u8; }"),
    ];
    assert_eq!(
        found(check, &sample),
        ["actors/src/cell.rs:2", "actors/src/cell.rs:1", "runtime/src/node.rs:2"]
    );
}
