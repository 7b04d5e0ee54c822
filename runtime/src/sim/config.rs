//! What a simulation is made with: the seed, the network, the way to the store.

use std::time::Duration;

use crate::NodeOptions;

/// How a simulated cluster is made. Everything has a default; the default world is slow here and there, but kind.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// What every roll follows from. The same seed gives the same event log, byte for byte.
    pub seed: u64,
    /// How far the clock moves at a time, in whole milliseconds: no event is finer than this. A longer tick costs less.
    pub tick: Duration,
    /// How nodes reach each other.
    pub network: Network,
    /// How nodes reach the store.
    pub store: StoreFaults,
    /// How much the wall clock of a node may be ahead of the true one; each node's own amount is rolled once.
    pub skew_max: Duration,
    /// How long [`Sim::on`](super::Sim::on) waits, in virtual time, before it says that something hangs.
    pub patience: Duration,
    /// How long a node that failed to start, or that gave up, is left down: what a process manager would do.
    pub rest: Duration,
    /// How the nodes are made.
    pub node: NodeOptions,
}

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            seed: 0,
            tick: Duration::from_millis(1),
            network: Network::calm(),
            store: StoreFaults::calm(),
            skew_max: Duration::ZERO,
            patience: Duration::from_secs(60),
            rest: Duration::from_secs(1),
            node: NodeOptions::default(),
        }
    }
}

/// What happens to frames between nodes. Probabilities are between 0 and 1, for each packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The least and the greatest delay of a packet that nothing else happens to.
    pub delay: (Duration, Duration),
    /// That a packet is lost.
    pub loss: f64,
    /// That it arrives twice.
    pub duplication: f64,
    /// That it is held up, so that later ones overtake it.
    pub disorder: f64,
    /// How long a packet is held up at the most.
    pub held_up: Duration,
    /// What is made of packets that come late or twice.
    pub order: Order,
    /// How long a path may be cut before its two ends notice; then they are told that it has ended.
    pub notice: Duration,
}

/// What a receiver makes of packets that come late or twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The promise of [`Transport`](crate::port::Transport): packets are numbered; one that comes late or twice is
    /// dropped, and what is missing is told as a gap.
    Kept,
    /// Whatever arrives is handed up: late, twice, as it comes. No transport may do this. It is here to see what the
    /// protocols above survive beyond what they are promised.
    Raw,
}

impl Network {
    /// Delays of 1 to 10 ms, and nothing worse.
    pub fn calm() -> Network {
        Network {
            delay: (Duration::from_millis(1), Duration::from_millis(10)),
            loss: 0.0,
            duplication: 0.0,
            disorder: 0.0,
            held_up: Duration::from_millis(100),
            order: Order::Kept,
            notice: Duration::from_secs(2),
        }
    }

    /// Delays up to 50 ms; of a hundred packets two are lost, two doubled and two held up.
    pub fn rough() -> Network {
        Network {
            delay: (Duration::from_millis(1), Duration::from_millis(50)),
            loss: 0.02,
            duplication: 0.02,
            disorder: 0.02,
            ..Network::calm()
        }
    }
}

/// What happens on the way to the store and back. Probabilities are between 0 and 1, for each request.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreFaults {
    /// The least and the greatest delay of one way.
    pub delay: (Duration, Duration),
    /// That the request is refused: certainly without effect, and the caller knows.
    pub refused: f64,
    /// That the request is lost: without effect, and the caller does not know.
    pub request_lost: f64,
    /// That the answer is lost: it has happened, and the caller does not know. The nasty one.
    pub answer_lost: f64,
    /// That a publish arrives twice, the second time a little later.
    pub duplication: f64,
    /// How long a caller waits for an answer before it is told that none came.
    pub timeout: Duration,
}

impl StoreFaults {
    /// A way of 1 to 5 ms, and nothing worse.
    pub fn calm() -> StoreFaults {
        StoreFaults {
            delay: (Duration::from_millis(1), Duration::from_millis(5)),
            refused: 0.0,
            request_lost: 0.0,
            answer_lost: 0.0,
            duplication: 0.0,
            timeout: Duration::from_secs(2),
        }
    }

    /// A way of up to 20 ms; of a hundred requests one is refused, one is lost, of one the answer is lost, and of a
    /// hundred messages five arrive twice.
    pub fn rough() -> StoreFaults {
        StoreFaults {
            delay: (Duration::from_millis(1), Duration::from_millis(20)),
            refused: 0.01,
            request_lost: 0.01,
            answer_lost: 0.01,
            duplication: 0.05,
            ..StoreFaults::calm()
        }
    }
}
