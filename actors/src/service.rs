//! Machinery as supervised actors: a loop that runs until it is told to stop, restarted when it crashes.
//!
//! Stream consumers, dispatchers and keepers are services. Agents are not: they have mailboxes (`incarnation.rs`).

use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use ractor::{ActorCell, ActorProcessingErr, ActorRef};
use tokio_util::sync::CancellationToken;

use crate::error::panic_text;
use crate::protocol::restart::Exit;
use crate::supervisor::{ExitSlot, Orders, Running, Start, Started};

/// A loop of the machinery. A new one is made for each incarnation.
pub trait Service: Send + 'static {
    /// Runs until `stop` is cancelled, or there is nothing more to do.
    ///
    /// # Errors
    /// What went wrong, in words; the supervisor starts another one.
    fn run(self, stop: CancellationToken) -> impl Future<Output = Result<(), String>> + Send;
}

/// Starts a service again and again.
pub(crate) struct ServiceStart<F, S> {
    make: F,
    kind: PhantomData<fn() -> S>,
}

impl<S: Service, F: Fn() -> S + Send + Sync + 'static> ServiceStart<F, S> {
    pub(crate) fn shared(make: F) -> Arc<dyn Start> {
        Arc::new(ServiceStart { make, kind: PhantomData })
    }
}

#[async_trait]
impl<S: Service, F: Fn() -> S + Send + Sync + 'static> Start for ServiceStart<F, S> {
    async fn start(&self, parent: ActorCell) -> Result<Started, String> {
        let (exit, stop) = (ExitSlot::default(), CancellationToken::new());
        let life = Life { service: Some((self.make)()), exit: exit.clone(), stop: stop.clone() };
        let spawned = ractor::Actor::spawn_linked(None, Shell(PhantomData), life, parent).await;
        let (actor, _task) = spawned.map_err(|error| error.to_string())?;
        drop(actor.send_message(Run));
        let actor = actor.get_cell();
        let orders = Arc::new(ServiceOrders { stop, actor: actor.clone() });
        Ok(Started::Running(Running { actor, exit, orders }))
    }
}

struct ServiceOrders {
    stop: CancellationToken,
    actor: ActorCell,
}

impl Orders for ServiceOrders {
    fn stop(&self) {
        self.stop.cancel();
    }
    fn kill(&self) {
        self.actor.kill();
    }
}

struct Run;

struct Shell<S>(PhantomData<fn() -> S>);

struct Life<S> {
    service: Option<S>,
    exit: ExitSlot,
    stop: CancellationToken,
}

impl<S: Service> ractor::Actor for Shell<S> {
    type Msg = Run;
    type State = Life<S>;
    type Arguments = Life<S>;

    async fn pre_start(&self, _: ActorRef<Run>, life: Life<S>) -> Result<Life<S>, ActorProcessingErr> {
        Ok(life)
    }

    async fn handle(
        &self,
        myself: ActorRef<Run>,
        _: Run,
        life: &mut Life<S>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(service) = life.service.take() else { return Ok(()) };
        let ended = AssertUnwindSafe(service.run(life.stop.clone())).catch_unwind().await;
        life.exit.set(match ended {
            Ok(Ok(())) if life.stop.is_cancelled() => Exit::Shutdown,
            Ok(Ok(())) => Exit::Normal,
            Ok(Err(problem)) => Exit::Crashed(problem),
            Err(panic) => Exit::Crashed(panic_text(panic)),
        });
        myself.stop(None);
        Ok(())
    }
}
