//! What may be taken once, where no session remembers: messages to a pool, requests.
//!
//! The window holds the names of what was taken for as long as it could come again, so it must be kept with the result
//! that each led to, and shared by all that may take it. What is older than the window is refused by its date.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::id::UnixMillis;
use crate::identity::{CLOCK_SKEW_MAX, check_version};
use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The most names in a window: 16 bytes and a date each, 3 MB in all. Past it nothing is taken until the oldest are out of
/// date: forgetting one early would let it come again.
pub const REPLAYS_MAX: usize = 64 * 1024;

/// The names of what was taken.
///
/// ```
/// use std::time::Duration;
/// use connectome_codecs::UnixMillis;
/// use connectome_codecs::session::ReplayWindow;
///
/// let mut window = ReplayWindow::new(Duration::from_secs(60));
/// let (sent, now) = (UnixMillis(1_000_000), UnixMillis(1_001_000));
/// assert!(window.check(&[7; 16], sent, now).is_ok()); // looking changes nothing
/// window.take([7; 16], sent, now)?;
/// assert!(window.take([7; 16], sent, now).is_err());
/// # Ok::<(), connectome_codecs::Refusal>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    length: Duration,
    taken: BTreeSet<[u8; 16]>,
    by_date: BTreeMap<UnixMillis, BTreeSet<[u8; 16]>>,
}

impl ReplayWindow {
    /// A window of this length: the age that a message can reach.
    pub fn new(length: Duration) -> Self {
        Self { length, taken: BTreeSet::new(), by_date: BTreeMap::new() }
    }

    /// Whether this may be taken. `sent` is the date that it proves.
    ///
    /// # Errors
    /// [`Refusal::Replayed`] when it was taken, or is too old to tell; [`Refusal::ClockSkew`] when it is from the future.
    pub fn check(&self, name: &[u8; 16], sent: UnixMillis, now: UnixMillis) -> Result<(), Refusal> {
        if sent > now.after(CLOCK_SKEW_MAX) {
            Err(Refusal::ClockSkew { what: "message's date" })
        } else if sent.after(self.length) <= now || self.taken.contains(name) {
            Err(Refusal::Replayed)
        } else if self.taken.len() >= REPLAYS_MAX && self.is_current(now) {
            Err(Refusal::Full { what: "name of a message", max: REPLAYS_MAX })
        } else {
            Ok(())
        }
    }

    /// Takes it.
    ///
    /// # Errors
    /// As [`check`](Self::check); nothing changed then.
    pub fn take(&mut self, name: [u8; 16], sent: UnixMillis, now: UnixMillis) -> Result<(), Refusal> {
        self.check(&name, sent, now)?;
        self.expire(now);
        self.insert(name, sent);
        Ok(())
    }

    fn insert(&mut self, name: [u8; 16], sent: UnixMillis) {
        self.taken.insert(name);
        self.by_date.entry(sent).or_default().insert(name);
    }

    /// Forgets what is out of date.
    pub fn expire(&mut self, now: UnixMillis) {
        while let Some(oldest) =
            self.by_date.first_entry().filter(|oldest| oldest.key().after(self.length) <= now)
        {
            for name in oldest.remove() {
                self.taken.remove(&name);
            }
        }
    }

    fn is_current(&self, now: UnixMillis) -> bool {
        self.by_date.keys().next().is_some_and(|oldest| oldest.after(self.length) > now)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// The bytes to keep: `[ 1, length: ms, [ [ date: ms, names: bin, 16 bytes each ] ... ] ]`, dates and names rising.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(32 + self.taken.len() * 24);
        out.array(3);
        out.uint(1);
        out.uint(u64::try_from(self.length.as_millis()).unwrap_or(u64::MAX));
        out.array(self.by_date.len());
        for (date, names) in &self.by_date {
            out.array(2);
            out.uint(date.0);
            out.bytes(&names.iter().flatten().copied().collect::<Vec<u8>>());
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = Refusal::malformed("replay window");
        let mut reader = Reader::new(bytes);
        reader.list("replay window", 3).map_err(&malformed)?;
        check_version("replay window", reader.uint("version").map_err(&malformed)?)?;
        let window = Self::read(&mut reader).map_err(&malformed)?;
        reader.end().map_err(malformed)?;
        Ok(window)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut window = Self::new(Duration::from_millis(reader.uint("length")?));
        for _ in 0..reader.items("dates", REPLAYS_MAX)? {
            reader.list("date", 2)?;
            let date = UnixMillis(reader.uint("date")?);
            let (names, rest) = reader.bytes("names")?.as_chunks::<16>();
            if !rest.is_empty() || window.taken.len() + names.len() > REPLAYS_MAX {
                return Err(DecodeError::field("names", format!("send whole names, at most {REPLAYS_MAX}")));
            }
            names.iter().for_each(|name| window.insert(*name, date));
        }
        Ok(window)
    }
}
