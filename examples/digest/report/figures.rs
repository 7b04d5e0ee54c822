//! Numbers as a reader wants them: `12,345`, `3 h 05 min`, `1 document`.

use std::fmt;

use super::READING_WORDS_PER_MINUTE;

/// A count with its thousands set apart.
pub(super) struct Count(pub(super) u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            let separator = at > 0 && (digits.len() - at).is_multiple_of(3);
            write!(f, "{}{digit}", if separator { "," } else { "" })?;
        }
        Ok(())
    }
}

/// How long it takes to read so many words.
pub(super) struct Reading(pub(super) u64);

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.div_ceil(READING_WORDS_PER_MINUTE).max(1);
        match (minutes / 60, minutes % 60) {
            (0, minutes) => write!(f, "{minutes} min"),
            (hours, minutes) if hours < 10 => write!(f, "{hours} h {minutes:02} min"),
            (hours, _) => write!(f, "{} h", Count(hours)),
        }
    }
}

/// So many of a thing, in the singular where it is one.
pub(super) struct Of(pub(super) usize, pub(super) &'static str);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", Count(self.0 as u64), self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        // Property: thousands are set apart, times are in minutes and hours, one thing is singular.
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(|n| Count(n).to_string()),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 239, 238 * 61, 238 * 60 * 2_000].map(|n| Reading(n).to_string()),
            ["1 min", "2 min", "1 h 01 min", "2,000 h"]
        );
        assert_eq!([Of(1, "theme").to_string(), Of(2, "theme").to_string()], ["1 theme", "2 themes"]);
    }
}
