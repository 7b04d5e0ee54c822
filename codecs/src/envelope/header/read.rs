//! Reading the header: each field in its one form and its one place, or an error that names it.

use bytes::Bytes;

use super::{
    ATTEMPT, CALL_CHAIN, CONTENT_TYPE, CORRELATION, ENCODING, EXPIRES, FROM, ID, IDEMPOTENCY_KEY, KIND,
    LAST_KNOWN, NAME, REPLY_TO, SENT, TO, TRACE, TRACE_STATE, check_chain, check_count,
};
use crate::address::{Address, AgentName};
use crate::compression::Encoding;
use crate::envelope::{ContentType, Envelope, TraceContext, UnknownFields};
use crate::id::{AgentId, Attempt, CorrelationId, MessageId, NodeId, UnixMillis};
use crate::message::Kind;
use crate::text::ParseError;
use crate::wire::{DecodeError, Reader, skip_value};

/// Reads the fields; the body of the result is still empty.
pub(in crate::envelope) fn read(
    bytes: &Bytes,
    from: &mut Reader<'_>,
    version: u8,
) -> Result<Envelope, DecodeError> {
    let mut fields = Fields { reader: from, next: None, left: 0, last: 0 };
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
            id: MessageId::from_bytes(self.required(ID, "id", Self::array)?),
            kind: self.required(KIND, "kind", Self::byte).map(Kind::from)?,
            name: self.optional(NAME, "name", Self::parsed)?,
            from: self.optional(FROM, "from", Self::address)?,
            to: self.required(TO, "to", Self::address)?,
            correlation: self
                .optional(CORRELATION, "correlation", Self::array)?
                .map(CorrelationId::from_bytes),
            reply_to: self.optional(REPLY_TO, "reply_to", Self::array)?.map(NodeId),
            sent: self.required(SENT, "sent", Self::uint).map(UnixMillis)?,
            expires: self.optional(EXPIRES, "expires", Self::uint)?.map(UnixMillis),
            trace: self.trace()?,
            attempt: self.attempt()?,
            idempotency_key: self.optional(IDEMPOTENCY_KEY, "idempotency_key", Self::parsed)?,
            content_type: self.content_type()?,
            encoding: self.encoding()?,
            call_chain: self.optional(CALL_CHAIN, "call_chain", Self::chain)?.unwrap_or_default(),
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
                let problem =
                    format!("key {key} after key {}; send each key once, rising, from 1", self.last);
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
        self.optional(key, field, read)?.ok_or_else(|| {
            DecodeError::field(field, format!("missing in its place; send it with key {key}, keys rising"))
        })
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
        bytes.try_into().map_err(|_| DecodeError::field(field, format!("{} bytes; send {N}", bytes.len())))
    }

    fn parsed<T>(&mut self, field: &'static str) -> Result<T, DecodeError>
    where
        T: std::str::FromStr<Err = ParseError>,
    {
        self.reader.text(field)?.parse().map_err(|e: ParseError| DecodeError::field(field, e.to_string()))
    }

    fn address(&mut self, field: &'static str) -> Result<Address, DecodeError> {
        if matches!(self.reader.peek(field)?, rmp::Marker::Bin8) {
            return Ok(Address::Id(AgentId(self.array(field)?)));
        }
        match self.parsed(field)? {
            Address::Id(_) => Err(DecodeError::field(field, "an agent's key as text; send its 32 bytes")),
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
            (None, Some(_)) => {
                Err(DecodeError::field("trace_state", "without a trace; send both or neither"))
            }
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
        match self.optional(ENCODING, "encoding", Self::byte)?.map(Encoding::from) {
            Some(Encoding::Identity) => Err(needless("encoding")),
            Some(encoding) => Ok(encoding),
            None => Ok(Encoding::Identity),
        }
    }

    fn chain(&mut self, field: &'static str) -> Result<Vec<AgentName>, DecodeError> {
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
        Ok(UnknownFields::new(fields as usize, bytes.slice(start..self.reader.at())))
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
