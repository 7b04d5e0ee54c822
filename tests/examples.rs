//! Every example, run as a user runs it, prints what it is meant to print.
//!
//! The executables are those that Cargo built beside this test: it builds a package's examples before it runs its tests.

use std::path::PathBuf;
use std::process::Command;

/// The smallest agent answers.
#[test]
fn hello() {
    prints("hello", "hello Ada, from greeter\n");
}

/// The executable of an example: beside `deps/`, where this test is.
fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/<profile>/deps");
    profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

#[track_caller]
fn prints(name: &str, wanted: &str) {
    let path = executable(name);
    let output = Command::new(&path).output().unwrap_or_else(|error| {
        panic!("{} can't be run ({error}): `cargo test -p connectome-examples` builds it", path.display())
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted, "{errors}");
}
