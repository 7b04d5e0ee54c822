//! The counter as a task behind a channel: the floor, with no supervision, no types and no deadline.

use tokio::sync::{mpsc, oneshot};

use super::{CAPACITY, Counter, Goal, Peer};

#[derive(Clone)]
pub(crate) struct Channel(mpsc::Sender<Add>);

enum Add {
    Cast(u64),
    Call(u64, oneshot::Sender<u64>),
}

impl Peer for Channel {
    const NAME: &'static str = "tokio channel and task";

    async fn start(goal: Goal) -> Channel {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        tokio::spawn(serve(receiver, Counter::new(goal)));
        Channel(sender)
    }

    async fn cast(&self, value: u64) {
        self.0.send(Add::Cast(value)).await.expect("the task runs");
    }

    async fn call(&self, value: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        self.0.send(Add::Call(value, reply)).await.expect("the task runs");
        answer.await.expect("the task answers")
    }
}

async fn serve(mut adds: mpsc::Receiver<Add>, mut counter: Counter) {
    while let Some(add) = adds.recv().await {
        match add {
            Add::Cast(value) => drop(counter.add(value)),
            // Whoever asked may have gone away.
            Add::Call(value, reply) => drop(reply.send(counter.add(value))),
        }
    }
}
