//! A node's side of whoever follows a stream or a bucket: nothing is lost, however often its path is cut.

use async_trait::async_trait;
use connectome_actors::port::{Entry, Stored, StreamError, Tail, Watch};
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot};

use super::super::store::Kind;
use super::{Client, Lent, Told};

pub(super) struct SimTail {
    tail: Lent<Mutex<Box<dyn Tail>>>,
    next: Next<Stored>,
}

impl SimTail {
    pub(super) fn new(client: Client, what: String, tail: Lent<Mutex<Box<dyn Tail>>>) -> SimTail {
        SimTail { tail, next: Next { client, what, under_way: None } }
    }
}

#[async_trait]
impl Tail for SimTail {
    async fn next(&mut self) -> Result<Stored, StreamError> {
        let tail = self.tail.clone();
        self.next.ask(|| Box::pin(async move { tail.lock().await.next().await })).await
    }
}

pub(super) struct SimWatch {
    watch: Lent<Mutex<Box<dyn Watch>>>,
    next: Next<Entry>,
}

impl SimWatch {
    pub(super) fn new(client: Client, what: String, watch: Lent<Mutex<Box<dyn Watch>>>) -> SimWatch {
        SimWatch { watch, next: Next { client, what, under_way: None } }
    }
}

#[async_trait]
impl Watch for SimWatch {
    async fn next(&mut self) -> Result<Entry, StreamError> {
        let watch = self.watch.clone();
        self.next.ask(|| Box::pin(async move { watch.lock().await.next().await })).await
    }
}

/// One question at a time, which outlives the future that asked it.
struct Next<T> {
    client: Client,
    what: String,
    under_way: Option<oneshot::Receiver<Result<T, StreamError>>>,
}

impl<T: Told> Next<T> {
    async fn ask(
        &mut self,
        operation: impl FnOnce() -> BoxFuture<'static, Result<T, StreamError>>,
    ) -> Result<T, StreamError> {
        if self.under_way.is_none() {
            let Client { wire, node } = &self.client;
            let fate = wire.roll();
            self.under_way = Some(wire.begin(node, &self.what, Kind::Following, &fate, operation())?);
        }
        let Some(answer) = &mut self.under_way else { return Err(ended(&self.what)) };
        let answered = answer.await;
        self.under_way = None;
        answered.unwrap_or_else(|_| Err(ended(&self.what)))
    }
}

fn ended(what: &str) -> StreamError {
    StreamError::Unavailable(format!("{what}: the simulation has ended"))
}
