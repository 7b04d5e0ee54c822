//! Drives a real supervisor: agents that do as the script says write the trace themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectome::prelude::*;
use connectome::protocol::restart::{ChildKind, ChildSpec, ChildState, Intensity, Refusal};
use connectome::{Flags, Supervisor, SupervisorError};
use tokio::runtime::Runtime;

use super::table::{Case, Driver, Step, answer_word, counts_words, end_word};

/// Ends as it is told to.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "end", reply = ())]
struct End {
    #[serde(skip)]
    exit: Option<Exit>,
}

/// Works for ever.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "hang", reply = ())]
struct Hang;

/// What a start comes to, instead of success.
enum Start {
    Fail,
    Ignore,
}

/// What the agents and the driver share.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    trace: Vec<String>,
    starts: BTreeMap<String, VecDeque<Start>>,
}

impl Stage {
    fn note(&self, word: impl Into<String>) {
        self.0.lock().unwrap().trace.push(word.into());
    }

    fn next_start(&self, child: &str) -> Option<Start> {
        self.0.lock().unwrap().starts.get_mut(child)?.pop_front()
    }

    fn expect(&self, child: &str, times: u32, start: fn() -> Start) {
        let mut shared = self.0.lock().unwrap();
        shared.starts.entry(child.to_owned()).or_default().extend((0..times).map(|_| start()));
    }
}

/// A child of the table: an agent, or the one agent of a supervisor that is the child.
struct Actor {
    child: String,
    stage: Stage,
    ends_itself: bool,
}

impl Agent for Actor {
    fn handles(table: &mut Table<Self>) {
        table.on::<End>();
        table.on::<Hang>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        match self.stage.next_start(&self.child) {
            None => self.stage.note(format!("+{}", self.child)),
            Some(Start::Fail) => {
                self.stage.note(format!("!{}", self.child));
                return Err(HandlerError::new("told to"));
            }
            Some(Start::Ignore) => {
                self.stage.note(format!("~{}", self.child));
                ctx.stop();
            }
        }
        Ok(())
    }

    async fn post_stop(&mut self, exit: &Exit, _: &mut Context<'_>) {
        if !self.ends_itself {
            let sign = if *exit == Exit::Killed { "x" } else { "-" };
            self.stage.note(format!("{sign}{}", self.child));
        }
    }
}

impl Handle<End> for Actor {
    async fn handle(&mut self, End { exit }: End, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.ends_itself = true;
        match exit {
            Some(Exit::Crashed(why)) => panic!("{why}"),
            Some(exit) => ctx.stop_as(exit),
            None => {}
        }
        Ok(())
    }
}

impl Handle<Hang> for Actor {
    async fn handle(&mut self, _: Hang, _: &mut Context<'_>) -> Result<(), HandlerError> {
        std::future::pending().await
    }
}

/// A node of its own for each case, on a clock that only the script moves.
pub(super) struct Real {
    runtime: Runtime,
    node: Node,
    stage: Stage,
    flags: Flags,
    children: Vec<ChildSpec>,
    supervisor: Option<Supervisor>,
}

impl Real {
    pub(super) fn new(case: &Case) -> Real {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let node = runtime.block_on(Node::start(Config::in_memory())).unwrap();
        let (stage, children) = (Stage::default(), case.children.clone());
        Real { runtime, node, stage, flags: case.flags, children, supervisor: None }
    }

    async fn start(&mut self) {
        let spec = SupervisorSpec::new("top").flags(self.flags);
        let spec = self.children.iter().fold(spec, |spec, child| self.with(spec, child));
        match self.node.router().start_supervisor(spec).await {
            Ok(supervisor) => {
                self.stage.note("ready");
                self.supervisor = Some(supervisor.clone());
                let stage = self.stage.clone();
                tokio::spawn(async move { stage.note(end_word(&supervisor.ended().await)) });
            }
            Err(error) if error.to_string().contains("could not be started") => {
                self.stage.note("end:start_failed")
            }
            Err(SupervisorError::Invalid(_)) => self.stage.note("invalid"),
            Err(other) => panic!("{other}"),
        }
    }

    fn with(&self, spec: SupervisorSpec, child: &ChildSpec) -> SupervisorSpec {
        match child.kind {
            ChildKind::Worker => spec.agent(self.agent(child)),
            ChildKind::Supervisor => spec.supervisor(self.nested(child)),
        }
    }

    fn agent(&self, child: &ChildSpec) -> AgentSpec<Actor> {
        let spec = AgentSpec::new(child.id.as_str(), self.factory(child));
        let spec = spec.restart(child.restart).stop_within(child.stop_within);
        if child.significant { spec.significant() } else { spec }
    }

    /// A supervisor that gives up with its one agent.
    fn nested(&self, child: &ChildSpec) -> SupervisorSpec {
        let flags =
            Flags { intensity: Intensity { restarts: 0, ..Intensity::default() }, ..Flags::default() };
        let agent = AgentSpec::new(child.id.as_str(), self.factory(child));
        SupervisorSpec::new(child.id.as_str()).flags(flags).restart(child.restart).agent(agent)
    }

    fn factory(&self, child: &ChildSpec) -> impl Fn() -> Actor + Send + Sync + 'static {
        let (child, stage) = (child.id.to_string(), self.stage.clone());
        move || Actor { child: child.clone(), stage: stage.clone(), ends_itself: false }
    }

    async fn tell<M: Message>(&self, child: &str, message: M) {
        // Children that do not run are told nothing.
        self.node.agent(child).unwrap().cast(message).await.ok();
    }

    async fn end(&self, child: &str, exit: Exit) {
        let exit =
            if exit == Exit::GaveUp { Exit::Crashed("so that its supervisor gives up".into()) } else { exit };
        self.tell(child, End { exit: Some(exit) }).await;
    }

    async fn ask(&self, request: impl AsyncFnOnce(&Supervisor) -> Result<&'static str, SupervisorError>) {
        let Some(supervisor) = &self.supervisor else {
            return;
        };
        let word = match request(supervisor).await {
            Ok("started") if self.ignored() => "ignored",
            Ok(word) => word,
            Err(SupervisorError::Refused { refusal, .. }) => answer_word(&Err(refusal)),
            Err(SupervisorError::Declined(_)) => "ignored",
            Err(SupervisorError::Ended(_)) => answer_word(&Err(Refusal::Ended)),
            Err(other) => panic!("{other}"),
        };
        self.stage.note(word);
    }

    fn ignored(&self) -> bool {
        self.stage.0.lock().unwrap().trace.last().is_some_and(|word| word.starts_with('~'))
    }

    async fn which(&self) {
        let Some(supervisor) = &self.supervisor else {
            return;
        };
        for (spec, state) in supervisor.children().await.unwrap() {
            let state = match state {
                ChildState::Running(_) => "up",
                ChildState::Restarting(_) => "restarting",
                ChildState::Stopped => "down",
                ChildState::Starting(_) => "starting",
            };
            self.stage.note(format!("{}={state}", spec.id));
        }
    }

    async fn count(&self) {
        if let Some(supervisor) = &self.supervisor {
            self.stage.note(counts_words(supervisor.count().await.unwrap()));
        }
    }

    /// Lets everything happen that happens at this instant; a supervisor that waits for a child's deadline is given
    /// the time for it.
    async fn settle(&self) {
        for _ in 0..20 {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            if let Some(supervisor) = &self.supervisor {
                supervisor.count().await.ok();
            }
        }
    }

    async fn play(&mut self, step: &Step) {
        match step.clone() {
            Step::Start => self.start().await,
            Step::Exit(child, exit) => self.end(child, exit).await,
            Step::Add(child) => {
                let spec = self.agent(&child);
                let router = self.node.router();
                self.ask(async |supervisor| router.spawn_below(supervisor, spec).await.map(|_| "started"))
                    .await;
            }
            Step::Terminate(child) => {
                self.ask(async |supervisor| supervisor.terminate(child).await.map(|()| "ok")).await
            }
            Step::Restart(child) => {
                self.ask(async |supervisor| supervisor.restart(child).await.map(|()| "started")).await
            }
            Step::Delete(child) => {
                self.ask(async |supervisor| supervisor.delete(child).await.map(|()| "ok")).await
            }
            Step::FailStarts(child, times) => self.stage.expect(child, times, || Start::Fail),
            Step::IgnoreStarts(child, times) => self.stage.expect(child, times, || Start::Ignore),
            Step::Hang(child) => self.tell(child, Hang).await,
            Step::Advance(ms) => tokio::time::advance(Duration::from_millis(ms)).await,
            Step::Which => self.which().await,
            Step::Count => self.count().await,
            Step::Shutdown => {
                if let Some(supervisor) = &self.supervisor {
                    supervisor.stop().await;
                }
            }
        }
    }
}

impl Driver for Real {
    fn step(&mut self, step: &Step) -> String {
        let runtime = std::mem::replace(
            &mut self.runtime,
            tokio::runtime::Builder::new_current_thread().build().unwrap(),
        );
        runtime.block_on(async {
            self.play(step).await;
            self.settle().await;
        });
        self.runtime = runtime;
        let mut trace = std::mem::take(&mut self.stage.0.lock().unwrap().trace);
        if self.flags.strategy == Strategy::Dynamic {
            sort_stops(&mut trace);
        }
        trace.join(" ")
    }
}

/// Children that are stopped together end in any order.
fn sort_stops(trace: &mut [String]) {
    for together in trace.chunk_by_mut(|a, b| is_stop(a) && is_stop(b)) {
        together.sort_by(|a, b| a[1..].cmp(&b[1..]));
    }
}

fn is_stop(word: &str) -> bool {
    word.starts_with(['-', 'x'])
}
