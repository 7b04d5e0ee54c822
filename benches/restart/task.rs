//! A task that is spawned again over the same channel: the floor.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::Phoenix;

/// More than the two messages that each of them gets.
const CAPACITY: usize = 16;

pub(super) struct Task(mpsc::Sender<Say>);

enum Say {
    Ask(oneshot::Sender<u64>),
    Crash,
}

impl Phoenix for Task {
    const NAME: &'static str = "tokio task, spawned again";
    type Nest = JoinSet<()>;

    async fn nest() -> Self::Nest {
        JoinSet::new()
    }

    async fn hatch(keepers: &mut Self::Nest, _: usize) -> Task {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        keepers.spawn(keep(Arc::new(Mutex::new(receiver))));
        Task(sender)
    }

    async fn crash_and_ask(&mut self) -> u64 {
        let (reply, answer) = oneshot::channel();
        self.0.send(Say::Crash).await.expect("the task will be there");
        self.0.send(Say::Ask(reply)).await.expect("the task will be there");
        answer.await.expect("the next task answers")
    }

    async fn clear(keepers: Self::Nest) {
        drop(keepers);
    }
}

async fn keep(messages: Arc<Mutex<mpsc::Receiver<Say>>>) {
    while tokio::spawn(serve(messages.clone())).await.is_err() {}
}

async fn serve(messages: Arc<Mutex<mpsc::Receiver<Say>>>) {
    let mut messages = messages.lock().await;
    while let Some(say) = messages.recv().await {
        match say {
            // Whoever asked may have gone away.
            Say::Ask(reply) => drop(reply.send(1)),
            Say::Crash => panic!("as it should"),
        }
    }
}
