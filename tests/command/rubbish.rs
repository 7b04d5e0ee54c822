//! Rubbish on the command line: refused with a reason, whatever the command.

use super::furnished::directory;
use super::support::{run, run_with};

/// All commands that look into a store.
const LOOKING: &[&[&str]] = &[
    &["stream", "ls"],
    &["stream", "show", "SYSTEM_EVENTS"],
    &["task", "ls"],
    &["task", "show", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    &["event", "ls"],
    &["agents"],
    &["dead", "ls"],
    &["dead", "show", "1"],
    &["dead", "replay", "1"],
    &["dead", "drop", "1"],
];

const RUBBISH: &[&str] =
    &["", " ", "💥", "-1", "--", "\u{1b}[2J", "../../etc", "9999999999999999999999", "a.b.>", "=", "'\""];

/// A command line that makes no sense is refused with code 2 and says what would be right.
#[test]
fn nonsense_is_refused_with_code_two() {
    let lines: &[&[&str]] = &[
        &["nonsense"],
        &["stream"],
        &["config", "nonsense"],
        &["stream", "ls", "--max", "1"],
        &["stream", "show"],
        &["event", "ls", "--max", "0"],
        &["event", "ls", "--max", "many"],
        &["event", "ls", "--from", "-1"],
        &["event", "ls", "--type", "TASK_FINISHED"],
        &["task", "ls", "--state", "done"],
        &["task", "show", "not-an-id"],
        &["dead", "show", "first"],
        &["dead", "replay"],
        &["node", "--set", "no equals sign"],
        &["config", "--colour"],
        &["envelope", "decode", "one", "two"],
    ];
    for line in lines {
        let error = run(line).bad(2);
        assert!(error.contains("Usage") || error.contains("--help"), "{line:?}: {error}");
    }
    assert!(run(&["event", "ls", "--type", "TASK_FINISHED"]).err.contains("TASK_COMPLETED"));
    assert!(run(&["task", "show", "not-an-id"]).err.contains("write 26 of"));
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["help"]).code, 0);
    assert!(run(&["--version"]).good().starts_with("connectome "));
}

/// Rubbish in the place of any argument or option ends with a reason, and changes nothing.
#[test]
fn rubbish_anywhere_ends_with_a_reason() {
    let data = directory();
    let store = ["--store", data.path().to_str().unwrap()];
    let before = run(&[&["dead", "ls"][..], &store].concat()).good();
    for command in LOOKING {
        for &rubbish in RUBBISH {
            refused(&[command, &[rubbish][..], &store].concat());
            refused(&[command, &["--store", rubbish][..]].concat());
            refused(&[command, &["--set", rubbish][..], &store].concat());
        }
    }
    for &rubbish in RUBBISH {
        for command in [
            &["stream", "show"][..],
            &["task", "show"],
            &["dead", "show"],
            &["dead", "replay"],
            &["dead", "drop"],
        ] {
            refused(&[command, &[rubbish][..], &store].concat());
        }
        refused(&["config", rubbish, "rubbish"]);
        refused(&["config", "--file", rubbish]);
        refused(&["node", "--file", rubbish]);
        refused(&["envelope", "decode", rubbish]);
        assert_eq!(run_with(&["event", "decode"], rubbish.as_bytes()).code, 1);
    }
    assert_eq!(run(&[&["dead", "ls"][..], &store].concat()).good(), before);
}

/// A store that is not one, or that was damaged, is told by its path.
#[test]
fn damaged_stores_are_told_by_their_path() {
    let data = directory();
    let path = data.path().to_str().unwrap();
    for entry in walk(&data.path().join("streams")) {
        let length = std::fs::metadata(&entry).unwrap().len();
        std::fs::write(&entry, vec![0xa5; length.min(4_096) as usize]).unwrap();
    }
    let error = run(&["stream", "ls", "--store", path]).bad(1);
    assert!(error.contains(path), "{error}");
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[track_caller]
fn refused(line: &[&str]) {
    let ran = run(line);
    assert!(ran.code == 1 || ran.code == 2, "{line:?}: {ran:?}");
    assert!(!ran.err.trim().is_empty(), "{line:?}");
}
