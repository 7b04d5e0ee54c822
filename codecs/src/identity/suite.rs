//! Which primitives two instances use together: one choice, not one for each primitive.

use std::fmt;

use crate::refusal::Refusal;
use crate::wire::{DecodeError, Reader, Writer};

/// The most suites that an instance lists, those included that this version does not know.
const SUITES_MAX: usize = 16;

/// One set of primitives. The greater is the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// X25519, HKDF-SHA256, AES-256-GCM, Ed25519.
    Classic,
    /// The same, and ML-KEM-768 in the handshake.
    Hybrid,
}

impl Suite {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Classic => 0x0001,
            Self::Hybrid => 0x0002,
        }
    }

    /// # Errors
    /// [`Refusal::UnsupportedSuite`] when this version does not know it.
    pub fn from_code(code: u16) -> Result<Self, Refusal> {
        match code {
            0x0001 => Ok(Self::Classic),
            0x0002 => Ok(Self::Hybrid),
            suite => Err(Refusal::UnsupportedSuite { suite }),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.code())
    }
}

/// The suites that an instance lists, rising, those of later versions included.
///
/// ```
/// use connectome_codecs::identity::{Suite, Suites};
///
/// let both = Suites::of(&[Suite::Classic, Suite::Hybrid]);
/// assert_eq!(both.best_common(&Suites::of(&[Suite::Classic])), Some(Suite::Classic));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suites(Vec<u16>);

impl Suites {
    /// These, in the order of their numbers.
    pub fn of(suites: &[Suite]) -> Self {
        let mut codes: Vec<u16> = suites.iter().map(|suite| suite.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        Self(codes)
    }

    /// Whether it is listed.
    pub fn lists(&self, suite: Suite) -> bool {
        self.0.contains(&suite.code())
    }

    /// The best that both list and this version knows.
    pub fn best_common(&self, theirs: &Self) -> Option<Suite> {
        [Suite::Hybrid, Suite::Classic].into_iter().find(|suite| self.lists(*suite) && theirs.lists(*suite))
    }

    /// Two bytes for each, the higher first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|code| code.to_be_bytes()).collect()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.array(self.0.len());
        self.0.iter().for_each(|code| out.uint((*code).into()));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut codes: Vec<u16> = Vec::new();
        for _ in 0..reader.items("suites", SUITES_MAX)? {
            let code = u16::try_from(reader.uint("suite")?).ok();
            let rising = code.filter(|code| codes.last().is_none_or(|last| last < code));
            codes.push(
                rising.ok_or_else(|| DecodeError::field("suites", "send numbers below 65,536, rising"))?,
            );
        }
        Ok(Self(codes))
    }
}
