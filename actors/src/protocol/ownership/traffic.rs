//! The way to the store: so many requests at a time, the others in line.

use std::collections::VecDeque;

use super::Action;

/// Requests to the store in flight at the most: enough to fill group commits, few enough that a node with ten
/// thousand names does not stand in the way of its own messages.
pub const REQUESTS_MAX: usize = 64;

/// Bounds what is asked of the store at a time.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    in_flight: usize,
    /// At most one or two for each name, since a lease waits for the answer before it asks again.
    waiting: VecDeque<Action>,
}

impl Traffic {
    /// Says a request now, or when there is room.
    pub(super) fn ask(&mut self, request: Action, actions: &mut Vec<Action>) {
        if self.in_flight < REQUESTS_MAX {
            self.in_flight += 1;
            actions.push(request);
        } else {
            self.waiting.push_back(request);
        }
    }

    /// One was answered: the next one may go.
    pub(super) fn answered(&mut self, actions: &mut Vec<Action>) {
        match self.waiting.pop_front() {
            Some(next) => actions.push(next),
            None => self.in_flight = self.in_flight.saturating_sub(1),
        }
    }
}
