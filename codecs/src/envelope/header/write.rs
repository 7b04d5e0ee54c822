//! Writing the header: what has its usual value is left out.

use super::{
    ATTEMPT, CALL_CHAIN, CONTENT_TYPE, CORRELATION, ENCODING, EXPIRES, FROM, ID, IDEMPOTENCY_KEY, KIND, NAME,
    REPLY_TO, SENT, TO, TRACE, TRACE_STATE, count, state,
};
use crate::address::Address;
use crate::envelope::{ContentType, Envelope, TraceContext};
use crate::id::Attempt;
use crate::wire::Writer;

pub(in crate::envelope) fn write(envelope: &Envelope, out: &mut Writer) {
    out.map(count(envelope));
    put_bytes(out, ID, Some(envelope.id.to_bytes()));
    put_uint(out, KIND, Some(envelope.kind.code().into()));
    put_text(out, NAME, envelope.name.as_ref().map(|name| name.as_str()));
    put_address(out, FROM, envelope.from.as_ref());
    put_address(out, TO, Some(&envelope.to));
    put_bytes(out, CORRELATION, envelope.correlation.map(|id| id.to_bytes()));
    put_bytes(out, REPLY_TO, envelope.reply_to.map(|node| node.0));
    put_uint(out, SENT, Some(envelope.sent.0));
    put_uint(out, EXPIRES, envelope.expires.map(|moment| moment.0));
    put_bytes(out, TRACE, envelope.trace.as_ref().map(TraceContext::to_bytes));
    put_text(out, TRACE_STATE, state(envelope).map(|state| state.as_str()));
    put_uint(out, ATTEMPT, Some(envelope.attempt.0.into()).filter(|_| envelope.attempt != Attempt::FIRST));
    put_text(out, IDEMPOTENCY_KEY, envelope.idempotency_key.as_ref().map(|key| key.as_str()));
    let content_type = Some(&envelope.content_type).filter(|&given| *given != ContentType::default());
    put_text(out, CONTENT_TYPE, content_type.map(|given| given.as_str()));
    put_uint(out, ENCODING, Some(envelope.encoding.code().into()).filter(|&code| code != 0));
    put_chain(out, envelope);
    out.raw(envelope.unknown.as_bytes());
}

fn put_uint(out: &mut Writer, key: u64, number: Option<u64>) {
    if let Some(number) = number {
        out.uint(key);
        out.uint(number);
    }
}

fn put_text(out: &mut Writer, key: u64, text: Option<&str>) {
    if let Some(text) = text {
        out.uint(key);
        out.text(text);
    }
}

fn put_bytes<const N: usize>(out: &mut Writer, key: u64, bytes: Option<[u8; N]>) {
    if let Some(bytes) = bytes {
        out.uint(key);
        out.bytes(&bytes);
    }
}

fn put_address(out: &mut Writer, key: u64, address: Option<&Address>) {
    match address {
        None => {}
        Some(Address::Agent(name)) => put_text(out, key, Some(name.as_str())),
        Some(Address::Id(id)) => put_bytes(out, key, Some(id.0)),
        Some(Address::Capability(_)) => put_text(out, key, address.map(ToString::to_string).as_deref()),
    }
}

fn put_chain(out: &mut Writer, envelope: &Envelope) {
    if !envelope.call_chain.is_empty() {
        out.uint(CALL_CHAIN);
        out.array(envelope.call_chain.len());
        envelope.call_chain.iter().for_each(|agent| out.text(agent.as_str()));
    }
}
