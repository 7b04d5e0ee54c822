//! Sizes and durations as people write them: `1GB`, `64KiB`, `7d`, `1500ms`, `1h30m`.
//!
//! What is shown reads back as the same value. Only whole numbers: `1500ms`, not `1.5s`.

use std::time::Duration;

use super::problem::Wrong;

/// The longest text that is looked at: four times the longest duration in nanoseconds.
const TEXT_MAX: usize = 128;

/// Bytes in a unit; a name in any case. Decimal and binary mean what they say.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// Nanoseconds in a unit, shortest first.
const DURATIONS: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
    ("w", 7 * 86_400 * NANOS_PER_SECOND),
];

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Reads a size in bytes. A number without a unit is bytes.
///
/// ```
/// use connectome::config::units::{parse_size, show_size};
///
/// assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
/// assert_eq!(parse_size("64 KiB"), Ok(65_536));
/// assert_eq!(show_size(8 * 1024 * 1024), "8MiB");
/// assert!(parse_size("lots").is_err());
/// ```
///
/// # Errors
/// When it is no whole number with a unit, or larger than 2^64 - 1.
pub fn parse_size(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = number_and_unit(text.trim()).ok_or_else(no_size)?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let bytes = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(no_size)?.1;
    let size = number.checked_mul(bytes.into()).and_then(|size| u64::try_from(size).ok());
    size.ok_or_else(|| Wrong::new("more than 2^64 - 1 bytes", "write a smaller size, such as 100GB"))
}

/// The size in the unit that makes it the smallest whole number.
pub fn show_size(bytes: u64) -> String {
    let fits = SIZES.iter().filter(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (name, unit) = fits.max_by_key(|(_, unit)| *unit).unwrap_or(&SIZES[0]);
    format!("{}{name}", bytes / unit)
}

/// Reads a duration: numbers with units, which add up.
///
/// ```
/// use std::time::Duration;
/// use connectome::config::units::{parse_duration, show_duration};
///
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5_400)));
/// assert_eq!(show_duration(Duration::from_millis(1_500)), "1500ms");
/// assert!(parse_duration("5").unwrap_err().to_string().contains("has no unit"));
/// ```
///
/// # Errors
/// When a number has no unit or is not whole, or the sum is longer than a [`Duration`] can be.
pub fn parse_duration(text: &str) -> Result<Duration, Wrong> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.len() > TEXT_MAX {
        return Err(no_duration());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let end =
            rest.char_indices().find(|(at, c)| *at > 0 && c.is_ascii_digit() && !precedes_digit(rest, *at));
        let (part, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        nanos = nanos.checked_add(part_in_nanos(part.trim())?).ok_or_else(too_long)?;
        rest = after;
    }
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| too_long())?;
    Ok(Duration::new(seconds, (nanos % NANOS_PER_SECOND) as u32))
}

/// The duration in the longest unit, up to days, that makes it a whole number.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fits = DURATIONS.iter().filter(|(name, unit)| *name != "w" && nanos.is_multiple_of(*unit));
    let (name, unit) = fits.max_by_key(|(_, unit)| *unit).unwrap_or(&DURATIONS[0]);
    format!("{}{name}", nanos / unit)
}

/// Whether the character before this one belongs to the same number.
fn precedes_digit(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(at.wrapping_sub(1)), Some(b'0'..=b'9' | b'_'))
}

fn part_in_nanos(part: &str) -> Result<u128, Wrong> {
    let (number, unit) = number_and_unit(part).ok_or_else(no_duration)?;
    if unit.is_empty() {
        let right = format!("write {number}s, or another unit: ms, s, m, h, d");
        return Err(Wrong::new("it has no unit", right));
    }
    let nanos = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(no_duration)?.1;
    number.checked_mul(nanos).ok_or_else(too_long)
}

/// Digits, with `_` between them where one likes, and what follows.
fn number_and_unit(text: &str) -> Option<(u128, &str)> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number = digits.replace('_', "").parse().ok()?;
    Some((number, unit.trim_start()))
}

fn no_size() -> Wrong {
    Wrong::new(
        "not a size",
        "write a whole number and a unit (B, KB, KiB, MB, MiB, GB, GiB, TB, TiB), such as 1GB",
    )
}

fn no_duration() -> Wrong {
    Wrong::new(
        "not a duration",
        "write a whole number and a unit (ms, s, m, h, d, w), such as 1500ms, 2s or 7d",
    )
}

fn too_long() -> Wrong {
    Wrong::new("longer than a duration can be", "write a shorter one, such as 365d")
}
