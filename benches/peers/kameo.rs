//! The counter as a kameo actor, its mailbox bounded as ours.

use std::convert::Infallible;

use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};

use super::{CAPACITY, Counter, Goal, Peer};
use crate::runtimes::DEADLINE;

#[derive(Clone)]
pub(crate) struct Kameo(ActorRef<Adder>);

/// The same with a deadline for each call, as ours has.
#[derive(Clone)]
pub(crate) struct KameoDeadline(Kameo);

struct Adder(Counter);

struct Add(u64);

impl Actor for Adder {
    type Args = Adder;
    type Error = Infallible;

    async fn on_start(adder: Adder, _: ActorRef<Adder>) -> Result<Adder, Infallible> {
        Ok(adder)
    }
}

impl Message<Add> for Adder {
    type Reply = u64;

    async fn handle(&mut self, Add(value): Add, _: &mut Context<Adder, u64>) -> u64 {
        self.0.add(value)
    }
}

impl Peer for Kameo {
    const NAME: &'static str = "kameo";

    async fn start(goal: Goal) -> Kameo {
        Kameo(Adder::spawn_with_mailbox(Adder(Counter::new(goal)), mailbox::bounded(CAPACITY)))
    }

    async fn cast(&self, value: u64) {
        self.0.tell(Add(value)).await.expect("the actor runs");
    }

    async fn call(&self, value: u64) -> u64 {
        self.0.ask(Add(value)).await.expect("the actor answers")
    }
}

impl Peer for KameoDeadline {
    const NAME: &'static str = "kameo, with its timeout";

    async fn start(goal: Goal) -> KameoDeadline {
        KameoDeadline(Kameo::start(goal).await)
    }

    async fn cast(&self, value: u64) {
        self.0.cast(value).await;
    }

    async fn call(&self, value: u64) -> u64 {
        let KameoDeadline(Kameo(actor)) = self;
        actor.ask(Add(value)).reply_timeout(DEADLINE).await.expect("the actor answers")
    }
}
