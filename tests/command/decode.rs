//! `envelope decode` and `event decode`: every golden vector is read, everything else is refused with its place.

use std::fs;
use std::path::PathBuf;

use super::support::{file, run, run_with};

fn vectors(prefix: &str) -> Vec<PathBuf> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Every golden vector is printed, for people and for scripts, from a file and from the standard input.
#[test]
fn every_vector_is_read() {
    for (what, prefix) in [("envelope", "envelope-"), ("event", "event-")] {
        for path in vectors(prefix) {
            let name = path.to_str().unwrap();
            let plain = run(&[what, "decode", "--hex", name]).good();
            assert!(plain.starts_with("version") || plain.starts_with("id"), "{name}: {plain}");
            let json = run_with(&[what, "decode", "--hex", "--json"], &fs::read(&path).unwrap()).json();
            assert!(json["id"].is_string(), "{name}: {json}");
        }
    }
}

/// A body is shown as what it is: a structure, a text, or bytes with their number.
#[test]
fn bodies_are_shown_as_what_they_are() {
    let path = |name| format!("{}/../tests/vectors/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let zstd = run(&["envelope", "decode", "--hex", &path("envelope-zstd"), "--json"]).json();
    assert_eq!(zstd["encoding"], "zstd");
    let unknown = run(&["envelope", "decode", "--hex", &path("envelope-unknown-fields"), "--json"]).json();
    assert!(unknown["unknown_fields"][0]["key"].as_u64().unwrap() > 16);
}

/// Bytes that are no envelope are refused with the place and the reason; hexadecimal without `--hex` is recognised.
#[test]
fn rubbish_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let short = file(directory.path(), "short", &[0x93, 0x01]);
    let error = run(&["envelope", "decode", &short]).bad(1);
    assert!(error.contains(&short) && error.contains("byte"), "{error}");
    let error = run_with(&["event", "decode"], b"\xc1").bad(1);
    assert!(error.contains("the standard input is no event") && error.contains("0xc1"), "{error}");
    assert!(run_with(&["envelope", "decode"], b"9301").bad(1).contains("add --hex"));
    assert!(run_with(&["envelope", "decode", "--hex"], b"93 0x").bad(1).contains("byte 4 ('x')"));
    assert!(run_with(&["envelope", "decode", "--hex"], b"930").bad(1).contains("odd number"));
    assert!(run_with(&["envelope", "decode"], &vec![0; 4 << 20]).bad(1).contains("no frame is that long"));
    assert!(run(&["event", "decode", "/no/such/file"]).bad(1).contains("/no/such/file"));
    assert!(run(&["event", "decode", "/"]).bad(1).contains("can't be read"));
}

/// Vectors that were damaged anywhere are read or refused, and never a crash.
#[test]
fn damaged_vectors_never_crash_it() {
    let mut dice = 7_u64;
    for (what, prefix) in
        [("envelope", "envelope-full"), ("event", "event-task"), ("envelope", "envelope-zstd")]
    {
        let text = fs::read_to_string(&vectors(prefix)[0]).unwrap();
        for _ in 0..40 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (dice >> 33) as usize % text.len();
            let mut damaged = text.clone().into_bytes();
            match dice >> 62 {
                0 => damaged.truncate(at),
                _ if damaged[at].is_ascii_whitespace() => {}
                _ => damaged[at] = b"0123456789abcdef"[(dice >> 20) as usize % 16],
            }
            let ran = run_with(&[what, "decode", "--hex"], &damaged);
            assert!(ran.code == 0 || ran.code == 1, "{ran:?}");
        }
    }
}
