//! Bytes that nobody honest sends: each is refused for its own reason, and nothing ever panics.

pub(crate) mod bodies;
pub(crate) mod compression;
pub(crate) mod envelopes;
pub(crate) mod shapes;

use connectome_codecs::envelope::TraceState;
use connectome_codecs::limits::FRAME_MAX;
use connectome_codecs::{Address, ContentType, MessageId, TraceContext, wire};
use proptest::prelude::*;

use crate::samples::{CODECS, samples};

/// A hostile input, and a part of what its refusal must say.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) says: &'static str,
}

pub(crate) fn case(name: &'static str, bytes: impl Into<Vec<u8>>, says: &'static str) -> Case {
    Case { name, bytes: bytes.into(), says }
}

/// Tries every case and reports all that went wrong, not only the first.
fn refused<T, E: std::fmt::Display>(cases: &[Case], decode: impl Fn(&[u8]) -> Result<T, E>) {
    let complaint = |case: &Case| match decode(&case.bytes) {
        Ok(_) => Some(format!("{}: accepted", case.name)),
        Err(e) if e.to_string().contains(case.says) => None,
        Err(e) => {
            Some(format!("{}: refused, but with {:?} instead of {:?}", case.name, e.to_string(), case.says))
        }
    };
    let complaints: Vec<String> = cases.iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The table has at least 60 cases.
#[test]
fn the_table_is_long() {
    let bodies: usize = bodies::cases().iter().map(|(_, cases)| cases.len()).sum();
    let all = shapes::cases().len() + envelopes::cases().len() + bodies + compression::cases().len();
    assert!(all >= 60, "{all} cases");
}

/// Whatever is cut off at the end, the rest is refused.
#[test]
fn every_truncation_is_refused() {
    for sample in samples() {
        for end in 0..sample.bytes.len() {
            assert!(
                (sample.codec)(&sample.bytes[..end]).is_err(),
                "{} cut at byte {end} is accepted",
                sample.name
            );
        }
    }
}

/// A flipped bit never panics; an envelope that it leaves readable still has one form, any other value settles on one.
#[test]
fn every_single_bit_flip_is_survived() {
    for sample in samples() {
        let mut bytes = sample.bytes.to_vec();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(again) = (sample.codec)(&bytes) {
                assert!(
                    sample.envelope.is_none() || again == bytes,
                    "{} with bit {bit} has two forms",
                    sample.name
                );
                assert_eq!(
                    (sample.codec)(&again).unwrap(),
                    again,
                    "{} with bit {bit} does not settle",
                    sample.name
                );
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

/// A refusal is a sentence, however much was wrong.
#[test]
fn refusals_are_short() {
    let long = "\u{1}".repeat(FRAME_MAX - 5);
    let bytes = wire::encode(&long).unwrap();
    let mut refusals: Vec<String> =
        CODECS.iter().map(|(_, codec)| codec(&bytes).unwrap_err().to_string()).collect();
    refusals.push(long.parse::<Address>().unwrap_err().to_string());
    refusals.push(long.parse::<MessageId>().unwrap_err().to_string());
    refusals.push(long.parse::<ContentType>().unwrap_err().to_string());
    refusals.push(long.parse::<TraceContext>().unwrap_err().to_string());
    refusals.push(long[..500].parse::<TraceState>().unwrap_err().to_string());
    for refusal in refusals {
        assert!(refusal.len() < 800, "{} bytes: {refusal}", refusal.len());
    }
}

proptest! {
    /// Arbitrary bytes never panic any decoder.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for (_, codec) in CODECS {
            let _ = codec(&bytes);
        }
    }

    /// A vector with a part of another one in its middle never panics any decoder.
    #[test]
    fn spliced_vectors_never_panic(
        (one, other) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        (at, from) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let samples = samples();
        let (one, other) = (one.get(&samples), other.get(&samples));
        let mut bytes = one.bytes[..at.index(one.bytes.len())].to_vec();
        bytes.extend_from_slice(&other.bytes[from.index(other.bytes.len())..]);
        for (_, codec) in CODECS {
            let _ = codec(&bytes);
        }
    }
}
