//! The header's fields: their keys, and the bounds that their types do not already keep.
//!
//! `write` puts them in rising order of their keys; `read` takes no other.

mod read;
mod write;

use super::{ContentType, Envelope, TraceState};
use crate::id::Attempt;
use crate::limits::{CALL_CHAIN_MAX, HEADER_FIELDS_MAX, HEADER_MAX};
use crate::wire::DecodeError;

pub(super) use read::read;
pub(super) use write::write;

const ID: u64 = 1;
const KIND: u64 = 2;
const NAME: u64 = 3;
const FROM: u64 = 4;
const TO: u64 = 5;
const CORRELATION: u64 = 6;
const REPLY_TO: u64 = 7;
const SENT: u64 = 8;
const EXPIRES: u64 = 9;
const TRACE: u64 = 10;
const TRACE_STATE: u64 = 11;
const ATTEMPT: u64 = 12;
const IDEMPOTENCY_KEY: u64 = 13;
const CONTENT_TYPE: u64 = 14;
const ENCODING: u64 = 15;
const CALL_CHAIN: u64 = 16;

/// The last key of this version; a later version adds above it.
const LAST_KNOWN: u64 = CALL_CHAIN;

/// What the types of the fields do not already make sure of.
pub(super) fn check(envelope: &Envelope) -> Result<(), DecodeError> {
    if envelope.version == 0 {
        return Err(DecodeError::field("version", "out of range; send 1 to 255"));
    }
    check_chain(envelope.call_chain.len() as u64)?;
    check_count(count(envelope) as u64)
}

pub(super) fn check_length(length: usize) -> Result<(), DecodeError> {
    if length > HEADER_MAX {
        return Err(DecodeError::TooLong { what: "envelope header", length, max: HEADER_MAX });
    }
    Ok(())
}

fn check_chain(agents: u64) -> Result<(), DecodeError> {
    if agents > CALL_CHAIN_MAX as u64 {
        let problem = format!(
            "{agents} agents wait on this call, at most {CALL_CHAIN_MAX} may; shorten the chain of calls"
        );
        return Err(DecodeError::field("call_chain", problem));
    }
    Ok(())
}

fn check_count(fields: u64) -> Result<(), DecodeError> {
    if fields > HEADER_FIELDS_MAX as u64 {
        return Err(DecodeError::field(
            "header",
            format!("{fields} fields, at most {HEADER_FIELDS_MAX} are allowed"),
        ));
    }
    Ok(())
}

/// How many fields the header of this envelope has.
fn count(envelope: &Envelope) -> usize {
    let always = 4;
    let optional = [
        envelope.name.is_some(),
        envelope.from.is_some(),
        envelope.correlation.is_some(),
        envelope.reply_to.is_some(),
        envelope.expires.is_some(),
        envelope.trace.is_some(),
        state(envelope).is_some(),
        envelope.attempt != Attempt::FIRST,
        envelope.idempotency_key.is_some(),
        envelope.content_type != ContentType::default(),
        envelope.encoding.code() != 0,
        !envelope.call_chain.is_empty(),
    ];
    always + optional.into_iter().filter(|&present| present).count() + envelope.unknown.len()
}

fn state(envelope: &Envelope) -> Option<&TraceState> {
    envelope.trace.as_ref().and_then(|trace| trace.state.as_ref())
}
