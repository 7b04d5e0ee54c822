//! One value of the configuration: how it is read, shown, and checked.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use connectome_actors::Overflow;
use connectome_actors::port::Storage;
use connectome_codecs::Encoding;

use super::nats::{self, Profile};
use super::problem::Wrong;
use super::sealing::Peers;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use crate::telemetry::{self, Format};

/// The longest path that is taken: Linux has the same bound.
const PATH_MAX: usize = 4_096;

/// A value's place in a `Config`, with what it may be.
pub(super) enum Field<'a> {
    /// A token of at most so many characters; dots are allowed or not.
    Name {
        value: &'a mut String,
        longest: usize,
        dots: bool,
    },
    Filter(&'a mut String),
    Path(&'a mut PathBuf),
    OptionalPath(&'a mut Option<PathBuf>),
    Duration(&'a mut Duration, RangeInclusive<Duration>),
    OptionalDuration(&'a mut Option<Duration>, RangeInclusive<Duration>),
    Size(&'a mut usize, RangeInclusive<u64>),
    OptionalSize(&'a mut Option<u64>, RangeInclusive<u64>),
    Count(&'a mut usize, RangeInclusive<usize>),
    OptionalCount(&'a mut Option<u64>, RangeInclusive<u64>),
    Word(&'a mut dyn Word),
    Encodings(&'a mut Vec<Encoding>),
    /// NATS servers; what is shown has no password in it.
    Servers(&'a mut Option<String>),
    /// Several of a kind, separated by commas, and what says whether they are of that kind.
    Listed(&'a mut Option<String>, fn(&str) -> Result<(), Wrong>),
    /// Nothing else is possible, for the reason.
    Only(&'static str, &'static str),
}

impl Field<'_> {
    /// Reads a value; one that can't be read leaves the old one. Bounds are for `check`.
    pub(super) fn read(&mut self, text: &str) -> Result<(), Wrong> {
        match self {
            Field::Name { value, .. } | Field::Filter(value) => **value = text.to_owned(),
            Field::Path(value) => **value = PathBuf::from(text),
            Field::OptionalPath(value) => **value = unless_none(text, |text| Ok(PathBuf::from(text)))?,
            Field::Duration(value, _) => **value = parse_duration(text)?,
            Field::OptionalDuration(value, _) => **value = unless_none(text, parse_duration)?,
            Field::Size(value, _) => **value = usize::try_from(parse_size(text)?).unwrap_or(usize::MAX),
            Field::OptionalSize(value, _) => **value = unless_none(text, parse_size)?,
            Field::Count(value, _) => **value = parse_count(text)?,
            Field::OptionalCount(value, _) => {
                **value = unless_none(text, |text| Ok(parse_count(text)? as u64))?
            }
            Field::Word(value) => value.read(text)?,
            Field::Encodings(value) => **value = parse_encodings(text)?,
            Field::Servers(value) => **value = unless_none(text, |text| Ok(text.to_owned()))?,
            Field::Listed(value, _) => **value = unless_none(text, |text| Ok(text.to_owned()))?,
            Field::Only(word, _) if text.eq_ignore_ascii_case(word) => {}
            Field::Only(word, why) => return Err(Wrong::new(*why, format!("write {word}, or leave it out"))),
        }
        Ok(())
    }

    /// Whether the value is within its bounds.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        match self {
            Field::Name { value, longest, dots } => check_name(value, *longest, *dots),
            Field::Filter(value) => telemetry::check_filter(value).map_err(|error| {
                Wrong::new(error.to_string(), "write targets and levels, such as info,connectome=debug")
            }),
            Field::Path(value) => check_path(value),
            Field::OptionalPath(value) => value.as_deref().map_or(Ok(()), check_path),
            Field::Duration(value, range) => within(**value, range, |bound| show_duration(*bound)),
            Field::OptionalDuration(value, range) => {
                value.map_or(Ok(()), |value| within(value, range, |bound| show_duration(*bound)))
            }
            Field::Size(value, range) => within(**value as u64, range, |bound| show_size(*bound)),
            Field::OptionalSize(value, range) => {
                value.map_or(Ok(()), |value| within(value, range, |bound| show_size(*bound)))
            }
            Field::Count(value, range) => within(**value, range, ToString::to_string),
            Field::OptionalCount(value, range) => {
                value.map_or(Ok(()), |value| within(value, range, ToString::to_string))
            }
            Field::Encodings(value) => check_encodings(value),
            Field::Servers(value) => value.as_deref().map_or(Ok(()), nats::check),
            Field::Listed(value, check) => value.as_deref().map_or(Ok(()), check),
            Field::Word(_) | Field::Only(..) => Ok(()),
        }
    }
}

/// What reads back as the same value.
impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Name { value, .. } | Field::Filter(value) => f.write_str(value),
            Field::Path(value) => write!(f, "{}", value.display()),
            Field::OptionalPath(Some(value)) => write!(f, "{}", value.display()),
            Field::Duration(value, _) => f.write_str(&show_duration(**value)),
            Field::OptionalDuration(Some(value), _) => f.write_str(&show_duration(*value)),
            Field::Size(value, _) => f.write_str(&show_size(**value as u64)),
            Field::OptionalSize(Some(value), _) => f.write_str(&show_size(*value)),
            Field::Count(value, _) => write!(f, "{value}"),
            Field::OptionalCount(Some(value), _) => write!(f, "{value}"),
            Field::Word(value) => f.write_str(value.show()),
            Field::Encodings(value) => {
                f.write_str(&value.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
            Field::Servers(Some(value)) => f.write_str(&nats::shown(value)),
            Field::Listed(Some(value), _) => f.write_str(value),
            Field::OptionalPath(None)
            | Field::Listed(None, _)
            | Field::OptionalDuration(None, _)
            | Field::OptionalSize(None, _)
            | Field::OptionalCount(None, _)
            | Field::Servers(None) => f.write_str(NONE),
            Field::Only(word, _) => f.write_str(word),
        }
    }
}

/// How one says that there is none: no bound, or no path of its own.
const NONE: &str = "none";

fn unless_none<T>(text: &str, parse: fn(&str) -> Result<T, Wrong>) -> Result<Option<T>, Wrong> {
    if text.eq_ignore_ascii_case(NONE) {
        return Ok(None);
    }
    let or_none =
        |wrong: Wrong| Wrong { right: format!("{}; or {NONE}, for no bound", wrong.right), ..wrong };
    parse(text).map(Some).map_err(or_none)
}

fn parse_count(text: &str) -> Result<usize, Wrong> {
    let count = text.trim().replace('_', "").parse();
    count.map_err(|_| Wrong::new("not a whole number", "write one in digits, such as 1024"))
}

fn parse_encodings(text: &str) -> Result<Vec<Encoding>, Wrong> {
    let named = |name: &str| {
        let found =
            Encoding::KNOWN.iter().find(|known| known.to_string().eq_ignore_ascii_case(name)).copied();
        found.ok_or_else(|| Wrong::new(format!("{name:?} is no encoding"), "write some of zstd,lz4,identity"))
    };
    text.split(',').map(str::trim).map(named).collect()
}

fn check_encodings(value: &[Encoding]) -> Result<(), Wrong> {
    let twice = value.iter().enumerate().find(|(at, encoding)| value[..*at].contains(encoding));
    match twice {
        _ if value.is_empty() => {
            Err(Wrong::new("it is empty", "name one, such as lz4, or set compression.enabled to off"))
        }
        Some((_, encoding)) => Err(Wrong::new(format!("{encoding} stands there twice"), "name each once")),
        None => Ok(()),
    }
}

fn check_name(value: &str, longest: usize, dots: bool) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (dots && c == '.');
    let problem = match value.chars().find(|c| !fits(*c)) {
        Some(c) => format!("it has {c:?} in it"),
        None if value.is_empty() => "it is empty".to_owned(),
        None if value.len() > longest => format!("it has {} characters", value.len()),
        None => return Ok(()),
    };
    let dot = if dots { ", '.'" } else { "" };
    Err(Wrong::new(problem, format!("use 1 to {longest} letters, digits, '-', '_'{dot}")))
}

fn check_path(value: &Path) -> Result<(), Wrong> {
    let bytes = value.as_os_str().as_encoded_bytes();
    match bytes.len() {
        0 => Err(Wrong::new("it is empty", "name a path")),
        1..=PATH_MAX if bytes.contains(&0) => Err(Wrong::new("it has a zero byte in it", "take that out")),
        1..=PATH_MAX => Ok(()),
        more => Err(Wrong::new(format!("it has {more} bytes"), format!("name a path of at most {PATH_MAX}"))),
    }
}

fn within<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<(), Wrong> {
    let between = || format!("write something between {} and {}", show(range.start()), show(range.end()));
    if value < *range.start() {
        Err(Wrong::new("too small", between()))
    } else if value > *range.end() {
        Err(Wrong::new("too large", between()))
    } else {
        Ok(())
    }
}

/// A value with a few names.
pub(super) trait Word {
    fn read(&mut self, text: &str) -> Result<(), Wrong>;
    fn show(&self) -> &'static str;
}

/// The names of a type's values. The first one of a value is shown.
trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Words> Word for T {
    fn read(&mut self, text: &str) -> Result<(), Wrong> {
        let known = || T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let found = T::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text.trim()));
        *self = found
            .ok_or_else(|| Wrong::new("not one of the words for it", format!("write one of {}", known())))?
            .1;
        Ok(())
    }

    fn show(&self) -> &'static str {
        T::WORDS.iter().find(|(_, value)| value == self).map_or("", |(word, _)| word)
    }
}

impl Words for bool {
    const WORDS: &'static [(&'static str, bool)] =
        &[("on", true), ("off", false), ("true", true), ("false", false)];
}

impl Words for Peers {
    const WORDS: &'static [(&'static str, Peers)] = &[("any", Peers::Any), ("listed", Peers::Listed)];
}

impl Words for Storage {
    const WORDS: &'static [(&'static str, Storage)] = &[("file", Storage::File), ("memory", Storage::Memory)];
}

impl Words for Profile {
    const WORDS: &'static [(&'static str, Profile)] =
        &[("fast", Profile::Fast), ("durable", Profile::Durable)];
}

impl Words for Overflow {
    const WORDS: &'static [(&'static str, Overflow)] =
        &[("block", Overflow::Block), ("fail", Overflow::Fail), ("drop_oldest", Overflow::DropOldest)];
}

impl Words for Format {
    const WORDS: &'static [(&'static str, Format)] = &[("text", Format::Text), ("json", Format::Json)];
}
