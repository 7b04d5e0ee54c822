//! A session's bytes at rest. They hold every secret of it: seal them ([`StoreKey`](crate::seal::StoreKey)).
//!
//! ```text
//! [ 1, session id: bin 32, header key: bin 32, suite, hash of our certificate: bin 32, peer's certificate: bin,
//!   opening, closed: ms or nil, marks, root: bin 32, our ratchet key: bin 32, theirs: bin 32 or nil, sending or nil,
//!   [ receiving ... ], forgotten: bin, 8 bytes each ]
//!
//! opening    [ 0, init: bin ]  or  [ 1 ]  or  [ 2, init's hash: bin 32, created: ms ]
//! marks      1 it is our turn, 2 it is wanted, 4 the peer's is to be asked for, 8 and once more after ours
//! sending    [ key: bin 32, number, number of the chain before, began: ms ]      at the reserved mark
//! receiving  [ their ratchet key: bin 32, key: bin 32 or nil, number,
//!              skipped: bin, of number: u32 ‖ since: u64 ‖ key: 32 each, consumed: bin, of number: u32 ‖ mark: 8 each ]
//! ```
//!
//! A session has one form: what is read is written again byte for byte.

use std::collections::VecDeque;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::chain::{CONSUMED_MAX, Receiving, SKIPPED_MAX, Skipped};
use super::header::Mark;
use super::init::INIT_MAX;
use super::ratchet::{CHAINS_MAX, FORGOTTEN_MAX, Ratchet};
use super::sending::{self, Sending};
use super::{Opening, Session, SessionId};
use crate::id::UnixMillis;
use crate::identity::{Certificate, Suite, check_version, read_id, read_secret};
use crate::key::derive::MacKey;
use crate::key::{DhPublic, DhSecret, Label, Secret};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The longest record: every table full, the longest certificate and init.
pub const RECORD_MAX: usize = 16 * 1024 + SKIPPED_MAX * SKIPPED + CONSUMED_MAX * CONSUMED + FORGOTTEN_MAX * 8;

const SKIPPED: usize = 44;
const CONSUMED: usize = 12;
const WHAT: &str = "session record";

impl Session {
    /// The bytes to keep. What is reserved is in them already: whatever is written, and in whichever order, no key that was
    /// used is free again.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        if self.reserving.is_none() {
            return self.write();
        }
        self.at_rest().write()
    }

    fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::with_capacity(self.room());
        out.array(15);
        out.uint(1);
        out.bytes(&self.id.0);
        out.bytes(self.header_key.expose());
        out.uint(self.suite.code().into());
        out.bytes(&self.own_certificate);
        out.bytes(self.peer.bytes());
        self.opening.write(&mut out);
        put(&mut out, self.closed, |out, closed| out.uint(closed.0));
        out.uint(self.marks());
        self.ratchet.write(&mut out);
        Zeroizing::new(out.finish())
    }

    /// Room for all of it, so that no copy of a secret is left behind by growing.
    fn room(&self) -> usize {
        let chains = self.ratchet.receiving.iter();
        let tables =
            chains.map(|(_, chain)| 128 + chain.skipped.len() * SKIPPED + chain.consumed.len() * CONSUMED);
        let fixed = 1024 + INIT_MAX + self.peer.bytes().len() + FORGOTTEN_MAX * 8;
        fixed + tables.sum::<usize>()
    }

    fn marks(&self) -> u64 {
        let marks = [self.ratchet.may_step, self.wants_step, self.asks_for_step, self.refreshes];
        marks.into_iter().enumerate().map(|(bit, mark)| u64::from(mark) << bit).sum()
    }

    /// Reads what [`encode`](Self::encode) wrote. The session goes on where its last reservation ended, and our turn is
    /// taken as soon as it is one.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        if bytes.len() > RECORD_MAX {
            return Err(malformed(DecodeError::TooLong { what: WHAT, length: bytes.len(), max: RECORD_MAX }));
        }
        let mut reader = Reader::new(bytes);
        reader.list(WHAT, 15).map_err(&malformed)?;
        check_version(WHAT, reader.uint("version").map_err(&malformed)?)?;
        let session = Self::read(&mut reader)?;
        reader.end().map_err(malformed)?;
        Ok(session)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed(WHAT);
        let id = SessionId(reader.exactly("session id").map_err(&malformed)?);
        let header_key = MacKey::new(read_secret(reader).map_err(&malformed)?);
        let suite = reader.uint("suite").map_err(&malformed)?;
        let suite = Suite::from_code(u16::try_from(suite).unwrap_or(u16::MAX))?;
        let own_certificate = reader.exactly("our certificate").map_err(&malformed)?;
        let peer = Bytes::copy_from_slice(reader.bytes("peer's certificate").map_err(&malformed)?);
        let peer = Certificate::read_own_copy(peer)?;
        let opening = Opening::read(reader).map_err(&malformed)?;
        let closed = optional(reader, "closed", |reader| reader.uint("closed").map(UnixMillis));
        let closed = closed.map_err(&malformed)?;
        let marks = reader.uint("marks").map_err(&malformed)?;
        let marked = |bit: u32| marks & (1 << bit) != 0;
        if marks > 15 {
            return Err(malformed(DecodeError::field("marks", format!("{marks}; send 0 to 15"))));
        }
        let ratchet = Ratchet::read(reader, marked(0)).map_err(malformed)?;
        let (wants_step, asks_for_step, refreshes) = (marked(1), marked(2), marked(3));
        Ok(Self {
            id,
            header_key,
            suite,
            own_certificate,
            peer,
            opening,
            ratchet,
            batches: VecDeque::new(),
            wants_step,
            asks_for_step,
            refreshes,
            reserving: None,
            closed,
            spare: None,
        })
    }
}

fn put<T>(out: &mut Writer, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.nil(),
    }
}

fn optional<T>(
    reader: &mut Reader<'_>,
    field: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if reader.nil(field)? { Ok(None) } else { read(reader).map(Some) }
}

impl Opening {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Unanswered(init) => {
                out.array(2);
                out.uint(0);
                out.bytes(init);
            }
            Self::Answered => {
                out.array(1);
                out.uint(1);
            }
            Self::Accepted { init, created } => {
                out.array(3);
                out.uint(2);
                out.bytes(init);
                out.uint(created.0);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let items = reader.items("opening", 3)?;
        match (items, reader.uint("opening")?) {
            (2, 0) => Ok(Self::Unanswered(Bytes::copy_from_slice(reader.bytes("init")?))),
            (1, 1) => Ok(Self::Answered),
            (3, 2) => {
                let init = reader.exactly("init's hash")?;
                Ok(Self::Accepted { init, created: UnixMillis(reader.uint("created")?) })
            }
            (_, kind) => Err(DecodeError::field("opening", format!("kind {kind} with {items} fields"))),
        }
    }
}

impl Ratchet {
    fn write(&self, out: &mut Writer) {
        out.bytes(self.root.expose());
        out.bytes(self.own.expose());
        put(out, self.theirs, |out, theirs| out.bytes(&theirs.0));
        put(out, self.sending.as_ref(), |out, sending| {
            out.array(4);
            out.bytes(sending.reserved.key.expose());
            out.uint(sending.reserved.next.into());
            out.uint(sending.previous.into());
            out.uint(sending.began.0);
        });
        out.array(self.receiving.len());
        self.receiving.iter().for_each(|(theirs, chain)| chain.write(theirs, out));
        out.bytes(&self.forgotten.iter().flatten().copied().collect::<Vec<u8>>());
    }

    fn read(reader: &mut Reader<'_>, may_step: bool) -> Result<Self, DecodeError> {
        let root = read_secret(reader)?;
        let own = DhSecret::from_secret(&read_secret(reader)?);
        let theirs = optional(reader, "theirs", |reader| reader.exactly("theirs").map(DhPublic))?;
        let sending = optional(reader, "sending", read_sending)?;
        let chains = reader.items("receiving", CHAINS_MAX)?;
        let receiving = (0..chains).map(|_| Receiving::read(reader)).collect::<Result<VecDeque<_>, _>>()?;
        let forgotten = reader.bytes("forgotten")?;
        let (forgotten, rest) = forgotten.as_chunks::<8>();
        let kept = receiving.iter().map(|(_, chain)| (chain.skipped.len(), chain.consumed.len()));
        let (skipped, consumed) = kept.fold((0, 0), |sum, kept| (sum.0 + kept.0, sum.1 + kept.1));
        if !rest.is_empty()
            || forgotten.len() > FORGOTTEN_MAX
            || skipped > SKIPPED_MAX
            || consumed > CONSUMED_MAX
        {
            return Err(DecodeError::field("receiving", "a table is longer than its bound"));
        }
        let forgotten = forgotten.iter().copied().collect();
        Ok(Self { root, own, theirs, may_step, sending, receiving, forgotten })
    }
}

fn read_sending(reader: &mut Reader<'_>) -> Result<Sending, DecodeError> {
    reader.list("sending", 4)?;
    let key: Secret<32> = read_secret(reader)?;
    let next = read_id(reader)?;
    let previous = read_id(reader)?;
    let began = UnixMillis(reader.uint("began")?);
    Ok(Sending::at(Label::Chain, sending::Mark { next, key }, previous, began))
}

impl Receiving {
    fn write(&self, theirs: &DhPublic, out: &mut Writer) {
        out.array(5);
        out.bytes(&theirs.0);
        self.write_tables(out);
    }

    /// The key, the number, and both tables.
    pub(crate) fn write_tables(&self, out: &mut Writer) {
        put(out, self.key.as_ref(), |out, key| out.bytes(key.expose()));
        out.uint(self.next.into());
        out.bytes(&self.skipped_bytes());
        out.bytes(&self.consumed_bytes());
    }

    fn skipped_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.skipped.len() * SKIPPED));
        for (number, skipped) in &self.skipped {
            bytes.extend_from_slice(&number.to_be_bytes());
            bytes.extend_from_slice(&skipped.since.0.to_be_bytes());
            bytes.extend_from_slice(skipped.key.expose());
        }
        bytes
    }

    fn consumed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.consumed.len() * CONSUMED);
        for (number, mark) in self.consumed.iter() {
            bytes.extend_from_slice(&number.to_be_bytes());
            bytes.extend_from_slice(&mark.0);
        }
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<(DhPublic, Self), DecodeError> {
        reader.list("receiving", 5)?;
        let theirs = DhPublic(reader.exactly("theirs")?);
        let key = optional(reader, "key", read_secret)?;
        Ok((theirs, Self::read_tables(Label::Chain, key, reader)?))
    }

    pub(crate) fn read_tables(
        label: Label,
        key: Option<Secret<32>>,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let next = read_id(reader)?;
        let skipped = table(reader.bytes("skipped")?, |entry: &[u8; 40]| {
            let (since, key) = entry.split_first_chunk::<8>()?;
            Some(Skipped { since: UnixMillis(u64::from_be_bytes(*since)), key: Secret::read(key)? })
        });
        let consumed = table(reader.bytes("consumed")?, |mark: &[u8; 8]| Some(Mark(*mark)));
        let wrong = || DecodeError::field("receiving", "send whole entries, their numbers rising");
        let (skipped, consumed) = skipped.zip(consumed).ok_or_else(wrong)?;
        let (skipped, consumed) = (skipped.into_iter().collect(), consumed.into_iter().collect());
        Ok(Self { label, key, next, skipped, consumed })
    }
}

/// Entries of a number and `N` bytes, the numbers rising.
fn table<const N: usize, T>(bytes: &[u8], read: impl Fn(&[u8; N]) -> Option<T>) -> Option<Vec<(u32, T)>> {
    let mut table: Vec<(u32, T)> = Vec::with_capacity(bytes.len() / (N + 4));
    for entry in bytes.chunks(N + 4) {
        let (number, value) = entry.split_first_chunk::<4>()?;
        let number = u32::from_be_bytes(*number);
        if table.last().is_some_and(|(last, _)| *last >= number) {
            return None;
        }
        table.push((number, read(value.try_into().ok()?)?));
    }
    Some(table)
}
