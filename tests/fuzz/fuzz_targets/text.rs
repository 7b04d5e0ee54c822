//! A text is refused, or prints as it was read.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use connectome_codecs::envelope::TraceState;
use connectome_codecs::*;
use libfuzzer_sys::fuzz_target;

fn prints<T: FromStr<Err = ParseError> + Display>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string(), text),
        Err(error) => assert!(error.to_string().len() < 1_000),
    }
}

/// Prints in the usual form, which parses to the same.
fn settles<T: FromStr<Err = ParseError> + Display + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().expect("what was printed parses"), value);
    }
}

fuzz_target!(|text: &str| {
    prints::<Address>(text);
    prints::<AgentName>(text);
    prints::<AgentId>(text);
    prints::<NodeId>(text);
    prints::<ContentType>(text);
    prints::<IdempotencyKey>(text);
    prints::<TraceState>(text);
    prints::<TaskState>(text);
    settles::<MessageId>(text);
    settles::<TraceContext>(text);
});
