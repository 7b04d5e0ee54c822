//! One thing, measured in several ways that take turns.

use super::options::Options;
use super::samples::Samples;

/// What a sample is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds for one operation.
    Nanoseconds,
    /// Bytes for one agent.
    Bytes,
}

/// One thing, measured in several ways.
pub(crate) struct Group {
    name: String,
    unit: Unit,
    note: &'static str,
    rounds_max: usize,
    ways: Vec<Way>,
}

/// One way of doing it. A turn gives nanoseconds, or bytes, for one operation.
struct Way {
    name: String,
    turn: Box<dyn FnMut() -> f64>,
}

/// A group that was measured.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) note: &'static str,
    /// In the order they were added: ours first, then the one it is compared with.
    pub(crate) ways: Vec<(String, Samples)>,
}

impl Group {
    /// A group without ways yet. Ours is added first, what it is compared with second, then the rest.
    pub(crate) fn new(name: impl Into<String>, unit: Unit, note: &'static str) -> Group {
        Group { name: name.into(), unit, note, rounds_max: usize::MAX, ways: Vec::new() }
    }

    pub(crate) fn way(mut self, name: impl Into<String>, turn: impl FnMut() -> f64 + 'static) -> Group {
        self.ways.push(Way { name: name.into(), turn: Box::new(turn) });
        self
    }

    /// Bounds the turns of a group whose turns take long.
    pub(crate) fn at_most(mut self, rounds: usize) -> Group {
        self.rounds_max = rounds;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Gives each way its turns, one after the other, after one turn each that does not count.
    pub(crate) fn run(mut self, options: &Options) -> Measured {
        self.ways.retain(|way| options.wants_way(&way.name));
        let mut samples: Vec<Samples> = self.ways.iter().map(|_| Samples::default()).collect();
        for round in 0..=options.rounds.min(self.rounds_max) {
            for (way, samples) in self.ways.iter_mut().zip(&mut samples) {
                let sample = (way.turn)();
                if round > 0 {
                    samples.add(sample);
                }
            }
        }
        let ways = self.ways.into_iter().map(|way| way.name).zip(samples).collect();
        Measured { name: self.name, unit: self.unit, note: self.note, ways }
    }
}
