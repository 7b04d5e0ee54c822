//! An agent that runs what a test gives it, and a log that a test can wait on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use connectome::DownReason;
use connectome::prelude::*;
use tokio::sync::{oneshot, watch};

use super::support::{Add, Crash, Seen};

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

type Work = dyn for<'a, 'b> FnOnce(&'a mut Context<'b>) -> Boxed<'a, Result<u64, HandlerError>> + Send;
type Hook = dyn for<'a, 'b> Fn(&'a mut Context<'b>) -> Boxed<'a, Result<(), HandlerError>> + Send + Sync;

/// Runs a closure as a handler. For agents of this node only: a closure does not travel.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "do", reply = u64)]
pub(crate) struct Do {
    #[serde(skip)]
    work: Option<Box<Work>>,
}

pub(crate) fn work(
    work: impl for<'a, 'b> FnOnce(&'a mut Context<'b>) -> Boxed<'a, Result<u64, HandlerError>> + Send + 'static,
) -> Do {
    Do { work: Some(Box::new(work)) }
}

/// Lets the compiler see a hook that is made apart from its use.
pub(crate) fn hook<H>(hook: H) -> H
where
    H: for<'a, 'b> Fn(&'a mut Context<'b>) -> Boxed<'a, Result<(), HandlerError>> + Send + Sync + 'static,
{
    hook
}

/// What happened, in order.
#[derive(Clone)]
pub(crate) struct Log(Arc<watch::Sender<Vec<String>>>);

impl Default for Log {
    fn default() -> Log {
        Log(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Log {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.send_modify(|log| log.push(what.into()));
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Waits until the log is as the test wants it.
    pub(crate) async fn until(&self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut log = self.0.subscribe();
        let heard = log.wait_for(|log| wanted(log));
        let heard = tokio::time::timeout(Duration::from_secs(60), heard).await;
        match heard {
            Ok(log) => log.expect("the log is kept by this value").clone(),
            Err(_) => panic!("it did not come to that: {:?}", self.all()),
        }
    }

    pub(crate) async fn has(&self, what: &str) {
        self.until(|log| log.iter().any(|entry| entry == what)).await;
    }
}

/// What a probe does beside its messages.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    pub(crate) log: Log,
    pre_start: Option<Arc<Hook>>,
    post_stop: Option<Arc<Hook>>,
    on_down: Option<Arc<Hook>>,
}

impl Plan {
    pub(crate) fn new(log: &Log) -> Plan {
        Plan { log: log.clone(), ..Plan::default() }
    }

    pub(crate) fn pre_start(
        mut self,
        hook: impl for<'a, 'b> Fn(&'a mut Context<'b>) -> Boxed<'a, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Plan {
        self.pre_start = Some(Arc::new(hook));
        self
    }

    pub(crate) fn post_stop(
        mut self,
        hook: impl for<'a, 'b> Fn(&'a mut Context<'b>) -> Boxed<'a, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Plan {
        self.post_stop = Some(Arc::new(hook));
        self
    }

    pub(crate) fn on_down(
        mut self,
        hook: impl for<'a, 'b> Fn(&'a mut Context<'b>) -> Boxed<'a, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Plan {
        self.on_down = Some(Arc::new(hook));
        self
    }

    /// The factory of an agent of this plan.
    pub(crate) fn agent(self) -> impl Fn() -> Probe + Send + Sync + 'static {
        move || Probe { plan: self.clone(), seen: Vec::new() }
    }
}

pub(crate) struct Probe {
    plan: Plan,
    seen: Vec<u64>,
}

impl Agent for Probe {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
        table.on::<Crash>();
        table.on::<Do>();
        table.on::<Seen>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        if let Some(hook) = self.plan.pre_start.clone() {
            hook(ctx).await?;
        }
        self.plan.log.add(format!("{} started {}", ctx.name(), ctx.incarnation()));
        Ok(())
    }

    async fn post_stop(&mut self, exit: &Exit, ctx: &mut Context<'_>) {
        self.plan.log.add(format!("{} stopped {}: {exit}", ctx.name(), ctx.incarnation()));
        if let Some(hook) = self.plan.post_stop.clone() {
            hook(ctx).await.ok();
        }
    }

    async fn on_down(&mut self, down: Down, ctx: &mut Context<'_>) {
        let reason = match &down.reason {
            DownReason::Exit(exit) => exit.to_string(),
            DownReason::NoAgent => "no agent".to_owned(),
            DownReason::NodeLost(_) => "node lost".to_owned(),
            other => format!("{other:?}"),
        };
        self.plan.log.add(format!("{} heard: {} {}: {reason}", ctx.name(), down.agent, down.incarnation));
        if let Some(hook) = self.plan.on_down.clone() {
            hook(ctx).await.ok();
        }
    }
}

impl Handle<Add> for Probe {
    async fn handle(&mut self, Add(number): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        self.seen.push(number);
        Ok(number)
    }
}

impl Handle<Crash> for Probe {
    async fn handle(&mut self, Crash(why): Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        panic!("{why}")
    }
}

impl Handle<Seen> for Probe {
    async fn handle(&mut self, _: Seen, _: &mut Context<'_>) -> Result<Vec<u64>, HandlerError> {
        Ok(self.seen.clone())
    }
}

impl Handle<Do> for Probe {
    async fn handle(&mut self, Do { work }: Do, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        match work {
            Some(work) => work(ctx).await,
            None => Err(HandlerError::rejected("a closure does not travel")),
        }
    }
}

/// Keeps an agent busy until it is released.
pub(crate) struct Busy(oneshot::Sender<()>);

impl Busy {
    pub(crate) fn release(self) {
        // It may have been killed meanwhile.
        self.0.send(()).ok();
    }
}

/// Makes an agent busy, and returns once it is.
pub(crate) async fn busy(agent: &AgentRef) -> Busy {
    let (entered, is_busy) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let hold = work(move |_| {
        Box::pin(async move {
            entered.send(()).ok();
            released.await.ok();
            Ok(0)
        })
    });
    agent.cast(hold).await.expect("an agent that is to be busy takes a message");
    is_busy.await.expect("it comes to the message");
    Busy(release)
}

/// Writes to the log when it is dropped.
pub(crate) struct OnDrop(pub(crate) Log, pub(crate) &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.add(self.1);
    }
}

/// A probe of a plain plan.
pub(crate) async fn probe(node: &Node, name: &str) -> AgentRef {
    node.spawn(name, Plan::default().agent()).await.expect("a probe starts")
}
