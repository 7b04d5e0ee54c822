//! Dependencies run one way: `runtime -> actors -> codecs`, and what a package is for decides what it may lean on.
//!
//! It reads manifests. What a dependency brings along by itself it does not see.

use toml::{Table, Value};

use super::tree::{File, Tree};
use super::{Finding, found, hold_repository_to};

/// What a package may lean on.
struct Layer {
    manifest: &'static str,
    /// Our packages that it may use.
    below: &'static [&'static str],
    /// Others that it must not use, by the beginning of their names.
    banned: &'static [&'static str],
    why: &'static str,
}

const LAYERS: &[Layer] = &[
    Layer {
        manifest: "codecs/Cargo.toml",
        below: &[],
        banned: &[
            "tokio",
            "futures",
            "async-",
            "ractor",
            "rand",
            "getrandom",
            "fjall",
            "redb",
            "mio",
            "socket2",
            "hyper",
            "reqwest",
            "libp2p",
            "parking_lot",
            "dashmap",
            "chrono",
            "time",
        ],
        why: "what is said is pure: no waiting, no clock, no dice, no socket, no file",
    },
    Layer {
        manifest: "actors/derive/Cargo.toml",
        below: &[],
        banned: &["tokio", "ractor", "rand", "fjall"],
        why: "a macro writes code; it uses none of ours",
    },
    Layer {
        manifest: "actors/Cargo.toml",
        below: &["connectome-codecs", "connectome-derive"],
        banned: &[
            "rand",
            "getrandom",
            "fjall",
            "redb",
            "mio",
            "socket2",
            "hyper",
            "reqwest",
            "axum",
            "async-nats",
            "libp2p",
            "tempfile",
            "ed25519",
            "chrono",
        ],
        why: "actors know the world through ports: no socket, no file, no broker, no key",
    },
    Layer {
        manifest: "runtime/Cargo.toml",
        below: &["connectome-actors", "connectome-codecs"],
        banned: &["ractor-supervisor", "openssl", "native-tls", "rand_chacha"],
        why: "supervision is ours, and TLS is rustls with ring",
    },
    Layer {
        manifest: "examples/Cargo.toml",
        below: &["connectome"],
        banned: &["ractor"],
        why: "an example uses what a user has: the front door alone",
    },
];

/// Features of tokio that reach for the world.
const WORLDLY: &[&str] = &["net", "fs", "process", "signal", "full", "rt-multi-thread"];

fn check(tree: &Tree) -> Vec<Finding> {
    let manifests = LAYERS.iter().filter_map(|layer| Some((layer, tree.file(layer.manifest)?)));
    let mut findings: Vec<Finding> = manifests.flat_map(|(layer, file)| check_layer(layer, file)).collect();
    findings.extend(tree.file("actors/Cargo.toml").into_iter().flat_map(worldly_features));
    findings
}

fn check_layer(layer: &Layer, file: &File) -> Vec<Finding> {
    let names = ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .flat_map(|kind| names(file, kind));
    let ours = |name: &str| name.starts_with("connectome");
    let above = |name: &str| ours(name) && !layer.below.contains(&name);
    let banned = |name: &str| !ours(name) && layer.banned.iter().any(|banned| name.starts_with(banned));
    let wrong = names.filter(|name| above(name) || banned(name));
    wrong.map(|name| finding(file, &format!("`{name}` is a dependency"), layer.why)).collect()
}

fn worldly_features(file: &File) -> Vec<Finding> {
    let features = manifest(file)
        .get("dependencies")
        .and_then(|dependencies| dependencies.get("tokio")?.get("features")?.as_array().cloned())
        .unwrap_or_default();
    let worldly = features.iter().filter_map(Value::as_str).filter(|feature| WORLDLY.contains(feature));
    let why = "actors run on whatever executor they are given, the simulator's too";
    worldly.map(|feature| finding(file, &format!("tokio's feature `{feature}` is on"), why)).collect()
}

fn finding(file: &File, wrong: &str, why: &'static str) -> Finding {
    let cure = "take it out; what needs it belongs to a package further up, behind a port";
    Finding { place: file.path.clone(), wrong: wrong.to_owned(), why, cure }
}

/// The names in one table of dependencies.
pub(super) fn names(file: &File, kind: &str) -> Vec<String> {
    let table = manifest(file).get(kind).and_then(Value::as_table).cloned().unwrap_or_default();
    table.keys().cloned().collect()
}

/// A manifest, or nothing where it is none.
pub(super) fn manifest(file: &File) -> Table {
    file.text.parse().unwrap_or_default()
}

#[test]
fn dependencies_run_one_way() {
    hold_repository_to(check);
}

#[test]
fn a_dependency_upwards_is_found() {
    let sample = [(
        "actors/Cargo.toml",
        "[dependencies]\nconnectome-codecs.workspace = true\nconnectome.workspace = true",
    )];
    assert_eq!(found(check, &sample), ["actors/Cargo.toml"]);
}

#[test]
fn an_executor_below_the_codecs_is_found() {
    let sample = [("codecs/Cargo.toml", "[dev-dependencies]\ntokio-util = \"1\"\nproptest = \"1\"")];
    assert_eq!(found(check, &sample), ["codecs/Cargo.toml"]);
}

#[test]
fn sockets_for_actors_are_found() {
    let sample = [(
        "actors/Cargo.toml",
        "[dependencies]\ntokio = { workspace = true, features = [\"time\", \"net\"] }",
    )];
    assert_eq!(found(check, &sample), ["actors/Cargo.toml"]);
}
