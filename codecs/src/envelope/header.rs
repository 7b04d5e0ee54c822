//! The header's fields, written in rising order of their keys and read back strictly: one form for each envelope.

use bytes::Bytes;

use super::{ContentType, Envelope, TraceContext, TraceState, UnknownFields};
use crate::address::Address;
use crate::compression::Encoding;
use crate::id::{AgentId, Attempt, UnixMillis};
use crate::limits::{CALL_CHAIN_MAX, HEADER_FIELDS_MAX, HEADER_MAX};
use crate::message::Kind;
use crate::text::ParseError;
use crate::wire::{DecodeError, Reader, Writer, skip_value};

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
pub(super) const LAST_KNOWN: u64 = CALL_CHAIN;

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
        return Err(DecodeError::TooLong {
            what: "envelope header",
            length,
            max: HEADER_MAX,
        });
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

pub(super) fn write(envelope: &Envelope, out: &mut Writer) {
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
    put_uint(
        out,
        ATTEMPT,
        Some(envelope.attempt.0.into()).filter(|_| envelope.attempt != Attempt::FIRST),
    );
    put_text(
        out,
        IDEMPOTENCY_KEY,
        envelope.idempotency_key.as_ref().map(|key| key.as_str()),
    );
    let content_type = Some(&envelope.content_type).filter(|&given| *given != ContentType::default());
    put_text(out, CONTENT_TYPE, content_type.map(|given| given.as_str()));
    put_uint(
        out,
        ENCODING,
        Some(envelope.encoding.code().into()).filter(|&code| code != 0),
    );
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
        envelope
            .call_chain
            .iter()
            .for_each(|agent| out.text(agent.as_str()));
    }
}

/// Reads the fields; the body of the result is still empty.
pub(super) fn read(bytes: &Bytes, from: &mut Reader<'_>, version: u8) -> Result<Envelope, DecodeError> {
    let mut fields = Fields {
        reader: from,
        next: None,
        left: 0,
        last: 0,
    };
    fields.left = fields.reader.map("header")?;
    check_count(fields.left)?;
    fields.advance()?;
    fields.envelope(bytes, version)
}

/// The fields in their order. `next` is the key whose value comes next.
struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    next: Option<u64>,
    left: u64,
    last: u64,
}

impl Fields<'_, '_> {
    fn envelope(&mut self, bytes: &Bytes, version: u8) -> Result<Envelope, DecodeError> {
        let mut envelope = Envelope {
            version,
            id: crate::MessageId::from_bytes(self.required(ID, "id", Self::array)?),
            kind: self.required(KIND, "kind", Self::byte).map(Kind::from)?,
            name: self.optional(NAME, "name", Self::parsed)?,
            from: self.optional(FROM, "from", Self::address)?,
            to: self.required(TO, "to", Self::address)?,
            correlation: self
                .optional(CORRELATION, "correlation", Self::array)?
                .map(crate::CorrelationId::from_bytes),
            reply_to: self
                .optional(REPLY_TO, "reply_to", Self::array)?
                .map(crate::NodeId),
            sent: self.required(SENT, "sent", Self::uint).map(UnixMillis)?,
            expires: self.optional(EXPIRES, "expires", Self::uint)?.map(UnixMillis),
            trace: self.trace()?,
            attempt: self.attempt()?,
            idempotency_key: self.optional(IDEMPOTENCY_KEY, "idempotency_key", Self::parsed)?,
            content_type: self.content_type()?,
            encoding: self.encoding()?,
            call_chain: self
                .optional(CALL_CHAIN, "call_chain", Self::chain)?
                .unwrap_or_default(),
            body: Bytes::new(),
            unknown: UnknownFields::default(),
        };
        envelope.unknown = self.unknown(bytes)?;
        Ok(envelope)
    }

    /// Reads the next key, if there is one, and refuses one that does not rise.
    fn advance(&mut self) -> Result<(), DecodeError> {
        self.next = None;
        if self.left > 0 {
            self.left -= 1;
            let key = self.reader.uint("header")?;
            if key <= self.last {
                let problem = format!(
                    "key {key} after key {}; send each key once, rising, from 1",
                    self.last
                );
                return Err(DecodeError::field("header", problem));
            }
            self.last = key;
            self.next = Some(key);
        }
        Ok(())
    }

    fn optional<T>(
        &mut self,
        key: u64,
        field: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.next != Some(key) {
            return Ok(None);
        }
        let value = read(self, field)?;
        self.advance()?;
        Ok(Some(value))
    }

    fn required<T>(
        &mut self,
        key: u64,
        field: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.optional(key, field, read)?
            .ok_or_else(|| DecodeError::field(field, format!("missing; send it with key {key}")))
    }

    fn uint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.reader.uint(field)
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let number = self.reader.uint(field)?;
        u8::try_from(number).map_err(|_| DecodeError::field(field, format!("{number}; send 0 to 255")))
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let bytes = self.reader.bytes(field)?;
        bytes
            .try_into()
            .map_err(|_| DecodeError::field(field, format!("{} bytes; send {N}", bytes.len())))
    }

    fn parsed<T>(&mut self, field: &'static str) -> Result<T, DecodeError>
    where
        T: std::str::FromStr<Err = ParseError>,
    {
        self.reader
            .text(field)?
            .parse()
            .map_err(|e: ParseError| DecodeError::field(field, e.to_string()))
    }

    fn address(&mut self, field: &'static str) -> Result<Address, DecodeError> {
        if matches!(self.reader.peek(field)?, rmp::Marker::Bin8) {
            return Ok(Address::Id(AgentId(self.array(field)?)));
        }
        match self.parsed(field)? {
            Address::Id(_) => Err(DecodeError::field(
                field,
                "an agent's key as text; send its 32 bytes",
            )),
            address @ (Address::Agent(_) | Address::Capability(_)) => Ok(address),
        }
    }

    fn trace(&mut self) -> Result<Option<TraceContext>, DecodeError> {
        let trace = self.optional(TRACE, "trace", |fields, field| {
            TraceContext::from_bytes(fields.array(field)?)
                .map_err(|e| DecodeError::field(field, e.to_string()))
        })?;
        let state = self.optional(TRACE_STATE, "trace_state", Self::parsed)?;
        match (trace, state) {
            (Some(mut trace), state) => {
                trace.state = state;
                Ok(Some(trace))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(DecodeError::field(
                "trace_state",
                "without a trace; send both or neither",
            )),
        }
    }

    fn attempt(&mut self) -> Result<Attempt, DecodeError> {
        let number = self.optional(ATTEMPT, "attempt", |fields, field| {
            let number = fields.uint(field)?;
            u32::try_from(number)
                .map_err(|_| DecodeError::field(field, format!("{number}; send at most {}", u32::MAX)))
        })?;
        match number.map(Attempt) {
            Some(Attempt::FIRST) => Err(needless("attempt")),
            Some(attempt) => Ok(attempt),
            None => Ok(Attempt::FIRST),
        }
    }

    fn content_type(&mut self) -> Result<ContentType, DecodeError> {
        match self.optional(CONTENT_TYPE, "content_type", Self::parsed)? {
            Some(ContentType::MessagePack) => Err(needless("content_type")),
            Some(content_type) => Ok(content_type),
            None => Ok(ContentType::default()),
        }
    }

    fn encoding(&mut self) -> Result<Encoding, DecodeError> {
        match self
            .optional(ENCODING, "encoding", Self::byte)?
            .map(Encoding::from)
        {
            Some(Encoding::Identity) => Err(needless("encoding")),
            Some(encoding) => Ok(encoding),
            None => Ok(Encoding::Identity),
        }
    }

    fn chain(&mut self, field: &'static str) -> Result<Vec<crate::AgentName>, DecodeError> {
        let agents = self.reader.array(field)?;
        check_chain(agents)?;
        if agents == 0 {
            return Err(needless(field));
        }
        let mut chain = Vec::with_capacity(agents as usize);
        for _ in 0..agents {
            chain.push(self.parsed(field)?);
        }
        Ok(chain)
    }

    /// Everything from the first key that this version does not know to the end of the header, as one slice.
    fn unknown(&mut self, bytes: &Bytes) -> Result<UnknownFields, DecodeError> {
        let Some(first) = self.next else {
            return Ok(UnknownFields::default());
        };
        if first <= LAST_KNOWN {
            return Err(DecodeError::field(
                "header",
                format!("key {first} after a key above it; send keys rising"),
            ));
        }
        let fields = self.left + 1;
        let start = self.reader.at() - key_length(first);
        while self.next.is_some() {
            let end = skip_value(bytes, self.reader.at())?;
            self.reader.jump(end);
            self.advance()?;
        }
        Ok(UnknownFields::new(
            fields as usize,
            bytes.slice(start..self.reader.at()),
        ))
    }
}

/// The bytes of a key in its shortest form.
fn key_length(key: u64) -> usize {
    match key {
        0..0x80 => 1,
        0x80..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        0x1_0000_0000.. => 9,
    }
}

#[cold]
fn needless(field: &'static str) -> DecodeError {
    DecodeError::field(field, "its usual value; leave it out")
}
