//! Moments as people and scripts write them: RFC 3339, in UTC, to the millisecond.

use connectome::codecs::UnixMillis;

/// The last moment with a year of four digits: later ones are shown as a number.
const LAST: u64 = 253_402_300_799_999;

const DAY: u64 = 86_400_000;

/// `2026-03-01T12:00:00.250Z`.
pub(crate) fn show(moment: UnixMillis) -> String {
    let UnixMillis(millis) = moment;
    if millis > LAST {
        return format!("{millis} ms after 1970");
    }
    let (year, month, day) = date(millis / DAY);
    let (hours, minutes) = (millis % DAY / 3_600_000, millis % 3_600_000 / 60_000);
    let (seconds, rest) = (millis % 60_000 / 1_000, millis % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{rest:03}Z")
}

/// The date so many days after 1970-01-01. Years are counted from March, so that the leap day is the last of a year;
/// 400 of them have 146,097 days, and five months from March or August on have 153.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_what_the_calendar_says() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in known {
            assert_eq!(show(UnixMillis(millis)), text);
        }
        assert_eq!(show(UnixMillis(u64::MAX)), format!("{} ms after 1970", u64::MAX));
    }
}
