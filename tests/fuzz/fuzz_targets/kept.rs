//! What is kept at rest is refused, or settles on one form: sessions, prekeys, pins, replay windows, pools, groups.
#![no_main]

use connectome_codecs::group::{GroupKeys, GroupSender};
use connectome_codecs::identity::{InstanceKeys, Pins, PoolKeys, Prekeys};
use connectome_codecs::session::{ReplayWindow, Session};
use libfuzzer_sys::fuzz_target;

/// What was read is written so that it is read again as it is written.
macro_rules! settles {
    ($data:expr, $($kind:ty),*) => {
        $(if let Ok(kept) = <$kind>::decode($data) {
            let bytes = kept.encode().to_vec();
            let again = <$kind>::decode(&bytes).expect("what was encoded decodes");
            assert!(again.encode().to_vec() == bytes, "{} does not settle", stringify!($kind));
        })*
    };
}

fuzz_target!(|data: &[u8]| {
    settles!(data, Session, Prekeys, Pins, ReplayWindow, PoolKeys, GroupKeys, GroupSender);
    if let Ok(session) = Session::decode(data) {
        assert!(session.encode()[..] == *data, "a session has one form");
    }
    if let Some(keys) = InstanceKeys::decode(data) {
        assert!(keys.encode()[..] == *data);
    }
});
