//! What was measured, as tables for people or as one JSON document.

use serde_json::{Value, json};

use super::group::{Measured, Unit};
use super::options::Options;
use super::samples::Samples;

/// Shows each group as soon as it is measured, or all of them in the end.
pub(crate) struct Report {
    json: Option<Vec<Value>>,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Report {
        let report = Report { json: options.json.then(Vec::new) };
        if report.json.is_none() {
            println!(
                "Medians of {} turns each; ratio: ours over the other, below 1 ours is better.",
                options.rounds
            );
        }
        report
    }

    pub(crate) fn add(&mut self, measured: Measured) {
        match &mut self.json {
            Some(groups) => groups.push(document(&measured)),
            None => print(&measured),
        }
    }

    pub(crate) fn finish(self) {
        if let Some(groups) = self.json {
            println!("{:#}", json!({ "groups": groups }));
        }
    }
}

fn print(measured: &Measured) {
    println!("\n{}", measured.name);
    println!("  {:<38} {:>10} {:>23} {:>12} {:>7}", "", "median", "min - max", "per second", "ratio");
    for (at, (name, samples)) in measured.ways.iter().enumerate() {
        let unit = measured.unit;
        let range = format!("{} - {}", show(unit, samples.min()), show(unit, samples.max()));
        let ratio = ratio(measured, at).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let (median, rate) = (show(unit, samples.median()), rate(unit, samples));
        println!("  {name:<38} {median:>10} {range:>23} {rate:>12} {ratio:>7}");
    }
    if !measured.note.is_empty() {
        println!("  {}", measured.note);
    }
}

/// Ours, the first, over this one.
fn ratio(measured: &Measured, at: usize) -> Option<f64> {
    let (_, ours) = measured.ways.first()?;
    let (_, other) = measured.ways.get(at)?;
    (at > 0).then(|| ours.median() / other.median())
}

fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Nanoseconds if value < 10e3 => format!("{value:.0} ns"),
        Unit::Nanoseconds if value < 10e6 => format!("{:.1} us", value / 1e3),
        Unit::Nanoseconds => format!("{:.1} ms", value / 1e6),
        Unit::Bytes => format!("{value:.0} B"),
    }
}

fn rate(unit: Unit, samples: &Samples) -> String {
    match unit {
        Unit::Nanoseconds => format!("{:.0}", 1e9 / samples.median()),
        Unit::Bytes => String::new(),
    }
}

fn document(measured: &Measured) -> Value {
    let way = |(at, (name, samples)): (usize, &(String, Samples))| {
        json!({
            "name": name,
            "median": samples.median(),
            "min": samples.min(),
            "max": samples.max(),
            "ours_over_this": ratio(measured, at),
        })
    };
    let unit = match measured.unit {
        Unit::Nanoseconds => "nanoseconds per operation",
        Unit::Bytes => "bytes per agent",
    };
    let ways: Vec<_> = measured.ways.iter().enumerate().map(way).collect();
    json!({ "name": measured.name, "unit": unit, "note": measured.note, "ways": ways })
}
