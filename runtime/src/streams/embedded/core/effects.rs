//! What an operation of the core leaves to be done: rows to write, and sleepers to wake.

use super::record::{Place, Write};

/// Someone who may be asleep until something happens: a consumer, a tail or a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bell(pub(crate) u64);

/// A new number in a place on disk: it can't be seen before the disk has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) place: Place,
    pub(crate) number: u64,
    /// Bytes of the body.
    pub(crate) size: usize,
}

/// Everything an operation leaves to be done, in order.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) writes: Vec<Write>,
    pub(crate) appended: Vec<Appended>,
    pub(crate) bells: Vec<Bell>,
}

/// The effects as one place adds to them: a place in memory writes nothing.
#[derive(Debug)]
pub(crate) struct Out<'a> {
    pub(crate) place: Place,
    pub(crate) on_disk: bool,
    pub(crate) effects: &'a mut Effects,
}

impl Out<'_> {
    pub(crate) fn write(&mut self, write: impl FnOnce(Place) -> Write) {
        if self.on_disk {
            self.effects.writes.push(write(self.place));
        }
    }

    pub(crate) fn appended(&mut self, number: u64, size: usize) {
        self.effects.appended.push(Appended { place: self.place, number, size });
    }

    pub(crate) fn ring(&mut self, bell: Bell) {
        self.effects.bells.push(bell);
    }
}
