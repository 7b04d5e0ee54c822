//! One counter, kept in five ways: what differs is only how its messages come to it.

mod channel;
mod kameo;
mod ours;
mod ractor;

use std::sync::Arc;

use tokio::sync::Notify;

pub(crate) use self::channel::Channel;
pub(crate) use self::kameo::{Kameo, KameoDeadline};
pub(crate) use self::ours::Ours;
pub(crate) use self::ractor::{Ractor, RactorDeadline};

/// Messages that a bounded mailbox holds, for all that have one: our default.
pub(crate) const CAPACITY: usize = 1_024;

/// An actor that adds up what it is sent.
pub(crate) trait Peer: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    /// Starts one that notifies whoever waits each time it has taken `goal` messages.
    fn start(goal: Goal) -> impl Future<Output = Self> + Send;

    /// Sends one way.
    fn cast(&self, value: u64) -> impl Future<Output = ()> + Send;

    /// Asks, and waits for the sum.
    fn call(&self, value: u64) -> impl Future<Output = u64> + Send;
}

/// When to tell that all messages have come.
#[derive(Clone)]
pub(crate) struct Goal {
    pub(crate) messages: u64,
    pub(crate) reached: Arc<Notify>,
}

/// The state of the actor, and its work.
pub(crate) struct Counter {
    sum: u64,
    came: u64,
    goal: Goal,
}

impl Counter {
    pub(crate) fn new(goal: Goal) -> Counter {
        Counter { sum: 0, came: 0, goal }
    }

    pub(crate) fn add(&mut self, value: u64) -> u64 {
        self.sum = self.sum.wrapping_add(value);
        self.came += 1;
        if self.came == self.goal.messages {
            self.came = 0;
            self.goal.reached.notify_one();
        }
        self.sum
    }
}
