//! An event is refused, or settles on one form.
#![no_main]

use connectome_codecs::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = Event::decode(data) {
        let bytes = event.encode().expect("what was decoded can be encoded");
        assert_eq!(Event::decode(&bytes).expect("what was encoded decodes"), event);
    }
});
