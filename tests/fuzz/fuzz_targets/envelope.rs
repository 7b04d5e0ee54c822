//! An envelope is refused, or has one form: encoding what was decoded gives the same bytes.
#![no_main]

use bytes::Bytes;
use connectome_codecs::Envelope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(envelope.encode().expect("what was decoded can be encoded"), data);
        assert_eq!(envelope.unknown.iter().count(), envelope.unknown.len());
    }
});
