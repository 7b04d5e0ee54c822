//! Whatever is shown to a live session, a pool, a group and a reader of requests: it is refused or is what its sender
//! sealed, and nothing changes by looking.
#![no_main]

#[allow(dead_code, reason = "each target needs a part of it")]
mod cast;

use std::cell::LazyCell;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static WORLD: LazyCell<(cast::World, Vec<u8>)> = LazyCell::new(|| {
        let world = cast::World::new();
        let state = world.state();
        (world, state)
    });
}

/// Arbitrary bytes; or, where the first one says so, something genuine with other bytes in some places.
fn shown(genuine: &[Bytes], data: &[u8]) -> Bytes {
    let Some((&choice, rest)) = data.split_first() else { return Bytes::new() };
    let Some(message) = genuine.get(usize::from(choice)) else { return Bytes::copy_from_slice(rest) };
    let mut message = message.to_vec();
    for edit in rest.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % message.len();
        message[at] = edit[2];
    }
    message.into()
}

fuzz_target!(|data: &[u8]| WORLD.with(|cell| {
    let (world, state) = &**cell;
    let bytes = shown(&world.genuine, data);
    let opened = world.open(&bytes).into_iter().any(|result| result.is_ok());
    assert_eq!(opened, world.genuine[..3].contains(&bytes) || world.genuine[4..].contains(&bytes));
    assert!(world.state() == *state, "looking changed something");
}));
