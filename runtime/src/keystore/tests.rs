//! Keys are what the specification says, their file is guarded, and nothing prints them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use ed25519_dalek::{Signature, VerifyingKey};

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal(path: &Path) -> String {
    let error = FileKeys::open(path, "node").unwrap_err().to_string();
    error.replace(&path.display().to_string(), "PATH")
}

#[test]
fn the_primitive_is_ed25519_of_rfc_8032_test_3() {
    let seed = [
        0xc5, 0xaa, 0x8d, 0xf4, 0x3f, 0x9f, 0x83, 0x7b, 0xed, 0xb7, 0x44, 0x2f, 0x31, 0xdc, 0xb7, 0xb1, 0x66,
        0xd3, 0x85, 0x35, 0x07, 0x6f, 0x09, 0x4b, 0x85, 0xce, 0x3a, 0x2e, 0x0b, 0x44, 0x58, 0xf7,
    ];
    let key = SigningKey::from_bytes(&seed);
    let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
    assert_eq!(hex(key.verifying_key().as_bytes()), public);
    assert_eq!(hex(&key.sign(&[0xaf, 0x82]).to_bytes()), signature);
}

#[test]
fn a_signature_is_over_context_zero_and_message_by_the_node_key() {
    let keys = MemoryKeys::from_seed([7; 32], "node");
    let signature = Signature::from_bytes(&keys.sign("record", b"body"));
    let node = VerifyingKey::from_bytes(keys.node_id().as_bytes()).unwrap();
    assert!(node.verify_strict(b"record\0body", &signature).is_ok());
    assert!(node.verify_strict(b"recor\0dbody", &signature).is_err());
    assert!(node.verify_strict(b"recordbody", &signature).is_err());
}

#[test]
fn nodes_that_share_a_root_differ_and_know_the_same_agents() {
    let (one, two) = (MemoryKeys::from_seed([1; 32], "one"), MemoryKeys::from_seed([1; 32], "two"));
    let greeter = "greeter".parse().unwrap();
    assert_ne!(one.node_id(), two.node_id());
    assert_eq!(one.agent_id(&greeter), two.agent_id(&greeter));
}

#[test]
fn a_node_and_an_agent_of_the_same_name_have_different_keys() {
    let keys = MemoryKeys::from_seed([1; 32], "same");
    let agent = keys.agent_id(&"same".parse().unwrap()).unwrap();
    assert_ne!(keys.node_id().as_bytes(), agent.as_bytes());
}

#[test]
fn another_root_is_another_identity() {
    let (one, two) = (MemoryKeys::from_seed([1; 32], "node"), MemoryKeys::from_seed([2; 32], "node"));
    assert_ne!(one.node_id(), two.node_id());
    assert_ne!(MemoryKeys::random("node").unwrap().node_id(), MemoryKeys::random("node").unwrap().node_id());
}

#[test]
fn debug_shows_the_public_key_and_nothing_else() {
    let keys = MemoryKeys::from_seed([7; 32], "node");
    assert_eq!(format!("{keys:?}"), "MemoryKeys { node: NodeId(tz6gsWqT), .. }");
    assert_eq!(format!("{:?}", keys.root), "Root(..)");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    write(&path, &[7; 32], 0o600);
    let file = format!("{:?}", FileKeys::open(&path, "node").unwrap());
    assert_eq!(
        file.replace(&path.display().to_string(), "PATH"),
        "FileKeys { path: \"PATH\", keys: MemoryKeys { node: NodeId(tz6gsWqT), .. } }"
    );
}

#[test]
fn the_first_use_makes_a_file_of_32_bytes_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/root.key");
    let made = FileKeys::open(&path, "node").unwrap();
    assert_eq!((fs::read(&path).unwrap().len(), mode(&path)), (32, 0o600));
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
    assert_eq!(FileKeys::open(&path, "node").unwrap().node_id(), made.node_id());
}

#[test]
fn two_first_uses_make_two_roots() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name| FileKeys::open(&dir.path().join(name), "node").unwrap().node_id();
    assert_ne!(open("one"), open("two"));
}

#[test]
fn nodes_that_start_at_once_get_one_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let start = || {
        std::thread::scope(|scope| {
            let nodes: Vec<_> =
                (0..8).map(|_| scope.spawn(|| FileKeys::open(&path, "node").unwrap().node_id())).collect();
            nodes.into_iter().map(|node| node.join().unwrap()).collect::<std::collections::BTreeSet<_>>()
        })
    };
    assert_eq!(start().len(), 1);
}

#[test]
fn a_file_that_others_can_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    for mode in [0o640, 0o604, 0o660, 0o601, 0o610] {
        write(&path, &[7; 32], mode);
        assert!(refusal(&path).contains("run: chmod 600 'PATH'"), "{}", refusal(&path));
    }
    write(&path, &[7; 32], 0o400);
    assert!(FileKeys::open(&path, "node").is_ok());
}

#[test]
fn a_file_of_another_length_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    for length in [0, 31, 33, 64] {
        write(&path, &vec![7; length], 0o600);
        assert!(
            refusal(&path).starts_with(&format!("key store: PATH has {length} bytes, not 32")),
            "{}",
            refusal(&path)
        );
        assert_eq!(fs::read(&path).unwrap().len(), length);
    }
}

#[test]
fn a_link_is_refused_even_to_a_good_file() {
    let dir = tempfile::tempdir().unwrap();
    let (good, link, nowhere) =
        (dir.path().join("good"), dir.path().join("link"), dir.path().join("nowhere"));
    write(&good, &[7; 32], 0o600);
    symlink(&good, &link).unwrap();
    symlink(dir.path().join("missing"), &nowhere).unwrap();
    assert!(refusal(&link).contains("PATH is a symbolic link: name the file that it leads to"));
    assert!(refusal(&nowhere).contains("is a symbolic link"));
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("PATH is not a file"));
    let below_a_file = dir.path().join("file/root.key");
    fs::write(dir.path().join("file"), b"").unwrap();
    assert!(refusal(&below_a_file).contains("can't be looked at"));
    assert!(refusal(Path::new("..")).contains("is not a file"));
}

#[test]
fn the_frozen_vectors_hold() {
    let keys = MemoryKeys::from_seed(std::array::from_fn(|at| at as u8), "node-1");
    let agent = |name: &str| keys.agent_id(&name.parse().unwrap()).unwrap().to_string();
    assert_eq!(keys.node_id().to_string(), "node:z6MknpAn6GeFiD4qS4ut7w5rk4CtwK2WCcfZhity9atFqASi");
    assert_eq!(agent("greeter"), "did:key:z6MkngsaoUWX8vn1bTVqJuiPHV2KZDbis35pmFL8XzXL49nE");
    assert_eq!(agent("shop/eu/till-3"), "did:key:z6MkfCjiujKD1P3MVexN9H48QixkfZQNtMYhd22uH1SYBTjZ");
    let signature = "2f4258462a649830f524a0d364e750293e865cf500f6afc06cdc99c1a0a96f33\
                     f59fc8911d543b724aa1a8b9fae541ccdd852683b60175d0d3a7a2895c09b10a";
    assert_eq!(hex(&keys.sign("connectome/test/v1", b"message")), signature);
}

/// Nodes that share a root read what either has stored for a purpose, and nothing else; strangers read nothing.
#[test]
fn a_store_is_read_by_those_who_share_the_root() {
    let (here, there) = (MemoryKeys::from_seed([7; 32], "here"), MemoryKeys::from_seed([7; 32], "there"));
    let stranger = MemoryKeys::from_seed([8; 32], "here");
    let sealed =
        here.store_key("state/greeter").seal("greeter", 1, b"secret", &mut |bytes: &mut [u8]| bytes.fill(1));
    assert_eq!(&there.store_key("state/greeter").open("greeter", 1, &sealed).unwrap()[..], b"secret");
    assert!(there.store_key("state/other").open("greeter", 1, &sealed).is_err());
    assert!(stranger.store_key("state/greeter").open("greeter", 1, &sealed).is_err());
}

/// Capabilities that differ have pools that differ, whatever they are called for people.
#[test]
fn each_capability_has_its_pool() {
    let keys = MemoryKeys::from_seed([7; 32], "here");
    let pool = |name: &str| keys.pool_id(&name.parse().unwrap());
    assert_ne!(pool("a.b"), pool("a_b"));
    assert_eq!(pool("a.b"), MemoryKeys::from_seed([7; 32], "there").pool_id(&"a.b".parse().unwrap()));
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).unwrap()
}

/// A root under a passphrase is the same root again, and of no use without that passphrase or with a changed byte.
#[test]
fn a_passphrase_guards_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let right = passphrase("correct horse battery staple\n");
    let made = FileKeys::open_with(&path, "node", Some(&right)).unwrap().node_id();
    assert_eq!(mode(&path), 0o600);
    let file = fs::read(&path).unwrap();
    assert_eq!(FileKeys::open_with(&path, "node", Some(&right)).unwrap().node_id(), made);

    let told = FileKeys::open(&path, "node").unwrap_err().to_string();
    assert!(told.contains("under a passphrase") && told.contains("key_passphrase_file"), "{told}");
    let wrong = passphrase("correct horse battery stable");
    let told = FileKeys::open_with(&path, "node", Some(&wrong)).unwrap_err().to_string();
    assert!(told.contains("does not open with this passphrase"), "{told}");
    // The magic, each number, the salt, the sealed root.
    for at in [0, 18, 23, 27, 30, 45, 60, file.len() - 1] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        write(&path, &changed, 0o600);
        assert!(FileKeys::open_with(&path, "node", Some(&right)).is_err(), "byte {at} was changed");
    }
    for cut in [33, 44, 60, file.len() - 1] {
        write(&path, &file[..cut], 0o600);
        assert!(FileKeys::open_with(&path, "node", Some(&right)).is_err(), "cut to {cut}");
    }
}

/// A file that asks for all the memory there is is refused before it gets any.
#[test]
fn a_dear_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    let mut file = b"connectome root\n".to_vec();
    [u32::MAX, 1, 1].iter().for_each(|number| file.extend(number.to_be_bytes()));
    file.extend([0; 100]);
    write(&path, &file, 0o600);
    let right = passphrase("correct horse battery staple");
    let told = FileKeys::open_with(&path, "node", Some(&right)).unwrap_err().to_string();
    assert!(told.contains("more work than any root is worth"), "{told}");
}

/// A root in the open is put under a passphrase and stays the same root; until then the passphrase is refused, not passed over.
#[test]
fn a_root_is_put_under_a_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let (path, named) = (dir.path().join("root.key"), dir.path().join("passphrase"));
    let open = FileKeys::open(&path, "node").unwrap().node_id();
    write(&named, b"correct horse battery staple\n", 0o640);
    assert!(read_passphrase(&named).unwrap_err().to_string().contains("chmod 600"));
    write(&named, b"too short\n", 0o600);
    assert!(read_passphrase(&named).unwrap_err().to_string().contains("six random words"));
    write(&named, b"correct horse battery staple\n", 0o600);
    let right = read_passphrase(&named).unwrap();
    let told = FileKeys::open_with(&path, "node", Some(&right)).unwrap_err().to_string();
    assert!(told.contains("in the open") && told.contains("connectome keys protect"), "{told}");

    protect(&path, &right).unwrap();
    assert_eq!(FileKeys::open_with(&path, "node", Some(&right)).unwrap().node_id(), open);
    assert!(FileKeys::open(&path, "node").is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft is left");
    assert_eq!(format!("{right:?}"), "Passphrase(..)");
}
