//! The counter as a raw ractor actor: what ours is built on. Its mailbox has no bound.

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::{Counter, Goal, Peer};
use crate::runtimes::DEADLINE;

#[derive(Clone)]
pub(crate) struct Ractor(ActorRef<Add>);

/// The same with a deadline for each call, as ours has.
#[derive(Clone)]
pub(crate) struct RactorDeadline(Ractor);

pub(crate) enum Add {
    Cast(u64),
    Call(u64, RpcReplyPort<u64>),
}

struct Adder;

impl Actor for Adder {
    type Msg = Add;
    type State = Counter;
    type Arguments = Goal;

    async fn pre_start(&self, _: ActorRef<Add>, goal: Goal) -> Result<Counter, ActorProcessingErr> {
        Ok(Counter::new(goal))
    }

    async fn handle(
        &self,
        _: ActorRef<Add>,
        add: Add,
        counter: &mut Counter,
    ) -> Result<(), ActorProcessingErr> {
        match add {
            Add::Cast(value) => drop(counter.add(value)),
            Add::Call(value, reply) => reply.send(counter.add(value))?,
        }
        Ok(())
    }
}

impl Peer for Ractor {
    const NAME: &'static str = "ractor";

    async fn start(goal: Goal) -> Ractor {
        let (actor, _task) = Adder::spawn(None, Adder, goal).await.expect("its start can't fail");
        Ractor(actor)
    }

    async fn cast(&self, value: u64) {
        self.0.cast(Add::Cast(value)).expect("the actor runs");
    }

    async fn call(&self, value: u64) -> u64 {
        answer(self.0.call(|reply| Add::Call(value, reply), None).await.expect("the actor runs"))
    }
}

impl Peer for RactorDeadline {
    const NAME: &'static str = "ractor, with its timeout";

    async fn start(goal: Goal) -> RactorDeadline {
        RactorDeadline(Ractor::start(goal).await)
    }

    async fn cast(&self, value: u64) {
        self.0.cast(value).await;
    }

    async fn call(&self, value: u64) -> u64 {
        let RactorDeadline(Ractor(actor)) = self;
        answer(actor.call(|reply| Add::Call(value, reply), Some(DEADLINE)).await.expect("the actor runs"))
    }
}

fn answer(result: CallResult<u64>) -> u64 {
    match result {
        CallResult::Success(sum) => sum,
        CallResult::Timeout | CallResult::SenderError => panic!("the actor did not answer"),
    }
}
