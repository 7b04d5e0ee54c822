//! The children, in the order they were started.

use std::collections::BTreeMap;

use super::meter::Meter;
use super::{ChildId, ChildSpec, Incarnation, TimerToken};

/// Where a child stands in the start order. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position(u64);

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    /// Nothing; only its specification is kept.
    Stopped,
    /// It was asked to start and has not answered.
    Starting(Incarnation),
    /// It runs.
    Running(Incarnation),
    /// It waits to be restarted.
    Restarting(TimerToken),
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) state: ChildState,
    /// Its own restarts; used when each child is counted alone.
    pub(super) meter: Meter,
}

#[derive(Debug, Default)]
pub(super) struct Roster {
    children: BTreeMap<Position, Child>,
    positions: BTreeMap<ChildId, Position>,
    next: u64,
}

impl Roster {
    /// Adds a stopped child at the end. The caller has made sure that its name is new.
    pub(super) fn push(&mut self, spec: ChildSpec) -> Position {
        let position = Position(self.next);
        self.next += 1;
        self.positions.insert(spec.id.clone(), position);
        self.children.insert(position, Child { spec, state: ChildState::Stopped, meter: Meter::default() });
        position
    }

    pub(super) fn remove(&mut self, position: Position) -> Option<Child> {
        let child = self.children.remove(&position)?;
        self.positions.remove(&child.spec.id);
        Some(child)
    }

    pub(super) fn find(&self, id: &ChildId) -> Option<Position> {
        self.positions.get(id).copied()
    }

    pub(super) fn get(&self, position: Position) -> Option<&Child> {
        self.children.get(&position)
    }

    pub(super) fn get_mut(&mut self, position: Position) -> Option<&mut Child> {
        self.children.get_mut(&position)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Child> {
        self.children.values()
    }

    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// All positions in start order.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = Position> {
        self.children.keys().copied()
    }

    /// This position and the ones after it, in start order.
    pub(super) fn from(&self, position: Position) -> impl DoubleEndedIterator<Item = Position> {
        self.children.range(position..).map(|(position, _)| *position)
    }
}
