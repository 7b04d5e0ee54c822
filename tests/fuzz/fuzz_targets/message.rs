//! A message of any kind is refused, or settles on one form.
#![no_main]

use connectome_codecs::message::*;
use libfuzzer_sys::fuzz_target;

fn settles<T: Body + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(message) = T::decode(data) {
        let bytes = message.encode().expect("what was decoded can be encoded");
        assert_eq!(T::decode(&bytes).expect("what was encoded decodes"), message);
    }
}

fuzz_target!(|data: &[u8]| {
    settles::<Text>(data);
    settles::<Task>(data);
    settles::<Response>(data);
    settles::<Status>(data);
    settles::<Error>(data);
    settles::<Discovery>(data);
    settles::<Heartbeat>(data);
    settles::<Control>(data);
});
