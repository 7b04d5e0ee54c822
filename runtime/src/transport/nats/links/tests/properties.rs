//! Whatever wires lose and repeat, and whoever begins anew: frames come once and in order, and every loss is told.

use connectome_actors::port::Inbound;
use proptest::prelude::*;

use super::network::{Network, id, number, numbered};

/// What happens on a wire from one node to the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    Send { from: usize, frames: u64, size: usize },
    Deliver { from: usize, messages: usize },
    Lose { from: usize, messages: usize },
    Repeat { from: usize },
    Take { at: usize, items: usize },
    Tick,
    Restart { at: usize },
}

/// What one node has sent to the other, and what the other was told.
#[derive(Debug, Default, Clone, Copy)]
struct Account {
    sent: u64,
    read: u64,
    missing: u64,
    /// The number of the frame that was read last.
    last: Option<u64>,
    ends: u64,
}

struct Run {
    network: Network,
    /// By the node that sent.
    accounts: [Account; 2],
}

impl Run {
    fn new() -> Run {
        Run { network: Network::met(2), accounts: Default::default() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { from, frames, size } => (0..frames).for_each(|_| self.send(from, size)),
            Step::Deliver { from, messages } => {
                let delivered = (0..messages).take_while(|_| self.network.deliver(from, 1 - from));
                assert!(delivered.count() <= messages);
            }
            Step::Lose { from, messages } => {
                let wire = self.network.wires.entry((from, 1 - from)).or_default();
                drop(wire.drain(..messages.min(wire.len())));
            }
            Step::Repeat { from } => {
                let wire = self.network.wires.entry((from, 1 - from)).or_default();
                wire.extend(wire.front().cloned());
                wire.rotate_right(1.min(wire.len()));
            }
            Step::Take { at, items } => (0..items).for_each(|_| self.take(at)),
            Step::Tick => self.network.tick(1),
            Step::Restart { at } => self.network.restart(at),
        }
    }

    fn send(&mut self, from: usize, size: usize) {
        let account = &mut self.accounts[from];
        if self.network.send(from, 1 - from, &numbered(account.sent, size)).is_ok() {
            account.sent += 1;
        }
    }

    fn take(&mut self, at: usize) {
        let account = &mut self.accounts[1 - at];
        match self.network.take(at) {
            Some(Inbound::Frame { from, frame }) => {
                assert_eq!(from, id(1 - at));
                assert!(account.last < Some(number(&frame)), "once, and in order");
                assert!(number(&frame) < account.sent, "it was sent");
                account.last = Some(number(&frame));
                account.read += 1;
            }
            Some(Inbound::Gap { frames, .. }) => account.missing += frames.unwrap(),
            Some(Inbound::Disconnected { .. }) => account.ends += 1,
            other => assert!(other.is_none()),
        }
    }

    /// Nothing is lost any more, and everyone reads: both reach each other, and frames come.
    fn recover(&mut self) {
        for _ in 0..60 {
            self.network.calm(1);
            for at in [0, 1] {
                (0..3_000).for_each(|_| self.take(at));
            }
        }
        for from in [0, 1] {
            let read = self.accounts[from].read;
            assert!(self.network.nodes[from].reaches(id(1 - from)), "they meet again");
            self.send(from, 8);
            self.network.deliver_all();
            self.take(1 - from);
            assert_eq!(self.accounts[from].read, read + 1, "nothing is wedged");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0usize..2;
    let sizes = prop_oneof![Just(8usize), 300usize..2_000];
    prop_oneof![
        6 => (at(), prop_oneof![1u64..10, 200u64..700], sizes)
            .prop_map(|(from, frames, size)| Step::Send { from, frames, size }),
        8 => (at(), prop_oneof![1usize..10, 100usize..2_000])
            .prop_map(|(from, messages)| Step::Deliver { from, messages }),
        3 => (at(), prop_oneof![1usize..4, 100usize..2_000])
            .prop_map(|(from, messages)| Step::Lose { from, messages }),
        2 => at().prop_map(|from| Step::Repeat { from }),
        6 => (at(), prop_oneof![1usize..10, 100usize..1_500])
            .prop_map(|(at, items)| Step::Take { at, items }),
        6 => Just(Step::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// As long as no link ends, what was sent is what was read and what was told as missing.
    #[test]
    fn every_loss_is_told(steps in proptest::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        steps.into_iter().for_each(|step| run.step(step));
        run.recover();
        for account in run.accounts {
            prop_assert!(account.ends > 0 || account.sent == account.read + account.missing, "{account:?}");
        }
    }

    /// Nodes that begin anew in between are met again, and nothing of an old life is mixed into the new one.
    #[test]
    fn lives_do_not_mix(
        steps in proptest::collection::vec(
            prop_oneof![12 => step(), 1 => (0usize..2).prop_map(|at| Step::Restart { at })], 1..80),
    ) {
        let mut run = Run::new();
        steps.into_iter().for_each(|step| run.step(step));
        run.recover();
    }
}
