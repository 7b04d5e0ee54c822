//! A root under a passphrase: what the file holds is of no use to whoever has no more than the file.
//!
//! ```text
//! file: "connectome root\n" ‖ memory: u32, KiB ‖ passes: u32 ‖ lanes: u32 ‖ salt: 16 ‖ the root, sealed
//! key  = Argon2id (RFC 9106, version 0x13) of the passphrase, with these
//! ```
//!
//! Numbers are big-endian. The root is sealed as everything at rest is (`codecs/src/seal.rs`), under a name that holds all that
//! stands before it: so none of that can be changed. New files have the second of the choices that RFC 9106, section 4,
//! recommends; a file with dearer ones is opened, up to a bound.

use argon2::{Algorithm, Argon2, Params, Version};
use connectome_actors::port::KeyStoreError;
use connectome_codecs::key::Secret;
use connectome_codecs::seal::StoreKey;
use zeroize::Zeroizing;

use super::derive::Root;
use super::system_randomness;

/// With what such a file begins: a root in the open has 32 random bytes instead.
const BEGINS: &[u8; 16] = b"connectome root\n";

/// 64 MiB, in KiB.
const MEMORY: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// The dearest that is opened: 1 GiB, some seconds. Whoever can write the file could otherwise stop the node with it.
const MEMORY_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

const SALT: usize = 16;
const HEAD: usize = BEGINS.len() + 12 + SALT;

/// The longest such file.
pub(super) const WRAPPED_MAX: usize = 512;

/// The shortest passphrase that is taken: twelve characters. Six random words are a good one.
pub const PASSPHRASE_MIN: usize = 12;

/// What opens a wrapped root. It is wiped when it goes, and does not print.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The text, without the white space around it.
    ///
    /// # Errors
    /// When it is shorter than [`PASSPHRASE_MIN`].
    pub fn new(text: &[u8]) -> Result<Passphrase, KeyStoreError> {
        let text = text.trim_ascii();
        if text.len() < PASSPHRASE_MIN {
            let problem = format!(
                "the passphrase has fewer than {PASSPHRASE_MIN} characters: six random words are good"
            );
            return Err(KeyStoreError(problem));
        }
        Ok(Passphrase(Zeroizing::new(text.to_vec())))
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Whether these are the first bytes of a wrapped root.
pub(super) fn is_wrapped(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINS)
}

/// The bytes of the file.
pub(super) fn wrap(root: &Root, passphrase: &Passphrase) -> Result<Vec<u8>, KeyStoreError> {
    let random = system_randomness()?;
    let mut file = BEGINS.to_vec();
    [MEMORY, PASSES, LANES].iter().for_each(|number| file.extend(number.to_be_bytes()));
    file.extend(&random[..SALT]);
    let mut fill = |bytes: &mut [u8]| bytes.copy_from_slice(&random[SALT..SALT + bytes.len()]);
    let sealed = key(&file, passphrase)?.seal(&name(&file), 1, root.as_bytes(), &mut fill);
    file.extend(sealed);
    Ok(file)
}

/// The root that such a file holds. The text of an error says what is wrong, and not where.
pub(super) fn unwrap(file: &[u8], passphrase: &Passphrase) -> Result<Root, KeyStoreError> {
    let (head, sealed) = file.split_at_checked(HEAD).ok_or_else(|| refused("is cut off"))?;
    let opened = key(head, passphrase)?.open(&name(head), 0, sealed);
    let opened = opened.map_err(|_| refused("does not open with this passphrase, or was changed"))?;
    let root = <[u8; 32]>::try_from(&opened[..]).map_err(|_| refused("holds something else than a root"))?;
    Ok(Root::from_bytes(Zeroizing::new(root)))
}

fn refused(what: &str) -> KeyStoreError {
    KeyStoreError(what.to_owned())
}

fn key(head: &[u8], passphrase: &Passphrase) -> Result<StoreKey, KeyStoreError> {
    let number = |at: usize| {
        let bytes = head[BEGINS.len() + 4 * at..].first_chunk();
        u32::from_be_bytes(*bytes.expect("the head has three numbers"))
    };
    let (memory, passes, lanes) = (number(0), number(1), number(2));
    if memory > MEMORY_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
        return Err(refused("asks for more work than any root is worth, so it was changed"));
    }
    let wrong = |_| refused("asks for work that Argon2 does not know, so it was changed");
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(wrong)?;
    let mut out = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password_into(&passphrase.0, &head[HEAD - SALT..HEAD], &mut *out).map_err(wrong)?;
    Ok(StoreKey::new(Secret::read(&*out).expect("the key has 32 bytes")))
}

/// What is authenticated with the root: everything before it.
fn name(head: &[u8]) -> String {
    head.iter().fold(String::from("root/"), |name, byte| format!("{name}{byte:02x}"))
}
