//! A task record is refused, or settles on one form.
#![no_main]

use connectome_codecs::TaskRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = TaskRecord::decode(data) {
        let bytes = record.encode().expect("what was decoded can be encoded");
        assert_eq!(TaskRecord::decode(&bytes).expect("what was encoded decodes"), record);
    }
});
