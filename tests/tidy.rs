//! The invariants that no compiler keeps, kept by reading the repository.
//!
//! A rule is a function from a [`Tree`] of files to what it finds wrong, in a file of its own; beside it stand the test
//! that holds the repository to it and the tests that show it finds what it should. Rules read text, not types: what a
//! rule can't see, its first lines say. What a lint of clippy can see is in `clippy.toml`, not here.
//!
//! | rule | what it keeps |
//! |---|---|
//! | [`layers`] | dependencies run one way |
//! | [`purity`] | what is said and what is decided touch no world |
//! | [`io`] | the world is touched in few places; below the ports there is no key |
//! | [`state`] | no static holds state |
//! | [`api`] | other people's types stay inside |
//! | [`replay`] | nothing that a seed can't replay, nothing without a bound |
//! | [`waiting`] | no test sleeps |
//! | [`words`] | first lines, leftovers, widths, paths of one machine |
//! | [`sizes`] | files and functions that can be read in one sitting |
//! | [`dependencies`] | each has a reason, a user and one place |
//! | [`lock`] | no version that is known to be bad, no crate twice |
//! | [`links`] | what a document points at is there |
//! | [`commands`] | what a document tells to run can be run |

mod api;
mod code;
mod commands;
mod dependencies;
mod io;
mod layers;
mod links;
mod lock;
mod purity;
mod replay;
mod sizes;
mod state;
mod tree;
mod uses;
mod waiting;
mod words;

use std::fmt;
use std::sync::LazyLock;

use tree::Tree;

/// Something in the repository that breaks a rule.
#[derive(Clone)]
struct Finding {
    /// The file, and the line where there is one.
    place: String,
    wrong: String,
    /// What is lost when it stays.
    why: &'static str,
    cure: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.place, self.wrong)?;
        writeln!(f, "    why: {}", self.why)?;
        write!(f, "    do:  {}", self.cure)
    }
}

/// A rule: what it finds wrong in a tree.
type Rule = fn(&Tree) -> Vec<Finding>;

/// Fails with every finding of a rule in the repository, which is read once for all rules.
fn hold_repository_to(rule: Rule) {
    static REPOSITORY: LazyLock<Tree> = LazyLock::new(Tree::repository);
    let told: Vec<String> = rule(&REPOSITORY).iter().map(Finding::to_string).collect();
    assert!(told.is_empty(), "{} found:\n\n{}\n", told.len(), told.join("\n\n"));
}

/// The places that a rule finds in a sample.
fn found(rule: Rule, sample: &[(&str, &str)]) -> Vec<String> {
    rule(&Tree::sample(sample)).into_iter().map(|finding| finding.place).collect()
}
