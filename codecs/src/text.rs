//! Bounded texts: names, keys and codes that are checked once, where they enter, and cannot be wrong inside.
//!
//! [`ParseError`] is what every text form of this crate fails with: it names the thing, the character, its position
//! and what would be right. The macros here make the types; where they are used is `address`, `envelope`, `message`.

use std::fmt;
use std::sync::Arc;

/// Why a text is not the thing it was read as.
///
/// ```
/// let error = "gree ter".parse::<connectome_codecs::AgentName>().unwrap_err();
/// assert_eq!(error.position(), Some(4));
/// assert!(error.to_string().contains("' ' at position 4"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    what: &'static str,
    input: Box<str>,
    position: Option<usize>,
    problem: String,
    right: &'static str,
}

impl ParseError {
    /// How much of a wrong text is shown: enough to find it, too little to fill a log.
    const SHOWN_MAX: usize = 64;

    pub(crate) fn new(
        what: &'static str,
        input: &str,
        problem: impl Into<String>,
        right: &'static str,
    ) -> Self {
        let input = shorten(input, Self::SHOWN_MAX).into();
        Self {
            what,
            input,
            position: None,
            problem: problem.into(),
            right,
        }
    }

    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }

    /// The thing that the text should have been, such as `agent name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The byte position of the first wrong character, where one character is to blame.
    pub fn position(&self) -> Option<usize> {
        self.position
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a valid {}: {}",
            self.input, self.what, self.problem
        )?;
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        write!(f, "; {}", self.right)
    }
}

impl std::error::Error for ParseError {}

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub(crate) fn shorten(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Which characters a text may have.
#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// `A-Z a-z 0-9 _ -`, in non-empty segments joined by `/`.
    Path,
    /// `A-Z a-z 0-9 . _ -`.
    Dotted,
    /// Visible ASCII: no space, no control characters.
    Visible,
}

impl Alphabet {
    const fn admits(self, byte: u8) -> bool {
        match self {
            Self::Path => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'),
            Self::Visible => byte.is_ascii_graphic(),
        }
    }
}

/// What one kind of text must look like.
pub(crate) struct Rule {
    pub(crate) what: &'static str,
    pub(crate) max: usize,
    pub(crate) alphabet: Alphabet,
    pub(crate) right: &'static str,
}

enum Fault {
    Empty,
    TooLong,
    Character(usize),
    EmptySegment(usize),
}

impl Rule {
    /// The same check for constants, at compile time, and for input.
    const fn fault(&self, text: &str) -> Option<Fault> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Some(Fault::Empty);
        }
        if bytes.len() > self.max {
            return Some(Fault::TooLong);
        }
        let mut at = 0;
        while at < bytes.len() {
            if !self.alphabet.admits(bytes[at]) {
                return Some(Fault::Character(at));
            }
            at += 1;
        }
        match self.alphabet {
            Alphabet::Path => empty_segment(bytes),
            Alphabet::Dotted | Alphabet::Visible => None,
        }
    }

    pub(crate) const fn holds(&self, text: &str) -> bool {
        self.fault(text).is_none()
    }

    pub(crate) fn check(&self, text: &str) -> Result<(), ParseError> {
        let Some(fault) = self.fault(text) else {
            return Ok(());
        };
        let error = |problem: String| ParseError::new(self.what, text, problem, self.right);
        Err(match fault {
            Fault::Empty => error("it is empty".into()),
            Fault::TooLong => error(format!(
                "it has {} bytes, at most {} are allowed",
                text.len(),
                self.max
            )),
            Fault::Character(at) => error(format!("{:?}", character(text, at))).at(at),
            Fault::EmptySegment(at) => error("an empty segment".into()).at(at),
        })
    }
}

/// The character at `at`, or what holds its place when `at` is inside one.
fn character(text: &str, at: usize) -> char {
    text.get(at..)
        .and_then(|rest| rest.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

const fn empty_segment(bytes: &[u8]) -> Option<Fault> {
    let mut at = 0;
    while at < bytes.len() {
        let slash = bytes[at] == b'/';
        if slash && (at == 0 || at + 1 == bytes.len() || bytes[at - 1] == b'/') {
            return Some(Fault::EmptySegment(at));
        }
        at += 1;
    }
    None
}

/// The storage of a bounded text: a constant costs nothing, anything else is shared by its clones.
#[derive(Clone)]
pub(crate) enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// Makes a bounded text type with its checks, its text form and its serde form (always text).
macro_rules! bounded_text {
    ($(#[$meta:meta])* $name:ident, $what:literal, $max:expr, $alphabet:ident, $right:literal) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name($crate::text::Text);

        impl $name {
            const RULE: $crate::text::Rule = $crate::text::Rule {
                what: $what,
                max: $max,
                alphabet: $crate::text::Alphabet::$alphabet,
                right: $right,
            };

            #[doc = concat!("Reads ", $what, " from a text; the error says which character is wrong.")]
            pub fn new(text: &str) -> Result<Self, $crate::ParseError> {
                Self::RULE.check(text)?;
                Ok(Self($crate::text::Text::Shared(text.into())))
            }

            /// Takes a constant without allocating. Write it into a `const`, so that the compiler checks it.
            ///
            /// # Panics
            /// When the text breaks the rules of this type: at compile time, in a `const`.
            pub const fn from_static(text: &'static str) -> Self {
                assert!(Self::RULE.holds(text), concat!("not a valid ", $what));
                Self($crate::text::Text::Static(text))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        $crate::text::text_traits!($name);

        impl std::str::FromStr for $name {
            type Err = $crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $crate::ParseError;
            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }
    };
}

/// Comparison, hashing, printing and serde by the text alone.
macro_rules! text_traits {
    ($name:ident) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }

        impl Eq for $name {}

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }
    };
}

/// Makes an enum whose wire form is a short text, and which keeps the texts it does not know in `Unknown`.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident, $what:literal, { $($(#[$doc:meta])* $variant:ident = $code:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
            /// A code that this version does not know, kept as it came.
            Unknown(String),
        }

        impl $name {
            /// All that this version knows, in their usual order.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)+];

            /// The text on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Unknown(code) => code,
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($code => Ok(Self::$variant),)+
                    _ => $crate::text::check_code($what, text).map(|()| Self::Unknown(text.to_owned())),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize(deserializer)
            }
        }
    };
}

pub(crate) use {bounded_text, open_enum, text_traits};

/// What a code that this version does not know must still look like.
pub(crate) fn check_code(what: &'static str, text: &str) -> Result<(), ParseError> {
    let right = "a code is 1 to 64 of A-Z a-z 0-9 . _ -";
    Rule {
        what,
        max: crate::limits::CODE_MAX,
        alphabet: Alphabet::Dotted,
        right,
    }
    .check(text)
}

/// Reads a type by its text form, without an intermediate `String`.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err = ParseError>,
{
    deserializer.deserialize_str(TextVisitor(std::marker::PhantomData))
}

struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T: std::str::FromStr<Err = ParseError>> serde::de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
