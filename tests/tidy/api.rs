//! Other people's types stay inside: what a user sees is ours, so a dependency can change without breaking anyone.
//!
//! It reads `pub` items up to their bodies, and the bodies of enums and traits. It does not see a type behind an alias
//! of another file, a trait implemented for one of our types, or a method that an inner `pub` type brings along.

use super::code::{closing, places_of};
use super::tree::{File, Tree};
use super::uses::imports;
use super::{Finding, found, hold_repository_to};

/// Crates that may be replaced, or whose versions break each other.
const FOREIGN: &[&str] = &["ractor", "async_nats", "libp2p", "fjall"];

fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_below(&["codecs/src/", "actors/src/", "runtime/src/"]).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let foreign = foreign_names(&file.shipped);
    let items = places_of(&file.shipped, "pub ").into_iter().map(|at| (at, item(&file.shipped, at)));
    let leaks = items.filter_map(|(at, item)| {
        let name = foreign.iter().find(|name| !places_of(item, name).is_empty())?;
        Some(finding(file.place(at), name))
    });
    leaks.collect()
}

/// The crates themselves, and what the file imports from them.
fn foreign_names(code: &str) -> Vec<String> {
    let is_foreign = |path: &String| FOREIGN.iter().any(|name| path.starts_with(&format!("{name}::")));
    let imported = imports(code).into_iter().map(|(_, path)| path).filter(is_foreign);
    let names = imported.filter_map(|path| path.rsplit_once("::").map(|(_, name)| name.to_owned()));
    names.chain(FOREIGN.iter().map(|name| format!("{name}::"))).collect()
}

/// A public item without the body that is nobody's business.
fn item(code: &str, at: usize) -> &str {
    let is_import = code[at..].starts_with("pub use");
    let shows_body = ["pub enum", "pub trait"].iter().any(|kind| code[at..].starts_with(kind));
    let ends: &[char] = if is_import { &[';'] } else { &[';', '{', '}', '='] };
    let end = code[at..].find(ends).map_or(code.len(), |length| at + length);
    &code[at..if shows_body { closing(code, end) } else { end }]
}

fn finding(place: String, name: &str) -> Finding {
    Finding {
        place,
        wrong: format!("`{}` in a public item", name.trim_end_matches(':')),
        why: "their next version would be a break of ours",
        cure: "make the item `pub(crate)`, or give it a type of ours",
    }
}

#[test]
fn other_peoples_types_stay_inside() {
    hold_repository_to(check);
}

#[test]
fn leaks_are_found_in_signatures_fields_enums_and_exports() {
    let sample = [(
        "runtime/src/node.rs",
        "use ractor::ActorRef;\npub fn f(a: u8) -> ActorRef<u8> { ractor::x() }\npub struct S {\n    pub a: ractor::ActorCell,\n    b: ActorRef<u8>,\n}\npub(crate) fn g(a: ActorRef<u8>) {}\npub enum E {\n    A(ActorRef<u8>),\n}\npub use libp2p::{PeerId};\npub fn h() { ractor::x() }\n",
    )];
    let lines: Vec<String> = [2, 4, 8, 11].map(|line| format!("runtime/src/node.rs:{line}")).into();
    assert_eq!(found(check, &sample), lines);
}
