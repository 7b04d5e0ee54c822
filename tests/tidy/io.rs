//! The world is touched in few places, and below the ports there is no key.

use super::tree::{File, Tree};
use super::uses::shipped_mentions;
use super::{Finding, found, hold_repository_to};

/// Where the world may be touched, and for what.
const ROOMS: &[(&str, &str)] = &[
    ("runtime/src/transport", "frames to other nodes"),
    ("runtime/src/streams", "what is kept"),
    ("runtime/src/gateway", "people and programs that are no nodes"),
    ("runtime/src/keystore", "the file of the root key"),
    ("runtime/src/config", "the environment and the configuration file, once"),
    ("runtime/src/telemetry", "logs"),
    ("runtime/src/world", "the wall clock and the system's randomness"),
    ("runtime/src/bin/", "the command line"),
    ("runtime/src/command", "the command line"),
];

/// What touches it.
const WORLDLY: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::os::unix::net",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "tokio::net",
    "tokio::fs",
    "tokio::process",
    "tokio::signal",
    "fjall",
    "async_nats",
    "libp2p::",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "rand::rngs::SysRng",
    "getrandom",
];

/// What must see sealed bytes alone, and the words of keys.
const SEALED: &[&str] = &[
    "runtime/src/transport",
    "runtime/src/streams",
    "actors/src/port/transport.rs",
    "actors/src/port/streams.rs",
];
const KEYS: &[&str] = &[
    "ed25519_dalek",
    "x25519_dalek",
    "hkdf",
    "chacha20poly1305",
    "aes_gcm",
    "SigningKey",
    "SecretKey",
    "StaticSecret",
    "KeyStore",
    "crate::keystore",
    "crate::session",
    "connectome_codecs::session",
    "connectome_codecs::seal",
];

fn outside(tree: &Tree) -> Vec<Finding> {
    let shipped = tree.rust_below(&["codecs/src/", "actors/src/", "actors/derive/src/", "runtime/src/"]);
    let outside = shipped.filter(|file| !ROOMS.iter().any(|(room, _)| file.path.starts_with(room)));
    outside.flat_map(|file| findings(file, WORLDLY, touches)).collect()
}

fn keys(tree: &Tree) -> Vec<Finding> {
    tree.rust_below(SEALED).flat_map(|file| findings(file, KEYS, holds_a_key)).collect()
}

fn findings(file: &File, paths: &[&str], finding: fn(String, &str) -> Finding) -> Vec<Finding> {
    shipped_mentions(file, paths).into_iter().map(|(place, what)| finding(place, what)).collect()
}

fn touches(place: String, what: &str) -> Finding {
    Finding {
        place,
        wrong: format!("`{what}` outside the places that may touch the world"),
        why: "what touches the world can't be simulated, so it stays behind a port, where a test can take its place",
        cure: "go through a port (World, Transport, Streams, KeyStore), or move it to a room that tests/tidy/io.rs names",
    }
}

fn holds_a_key(place: String, what: &str) -> Finding {
    Finding {
        place,
        wrong: format!("`{what}` below a port that sees sealed bytes alone"),
        why: "nothing below Transport and Streams holds a key, so a new one needs no cryptographic review",
        cure: "seal above the port, and pass bytes down",
    }
}

#[test]
fn the_world_is_touched_in_few_places() {
    hold_repository_to(outside);
}

#[test]
fn no_key_goes_below_a_port() {
    hold_repository_to(keys);
}

#[test]
fn io_in_the_wrong_room_is_found() {
    let sample = [
        ("actors/src/router.rs", "use std::fs;\n// std::net\nfn f() { println!(\"std::env\"); }"),
        ("runtime/src/streams/disk.rs", "use std::fs;"),
        ("runtime/src/node.rs", "use std::{net::TcpStream, sync::Arc};"),
    ];
    assert_eq!(
        found(outside, &sample),
        ["actors/src/router.rs:1", "actors/src/router.rs:3", "runtime/src/node.rs:1"]
    );
}

#[test]
fn a_key_in_a_transport_is_found() {
    let sample = [
        ("runtime/src/transport/nats.rs", "\nuse ed25519_dalek::Signer;"),
        ("runtime/src/keystore.rs", "use hkdf::Hkdf;"),
    ];
    assert_eq!(found(keys, &sample), ["runtime/src/transport/nats.rs:2"]);
}
