//! W3C Trace Context: which distributed trace a message is part of.
//!
//! <https://www.w3.org/TR/trace-context/>, read strictly. Spans are made elsewhere; here they are carried.

use std::fmt;
use std::str::FromStr;

use crate::limits::{TRACE_STATE_MAX, TRACE_STATE_MEMBERS_MAX};
use crate::text::{ParseError, Text, shorten, text_traits};

/// The trace that a message is part of: a `traceparent`, and the `tracestate` that vendors add.
///
/// ```
/// use connectome_codecs::TraceContext;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceContext = text.parse()?;
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), text);
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    /// The trace flags: bit 0 says that the trace is recorded, the others are carried.
    pub flags: u8,
    /// What vendors add.
    pub state: Option<TraceState>,
}

impl TraceContext {
    /// What bit 0 of the flags says: the caller may have recorded this trace.
    pub const SAMPLED: u8 = 1;

    /// A trace context without vendor state.
    ///
    /// # Errors
    /// When an id is all zero, which the specification forbids.
    pub fn new(trace_id: [u8; 16], parent_id: [u8; 8], flags: u8) -> Result<Self, ParseError> {
        let context = Self { trace_id, parent_id, flags, state: None };
        let error = |problem: &str| ParseError::new("trace context", &context.to_string(), problem, RIGHT);
        if trace_id == [0; 16] {
            return Err(error("the trace id is all zero").at(3));
        }
        if parent_id == [0; 8] {
            return Err(error("the parent id is all zero").at(36));
        }
        Ok(context)
    }

    /// The trace as a whole.
    pub fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span that the message was sent in.
    pub fn parent_id(&self) -> [u8; 8] {
        self.parent_id
    }

    /// Whether the caller may have recorded this trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    pub(super) fn to_bytes(&self) -> [u8; 25] {
        let mut bytes = [self.flags; 25];
        bytes[..16].copy_from_slice(&self.trace_id);
        bytes[16..24].copy_from_slice(&self.parent_id);
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 25]) -> Result<Self, ParseError> {
        let (mut trace_id, mut parent_id) = ([0; 16], [0; 8]);
        trace_id.copy_from_slice(&bytes[..16]);
        parent_id.copy_from_slice(&bytes[16..24]);
        Self::new(trace_id, parent_id, bytes[24])
    }
}

impl fmt::Display for TraceContext {
    /// The `traceparent` header, in version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, parent_id) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.parent_id));
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{:02x}", self.flags)
    }
}

const RIGHT: &str = "write a W3C traceparent: 00-<32 lower-case hex digits>-<16>-<2>, ids not all zero";

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

impl FromStr for TraceContext {
    type Err = ParseError;

    /// Reads a `traceparent`. Of a version above 00 the first four fields are read, as the specification asks.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = |problem: String| ParseError::new("trace context", text, problem, RIGHT);
        if !text.is_ascii() || text.len() < LENGTH {
            return Err(error(format!("it has {} characters, 55 are needed", text.chars().count())));
        }
        if let Some((at, wrong)) = text[..LENGTH].char_indices().find(|&(at, c)| !fits(at, c)) {
            return Err(error(format!("{wrong:?}")).at(at));
        }
        check_version(&text[..2], &text[LENGTH..]).map_err(|problem| error(problem.into()))?;
        let mut bytes = [0; 25];
        let digits = text[3..35].chars().chain(text[36..52].chars()).chain(text[53..LENGTH].chars());
        for (at, digit) in digits.filter_map(|digit| digit.to_digit(16)).enumerate() {
            bytes[at / 2] = (bytes[at / 2] << 4) | digit as u8;
        }
        Self::from_bytes(bytes)
    }
}

fn fits(at: usize, c: char) -> bool {
    if matches!(at, 2 | 35 | 52) { c == '-' } else { matches!(c, '0'..='9' | 'a'..='f') }
}

fn check_version(version: &str, rest: &str) -> Result<(), &'static str> {
    match version {
        "ff" => Err("version ff is forbidden"),
        "00" if !rest.is_empty() => Err("version 00 has exactly 55 characters"),
        _ if rest.is_empty() || rest.starts_with('-') => Ok(()),
        _ => Err("what a later version adds begins with '-'"),
    }
}

/// A W3C `tracestate`: `vendor=value` members joined by commas, at most 32 of them and 512 bytes. Carried, not used.
#[derive(Clone)]
pub struct TraceState(Text);

impl TraceState {
    /// The header as it came.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

text_traits!(TraceState);

impl FromStr for TraceState {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = |problem: String| {
            ParseError::new(
                "trace state",
                text,
                problem,
                "write 1 to 32 of key=value, joined by commas, at most 512 bytes",
            )
        };
        if text.len() > TRACE_STATE_MAX {
            return Err(error(format!("it has {} bytes", text.len())));
        }
        let members = text.split(',').count();
        if members > TRACE_STATE_MEMBERS_MAX {
            return Err(error(format!("it has {members} members")));
        }
        match text.split(',').find(|member| !is_member(member)) {
            Some(wrong) => Err(error(format!("{:?} is not key=value", shorten(wrong, 32)))),
            None => Ok(Self(Text::Shared(text.into()))),
        }
    }
}

/// `list-member` of the specification, with optional space around it.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.trim_matches([' ', '\t']).split_once('=') else {
        return false;
    };
    let (first, rest) = (key.bytes().next(), key.bytes().skip(1));
    first.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && rest.clone().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/@".contains(&c))
        && key.len() <= 256
        && !value.is_empty()
        && value.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b',' && c != b'=')
}
