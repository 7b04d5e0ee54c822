//! From node to node with no one between, in two processes on loopback: ours beside a raw libp2p stream and a raw socket.

mod far;
mod near;

use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Runtime;

use near::Near;

pub(crate) use far::child;

use crate::harness::{Group, Unit};
use crate::nats::{all, at};
use crate::runtimes::{run, threads};

/// How the other process is started.
pub(crate) const CHILD: &str = "libp2p-far";

/// Echoes of one turn with one in flight, and with many.
const ECHOES: usize = 5_000;
const ECHOES_AT_ONCE: usize = 50_000;

/// Messages one way of one turn.
const CASTS: usize = 300_000;

/// Frames of 1 MiB of one turn.
const LARGE: usize = 64;

/// Bytes of a small message.
const SMALL: usize = 64;

/// Turns: another process makes figures that are far apart anyway.
const ROUNDS: usize = 5;

const ECHO: &str = "\
64 bytes to the other process and back, one at a time, over TCP. connectome: a call from an agent's reference to the agent, with
  envelope, deadline and accounts. The frame: through the transport alone. The raw stream: one long-lived libp2p stream. The
  raw socket: length-delimited, without Noise and Yamux.";

const MANY: &str = "\
The same with so many under way.";

const CAST: &str = "\
64 bytes one way, until the receiver has counted the last one. The raw socket writes 64 KiB at a time.";

const BULK: &str = "\
64 frames of 1 MiB to the other process, until it has counted the last one; for one of them.";

const UNDER: &str = "\
64 bytes to the other process and back, one at a time, while frames of 1 MiB go the same way as fast as they are taken.";

pub(crate) fn groups() -> Vec<Group> {
    let stage = Stage { runtime: Rc::new(threads()), near: Rc::default() };
    let one = |name: &str, share: usize| {
        Group::new(format!("libp2p, echo, 1 in flight, {name}"), Unit::Nanoseconds, ECHO)
            .way("connectome", stage.turn(move |near| async move { at(share, near.calls(ECHOES).await) }))
            .way("raw stream", stage.turn(move |near| async move { at(share, near.streamed(ECHOES).await) }))
            .way("frame", stage.turn(move |near| async move { at(share, near.echoes(ECHOES).await) }))
            .way("raw socket", stage.turn(move |near| async move { at(share, near.socket(ECHOES).await) }))
            .at_most(ROUNDS)
    };
    let many = |at_once: usize| {
        Group::new(format!("libp2p, echo, {at_once} in flight"), Unit::Nanoseconds, MANY)
            .way(
                "connectome",
                stage.turn(move |near| all(ECHOES_AT_ONCE, at_once, move || near.clone().call())),
            )
            .way(
                "frame",
                stage.turn(move |near| async move { near.pipelined(ECHOES_AT_ONCE, at_once).await }),
            )
            .at_most(ROUNDS)
    };
    let under = |name: &str, share: usize| {
        Group::new(format!("libp2p, echo under bulk, {name}"), Unit::Nanoseconds, UNDER)
            .way("frame", stage.turn(move |near| async move { at(share, near.under_bulk(ECHOES / 5).await) }))
            .at_most(ROUNDS)
    };
    vec![
        one("p50", 50),
        one("p99", 99),
        many(64),
        many(256),
        Group::new("libp2p, cast of 64 bytes", Unit::Nanoseconds, CAST)
            .way("connectome", stage.turn(|near| async move { near.casts(CASTS / 3).await }))
            .way("frame", stage.turn(|near| async move { near.one_way(CASTS, SMALL).await }))
            .at_most(ROUNDS),
        Group::new("libp2p, 1 MiB one way", Unit::Nanoseconds, BULK)
            .way("frame", stage.turn(|near| async move { near.one_way(LARGE, near::LARGE_BYTES).await }))
            .at_most(ROUNDS),
        under("p50", 50),
        under("p99", 99),
    ]
}

/// What all groups share, set up by the first that has a turn.
struct Stage {
    runtime: Rc<Runtime>,
    near: Rc<std::cell::OnceCell<Arc<Near>>>,
}

impl Stage {
    fn turn<F>(&self, work: impl Fn(Arc<Near>) -> F + 'static) -> impl FnMut() -> f64 + 'static
    where
        F: Future<Output = f64> + Send + 'static,
    {
        let (runtime, near) = (self.runtime.clone(), self.near.clone());
        move || {
            let near = near.get_or_init(|| Arc::new(run(&runtime, Near::begin())));
            run(&runtime, work(near.clone()))
        }
    }
}
