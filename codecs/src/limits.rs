//! Every bound of the wire, in one place, each with the reason for its number.
//!
//! A bound is checked on both sides: what [`encode`](crate::wire::encode) makes, [`decode`](crate::wire::decode)
//! takes. Sizes are bytes unless the name says otherwise.

/// The longest frame, and so the longest envelope and the longest typed body: NATS carries 1 MiB by default, and
/// whatever is larger belongs in a store with a reference to it in the message.
pub const FRAME_MAX: usize = 1024 * 1024;

/// The longest frame from a peer that has not proved who it is: a handshake fits, and a stranger who opens 1,000
/// connections makes us hold 4 MiB.
pub const FRAME_BEFORE_AUTHENTICATION_MAX: usize = 4 * 1024;

/// The longest envelope header: all fields at their usual lengths take a tenth of it.
pub const HEADER_MAX: usize = 4 * 1024;

/// The most that sealing adds: the longest init (6 KiB), a header, a proof and a tag.
pub const SEAL_MAX: usize = 8 * 1024;

/// The longest body of an envelope: what [`FRAME_MAX`] leaves beside the longest header, its framing, and a seal around all of
/// it.
pub const BODY_MAX: usize = FRAME_MAX - HEADER_MAX - 16 - SEAL_MAX;

/// The deepest nesting of arrays and maps: four times what a hand-written message type reaches.
pub const DEPTH_MAX: usize = 32;

/// The most values (scalars, arrays and maps) in one typed body: checking them takes under a millisecond. Bulk numbers travel as
/// bytes, which count as one.
pub const VALUES_MAX: usize = 32 * 1024;

/// The most fields in a header: twice what this version knows, so that later versions can double it.
pub const HEADER_FIELDS_MAX: usize = 32;

/// What decoding may allocate beyond four times the size of the bytes: the check keeps 40 bytes for each of 32 open
/// levels, 32 names of one letter cost more in memory than on the wire, and an error has a text.
pub const DECODE_FIXED: usize = 2 * 1024;

/// What decoding a discovery message may allocate beyond four times its size: 256 records of 32 capabilities of one
/// letter each. Only peers that have proved who they are send any.
pub const DISCOVERY_DECODE_FIXED: usize = 384 * 1024;

/// The longest agent name: it must fit a NATS subject, a file name and a line of a log.
pub const AGENT_NAME_MAX: usize = 128;

/// The longest capability: a verb and an object, with a prefix.
pub const CAPABILITY_MAX: usize = 64;

/// The longest wire name of a message type: a crate, a module and a type.
pub const MESSAGE_NAME_MAX: usize = 128;

/// The longest idempotency key: a URL or two hashes in hexadecimal.
pub const IDEMPOTENCY_KEY_MAX: usize = 128;

/// The longest content type: RFC 6838 allows 127 on each side of the slash, and no registered one needs it.
pub const CONTENT_TYPE_MAX: usize = 128;

/// The longest `tracestate`: W3C Trace Context asks that at least 512 characters be carried on.
pub const TRACE_STATE_MAX: usize = 512;

/// The most members of a `tracestate`, from W3C Trace Context.
pub const TRACE_STATE_MEMBERS_MAX: usize = 32;

/// The most agents that may wait on one call: nobody designs a chain this long, a cycle reaches it at once.
pub const CALL_CHAIN_MAX: usize = 32;

/// The longest code of an error, a state or an event type: a code is for a table, not for prose.
pub const CODE_MAX: usize = 64;

/// The longest explanation in an error, a status or a step: one paragraph.
pub const DETAIL_MAX: usize = 2 * 1024;

/// The longest role or version text of an agent.
pub const LABEL_MAX: usize = 64;

/// The most capabilities of one agent: an agent with more is several agents.
pub const CAPABILITIES_MAX: usize = 32;

/// The most records, and the most removed names, in one discovery message: 256 of the longest records fit a frame
/// (256 x 2.4 KiB = 615 KiB). A larger registry travels in parts.
pub const DISCOVERY_RECORDS_MAX: usize = 256;

/// The most parts of one discovery snapshot: with 256 records each, a million agents.
pub const DISCOVERY_PARTS_MAX: u32 = 4 * 1024;

/// The most attempts a task may ask for: with any back-off this is days.
pub const TASK_ATTEMPTS_MAX: u32 = 1_000;

/// The longest signed registration of an agent: the longest record of an agent takes 2.4 KiB, its frame 200 bytes.
pub const REGISTRATION_MAX: usize = 4 * 1024;

/// The most steps a task record remembers: eight attempts of four steps; the oldest go first.
pub const TASK_HISTORY_MAX: usize = 32;

/// The most items one credit message may grant: more would defeat the credit.
pub const CREDIT_MAX: u32 = 64 * 1024;

/// Bodies shorter than this are not worth compressing: they fit one network packet anyway.
pub const COMPRESSION_THRESHOLD: usize = 1024;
