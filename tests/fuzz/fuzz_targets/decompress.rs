//! A packed body is refused, or is no longer than the limit; an envelope's body is unpacked as it says.
#![no_main]

use bytes::Bytes;
use connectome_codecs::compression::{Encoding, decompress};
use connectome_codecs::{Envelope, limits};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    if let Ok(envelope) = Envelope::decode(data.clone()) {
        assert!(envelope.plain_body().is_ok_and(|body| body.len() <= limits::BODY_MAX) || envelope.encoding.code() > 0);
    }
    for encoding in [Encoding::Lz4, Encoding::Zstd] {
        if let Ok(body) = decompress(&data, encoding, LIMIT) {
            assert!(body.len() <= LIMIT);
        }
    }
});
