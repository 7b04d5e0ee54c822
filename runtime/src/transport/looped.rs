//! A loop that is never without somebody who runs it: a supervisor's actor where there is one, and a task of its own where
//! there is none, since a transport and a store work without a node as well.
//!
//! Whoever runs it has the turn; the task gives it up as soon as an actor asks for it, and takes it again when the actor ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use connectome_actors::port::{Notice, Notices, Part};
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// One run of a loop's body.
pub(crate) struct Run<'n> {
    /// Who hears what it has to say.
    pub(crate) notices: &'n dyn Notices,
    /// Whether the run before it was cut off in its middle.
    pub(crate) follows_a_crash: bool,
}

type Body = Box<dyn for<'n> Fn(Run<'n>) -> BoxFuture<'n, Result<(), String>> + Send + Sync>;

/// A loop, and whose turn it is.
pub(crate) struct Looped {
    name: Cow<'static, str>,
    body: Body,
    turn: Mutex<()>,
    asked: Notify,
    /// Whether an actor's run has begun and not ended in order.
    is_open: AtomicBool,
}

/// A loop with its task, which ends with this.
#[derive(Debug)]
pub(crate) struct Attended {
    looped: Arc<Looped>,
    alone: AbortHandle,
}

impl Attended {
    /// Begins a loop. A body that fails is a supervisor's to run again, and so is one that ends too early: one that has nothing to
    /// do waits until its transport or store is closed.
    pub(crate) fn start(
        name: impl Into<Cow<'static, str>>,
        body: impl for<'n> Fn(Run<'n>) -> BoxFuture<'n, Result<(), String>> + Send + Sync + 'static,
    ) -> Attended {
        let (turn, asked, is_open) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        let looped = Arc::new(Looped { name: name.into(), body: Box::new(body), turn, asked, is_open });
        let alone = tokio::spawn(Arc::clone(&looped).stand_in()).abort_handle();
        Attended { looped, alone }
    }

    /// For a supervisor.
    pub(crate) fn part(&self) -> Arc<dyn Part> {
        self.looped.clone()
    }

    /// Ends the task; an actor goes on until its supervisor ends it.
    pub(crate) fn end(&self) {
        self.alone.abort();
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        self.end();
    }
}

impl Looped {
    async fn stand_in(self: Arc<Looped>) {
        loop {
            let _turn = self.turn.lock().await;
            let follows_a_crash = self.is_open.swap(false, Ordering::AcqRel);
            tokio::select! {
                biased;
                // Whoever asked is in line for the turn before us.
                () = self.asked.notified() => {}
                ended = (self.body)(Run { notices: &Unheard, follows_a_crash }) => {
                    if let Err(problem) = ended {
                        tracing::warn!(part = &*self.name, problem, "a part has ended, and no supervisor runs it");
                    }
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Part for Looped {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, stop: CancellationToken, notices: &dyn Notices) -> Result<(), String> {
        let turn = self.turn.lock();
        tokio::pin!(turn);
        // In line first, so that the task that gives its turn up does not get it again.
        let _turn = match futures_util::poll!(&mut turn) {
            Poll::Ready(turn) => turn,
            Poll::Pending => {
                self.asked.notify_one();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    turn = turn => turn,
                }
            }
        };
        let follows_a_crash = self.is_open.swap(true, Ordering::AcqRel);
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = (self.body)(Run { notices, follows_a_crash }) => return ended,
        }
        self.is_open.store(false, Ordering::Release);
        Ok(())
    }
}

impl std::fmt::Debug for Looped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Looped({})", self.name)
    }
}

/// Nobody listens to what a part says that no supervisor runs; its counters and the log have it all the same.
struct Unheard;

#[async_trait]
impl Notices for Unheard {
    async fn tell(&self, _: Notice) {}
}
