//! What `Cargo.lock` pins: no version that is known to be bad, no crate twice without a reason, nothing from elsewhere.
//!
//! It knows only the versions listed here. `cargo deny check` reads the whole database of advisories, where it is
//! installed (`deny.toml` is for it); this rule needs no network and runs in every `cargo test`.

use toml::{Table, Value};

use super::tree::{File, Tree};
use super::{Finding, hold_repository_to};

const LOCKS: &[&str] = &["Cargo.lock", "tests/fuzz/Cargo.lock"];

/// The first version without a fault that would reach us. The same floors stand in `deny.toml`.
const FLOORS: &[(&str, [u64; 3], &str)] = &[
    ("yamux", [0, 13, 10], "before, a peer can panic us with one frame"),
    ("quinn-proto", [0, 11, 15], "earlier ones stand in the database of advisories"),
    ("hickory-proto", [0, 26, 1], "earlier ones stand in the database of advisories"),
    ("libp2p", [0, 57, 1], "the first whose own dependencies are at these floors"),
    ("libp2p-gossipsub", [0, 50, 1], "before, a peer can overflow heartbeat and back-off"),
    ("ractor", [0, 16, 5], "what is measured and promised was measured with it"),
];

/// Crates that are not to come in at all.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "it needs a library of the system; TLS is rustls"),
    ("openssl-sys", "it needs a library of the system; TLS is rustls"),
    ("native-tls", "what it does differs from system to system; TLS is rustls"),
    ("ractor-supervisor", "its children die unasked; supervision is ours"),
    ("serde_yaml", "nobody keeps it"),
];

/// Crates that are there in two versions, and who is to move.
const TWICE: &[(&str, &str)] = &[
    ("aead", SNOW),
    ("aes", SNOW),
    ("aes-gcm", SNOW),
    ("base16ct", PEERS),
    ("base64", "libp2p-gossipsub has moved on, async-nats has not"),
    ("block-buffer", NKEYS),
    ("chacha20", SNOW),
    ("chacha20poly1305", PEERS),
    ("cipher", SNOW),
    ("const-oid", NKEYS),
    ("core-foundation", "system-configuration has the older one, on macOS alone"),
    ("cpufeatures", NKEYS),
    ("crypto-common", NKEYS),
    ("ctr", SNOW),
    ("curve25519-dalek", NKEYS),
    ("der", PEERS),
    ("digest", NKEYS),
    ("ed25519", NKEYS),
    ("ed25519-dalek", NKEYS),
    ("fiat-crypto", NKEYS),
    ("getrandom", NKEYS),
    ("ghash", SNOW),
    ("hashbrown", "dashmap, fjall and indexmap each have their own"),
    ("hkdf", PEERS),
    ("hmac", PEERS),
    ("inout", SNOW),
    ("itertools", PEERS),
    ("pkcs8", PEERS),
    ("poly1305", PEERS),
    ("polyval", SNOW),
    ("prettyplease", PEERS),
    ("r-efi", "getrandom's generations have their own, on UEFI alone"),
    ("rand", NKEYS),
    ("rand_chacha", PEERS),
    ("rand_core", NKEYS),
    ("sha2", NKEYS),
    ("shlex", PEERS),
    ("signature", NKEYS),
    ("spki", PEERS),
    ("syn", "half of the ecosystem's macros have moved to 3"),
    ("synstructure", "the same of its helpers: asn1-rs-derive has the older one"),
    ("thiserror", RTNETLINK),
    ("thiserror-impl", RTNETLINK),
    ("universal-hash", SNOW),
    ("windows-sys", "ring's dependencies have the older one, on Windows alone"),
    ("x25519-dalek", PEERS),
    ("yasna", "rcgen, which makes the certificates of QUIC, has the older one"),
];

const NKEYS: &str = "nkeys, which async-nats signs its server's nonces with, has the older generation";
const SNOW: &str = "snow, which shakes hands for libp2p, has the older generation";
const RTNETLINK: &str = "rtnetlink, which watches network interfaces for libp2p, has the older one";

const PEERS: &str = "Olm, Noise and MLS, which the benches run beside, have the older generation";

struct Locked {
    name: String,
    version: String,
    source: String,
}

fn check(tree: &Tree) -> Vec<Finding> {
    LOCKS.iter().filter_map(|path| tree.file(path)).flat_map(check_lock).collect()
}

fn check_lock(file: &File) -> Vec<Finding> {
    let packages = packages(file);
    let mut wrongs: Vec<(String, &'static str)> = Vec::new();
    for package in &packages {
        wrongs.extend(below_floor(package).chain(banned(package)).chain(from_elsewhere(package)));
    }
    wrongs.extend(packages.windows(2).filter_map(twice));
    wrongs.into_iter().map(|(wrong, why)| finding(file, wrong, why)).collect()
}

/// The packages, in the order of their names, as cargo writes them.
fn packages(file: &File) -> Vec<Locked> {
    let lock: Table = file.text.parse().unwrap_or_default();
    let text = |package: &Value, key| package.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let packages = lock.get("package").and_then(Value::as_array).cloned().unwrap_or_default();
    let locked = |package| {
        let [name, version, source] = ["name", "version", "source"].map(|key| text(package, key));
        Locked { name, version, source }
    };
    packages.iter().map(locked).collect()
}

fn below_floor(package: &Locked) -> impl Iterator<Item = (String, &'static str)> {
    let low =
        FLOORS.iter().filter(|(name, floor, _)| *name == package.name && version(&package.version) < *floor);
    let told = |(_, [major, minor, patch], why): &(_, [u64; 3], _)| {
        (format!("{} {}; at least {major}.{minor}.{patch}", package.name, package.version), *why)
    };
    low.map(told)
}

fn banned(package: &Locked) -> impl Iterator<Item = (String, &'static str)> {
    let banned = BANNED.iter().filter(|(name, _)| *name == package.name);
    banned.map(|(name, why)| (format!("`{name}` is banned"), *why))
}

fn from_elsewhere(package: &Locked) -> Option<(String, &'static str)> {
    let is_ours = package.source.is_empty();
    let is_registry = package.source == "registry+https://github.com/rust-lang/crates.io-index";
    let wrong = format!("`{}` comes from {}", package.name, package.source);
    (!is_ours && !is_registry).then_some((wrong, "only crates.io keeps what it once gave"))
}

fn twice(pair: &[Locked]) -> Option<(String, &'static str)> {
    let [a, b] = pair else { return None };
    let is_known = TWICE.iter().any(|(name, _)| *name == a.name);
    let wrong = format!("`{}` twice: {} and {}", a.name, a.version, b.version);
    (a.name == b.name && !is_known)
        .then_some((wrong, "it is built twice, and its types don't fit each other"))
}

fn version(text: &str) -> [u64; 3] {
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let mut parts = core.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

fn finding(file: &File, wrong: String, why: &'static str) -> Finding {
    let cure = "`cargo tree -i NAME` says who brings it; update or replace that, or add it to tests/tidy/lock.rs with a reason";
    Finding { place: file.path.clone(), wrong, why, cure }
}

#[test]
fn nothing_bad_is_locked() {
    hold_repository_to(check);
}

#[test]
fn low_banned_doubled_and_foreign_packages_are_found() {
    let package = |name, version, source| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\n")
    };
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let told = |packages: &[String]| -> Vec<String> {
        let tree = Tree::sample(&[("Cargo.lock", &packages.concat())]);
        check(&tree).into_iter().map(|finding| finding.wrong).collect()
    };
    assert_eq!(told(&[package("yamux", "0.13.9", registry)]), ["yamux 0.13.9; at least 0.13.10"]);
    assert_eq!(told(&[package("yamux", "0.13.10", registry)]), [""; 0]);
    assert_eq!(told(&[package("native-tls", "0.2.1", registry)]), ["`native-tls` is banned"]);
    let both = [package("bytes", "1.0.0", registry), package("bytes", "2.0.0", registry)];
    assert_eq!(told(&both), ["`bytes` twice: 1.0.0 and 2.0.0"]);
    assert_eq!(
        told(&[package("bytes", "1.0.0", "git+https://example.org/b")]),
        ["`bytes` comes from git+https://example.org/b"]
    );
}
