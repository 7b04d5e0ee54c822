//! `connectome config`: every value with its origin, or everything that is wrong.

use std::process::Stdio;

use super::support::{column, command, file, run};

/// Each value is shown with where it comes from, flags over environment over file.
#[test]
fn values_are_shown_with_their_origins() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "node.toml",
        b"name = \"till-3\"\ncall_timeout = \"3s\"\nnamespace = \"shop\"\n",
    );
    let mut command = command(&["config", "--file", &path, "--set", "call_timeout=2s"]);
    let output = command.env("CONNECTOME_NAMESPACE", "cafe").stderr(Stdio::piped()).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("name ").ends_with(&format!("{path}:1")), "{shown}");
    assert!(
        line("namespace ").contains("cafe")
            && line("namespace ").ends_with("environment CONNECTOME_NAMESPACE")
    );
    assert!(line("call_timeout ").contains("2s") && line("call_timeout ").ends_with("flag"));
    assert!(line("drain_timeout ").ends_with("default"));
}

/// Scripts read every key, its value, its origin, its variable and what it is for.
#[test]
fn scripts_read_the_same() {
    let rows = run(&["config", "--json"]).json();
    assert!(column(&rows, "key").contains(&&"storage".into()));
    assert!(
        rows.as_array().unwrap().iter().all(|row| row["about"].is_string() && row["variable"].is_string())
    );
}

/// `check` says that all is right, or names every problem with its place; options may stand before or after it.
#[test]
fn check_names_every_problem() {
    assert!(run(&["config", "check"]).good().contains("is right"));
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "bad.toml", b"nam = \"x\"\ncall_timeout = \"soon\"\n");
    let error = run(&["config", "check", "--file", &path]).bad(1);
    assert!(error.contains("2 problems") && error.contains(":1") && error.contains(":2"), "{error}");
    assert!(error.contains("did you mean name?"), "{error}");
    let failed = run(&["config", "--file", &path, "check", "--json"]);
    assert_eq!(failed.code, 1);
    let details: serde_json::Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!((&details["ok"], details["problems"].as_array().unwrap().len()), (&false.into(), 2));
}

/// A file that is not there, not text or far too long is told by its name.
#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let binary = file(directory.path(), "binary.toml", &[0xff, 0, 0xc1]);
    let long = file(directory.path(), "long.toml", &vec![b'#'; 1 << 20]);
    for path in ["/no/such/file.toml", "/", binary.as_str(), long.as_str()] {
        let error = run(&["config", "--file", path]).bad(1);
        assert!(error.contains(path), "{error}");
    }
}
