//! Nothing that is written panics, and what is shown reads back.

use proptest::prelude::*;

use super::super::units::{parse_duration, parse_size, show_duration, show_size};
use super::super::{KEYS, source};
use super::*;

#[test]
fn durations_and_sizes_are_read_as_people_write_them() {
    let millis = |text| parse_duration(text).map(|duration| duration.as_millis()).ok();
    let read = [
        ("1500ms", 1_500),
        ("2s", 2_000),
        ("1h30m", 5_400_000),
        ("1m 30s", 90_000),
        ("1_000 ms", 1_000),
        ("1w", 604_800_000),
        ("0s", 0),
    ];
    assert!(read.iter().all(|(text, expected)| millis(text) == Some(*expected)));
    assert!(
        ["", "s", "5", "1.5s", "-1s", "1x", "1s2", "s1", "1 2s", "99999999999999999999999w", "1é"]
            .iter()
            .all(|text| millis(text).is_none())
    );
    let read = [
        ("0", 0),
        ("1500", 1_500),
        ("1kb", 1_000),
        ("1 KiB", 1_024),
        ("1GB", 1_000_000_000),
        ("16777215TiB", 16_777_215 << 40),
    ];
    assert!(read.iter().all(|(text, expected)| parse_size(text) == Ok(*expected)));
    assert!(
        ["", "GB", "1.5GB", "-1", "1G", "1 GB GB", "16777216TiB", "1é"]
            .iter()
            .all(|text| parse_size(text).is_err())
    );
}

proptest! {
    #[test]
    fn a_size_reads_back_as_it_was_shown(size: u64, shift in 0..64u32) {
        let size = size >> shift;
        prop_assert_eq!(parse_size(&show_size(size)), Ok(size));
    }

    #[test]
    fn a_duration_reads_back_as_it_was_shown(seconds: u64, shift in 0..64u32, nanos in 0..1_000_000_000u32) {
        for duration in [Duration::new(seconds >> shift, nanos), Duration::from_secs(seconds >> shift)] {
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }

    #[test]
    fn no_text_makes_a_unit_panic(text in ".{0,200}", units in "[0-9_]{0,40}[a-zA-Zµ ]{0,3}[0-9_]{0,40}[a-z]{0,2}") {
        for text in [text, units] {
            drop((parse_size(&text), parse_duration(&text)));
        }
    }

    #[test]
    fn no_file_panics(text in "(?s).{0,400}") {
        drop(source::settings(Path::new("c.toml"), &text, &mut Vec::new()));
    }

    #[test]
    fn no_file_that_looks_like_one_panics(
        lines in prop::collection::vec("(\\[{0,2}[a-z.\"é]{0,12}\\]{0,2})?([a-z_.\"]{0,12} ?=? ?['\"\\[{}\\],0-9a-zé.:-]{0,12})?", 0..12),
    ) {
        drop(source::settings(Path::new("c.toml"), &lines.join("\n"), &mut Vec::new()));
    }

    #[test]
    fn no_value_of_any_key_panics_and_what_is_taken_reads_back(key in 0..KEYS.len(), text in "\\PC{0,20}|[0-9]{1,5}(ms|s|m|h|d|MiB|GB)?") {
        let key = &KEYS[key];
        let Ok(config) = from_flags(&[(key.name, &text)]) else { return Ok(()) };
        let shown = values(&config);
        let flags: Vec<_> = shown.iter().map(|(key, value)| (*key, value.as_str())).collect();
        prop_assert_eq!(values(&from_flags(&flags).unwrap()), shown);
    }

    #[test]
    fn no_environment_panics(pairs in prop::collection::vec(("(CONNECTOME_|NATS_|AGENT_)?\\PC{0,20}", "\\PC{0,20}"), 0..8)) {
        drop(Config::load(None, pairs, []));
    }
}
