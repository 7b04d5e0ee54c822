//! A peer that is not honest, and has the session's header key: whatever it says in a header that it proves, nothing
//! changes, and no message opens that was not sealed.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod cast;

use std::cell::LazyCell;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

struct Thief {
    world: cast::World,
    state: Vec<u8>,
    header_key: Vec<u8>,
}

thread_local! {
    static THIEF: LazyCell<Thief> = LazyCell::new(|| {
        let world = cast::World::new();
        let id = world.bob.sessions.ids().next().expect("they have met");
        let record = world.bob.sessions.get(&id.tag()).expect("it was just there").encode();
        // It stands behind the id in the record.
        let at = record.windows(32).position(|window| window == id.0).expect("the id is in it") + 32 + 2;
        let (header_key, state) = (record[at..at + 32].to_vec(), world.state());
        Thief { world, state, header_key }
    });
}

/// A genuine message with another header, which is proved again, and another end.
fn forged(thief: &Thief, data: &[u8]) -> Option<Bytes> {
    let (header, rest) = data.split_first_chunk::<53>()?;
    let mut bytes = thief.world.genuine[1 + usize::from(header[0] & 1)].to_vec();
    bytes[2..4].copy_from_slice(&header[1..3]);
    if header[0] & 2 != 0 {
        bytes[20..52].copy_from_slice(&header[3..35]);
    }
    bytes[52..72].copy_from_slice(&[&header[35..43], &header[41..53]].concat());
    let mut mac = Hmac::<Sha256>::new_from_slice(&thief.header_key).expect("a key of any length");
    mac.update(&bytes[..72]);
    bytes[72..80].copy_from_slice(&mac.finalize().into_bytes()[..8]);
    if header[0] & 4 != 0 {
        bytes.truncate(80);
        bytes.extend_from_slice(rest);
    }
    Some(bytes.into())
}

fuzz_target!(|data: &[u8]| THIEF.with(|thief| {
    let Some(bytes) = forged(thief, data) else { return };
    let opened = thief.world.open(&bytes).into_iter().any(|result| result.is_ok());
    assert_eq!(opened, thief.world.genuine.contains(&bytes));
    assert!(thief.world.state() == thief.state, "looking changed something");
}));
