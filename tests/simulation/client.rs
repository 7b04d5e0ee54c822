//! What the nodes' clients do, each as long as its node lives: call, cast, send, submit, emit.

use std::time::Duration;

use connectome::codecs::message::AgentStatus;
use connectome::prelude::*;
use connectome::protocol::Dice;
use tokio::time::{Instant, sleep};

use super::agents::{Add, Crash, Job, Mishap, Note, Read};
use super::witness::Witness;

/// A call ends by its deadline and this much; a tick of the simulation is included.
const LATE_MAX: Duration = Duration::from_millis(55);

/// The client of one life of one node.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) node: Node,
    /// The node's name and life: nobody else is called so.
    pub(super) name: String,
    /// The names of all nodes.
    pub(super) places: Vec<String>,
    pub(super) witness: Witness,
}

impl Client {
    /// Begins everything that this client does.
    pub(super) fn begin(self) {
        let (caller, sender, submitter, emitter) = (self.clone(), self.clone(), self.clone(), self);
        tokio::spawn(async move { caller.call_and_cast().await });
        tokio::spawn(async move { sender.send().await });
        tokio::spawn(async move { submitter.submit().await });
        tokio::spawn(async move { emitter.emit().await });
    }

    fn dice(&self) -> Dice {
        let id = self.node.router().message_id().to_bytes();
        Dice::new(u64::from_be_bytes(id[8..].try_into().expect("an id has sixteen bytes")))
    }

    /// Waits a little, and says whether there is to be more.
    async fn goes_on(&self, dice: &mut Dice, mean_ms: u64) -> bool {
        sleep(Duration::from_millis(1 + dice.below(2 * mean_ms))).await;
        !self.witness.is_closed()
    }

    fn place(&self, dice: &mut Dice) -> &str {
        &self.places[dice.below(self.places.len() as u64) as usize]
    }

    fn agent(&self, kind: &str, dice: &mut Dice) -> AgentRef {
        self.node.agent(&format!("{kind}-{}", self.place(dice))).expect("a good name")
    }

    async fn call_and_cast(self) {
        let mut dice = self.dice();
        while self.goes_on(&mut dice, 200).await {
            match dice.below(24) {
                0 => drop(self.agent("counter", &mut dice).cast(Crash).await),
                1 => drop(self.agent("ledger", &mut dice).cast(Crash).await),
                2..6 => drop(self.agent("counter", &mut dice).cast(Add { more: 1, after_ms: 0 }).await),
                20.. => self.read_shared(&mut dice).await,
                _ => self.call(&mut dice).await,
            }
        }
    }

    /// A call to an agent that moves ends by its deadline as well.
    async fn read_shared(&self, dice: &mut Dice) {
        let within = Duration::from_millis(100 + dice.below(2_000));
        let began = Instant::now();
        let answer = self.agent("shared", dice).call_within(within, Read).await;
        let took = began.elapsed();
        if took > within + LATE_MAX {
            self.witness.wrong(format!("a call of {} with {within:?} took {took:?}", self.name));
        }
        let mut seen = self.witness.seen();
        seen.calls += 1;
        seen.calls_answered += u64::from(answer.is_ok());
    }

    /// Every call ends by its deadline.
    async fn call(&self, dice: &mut Dice) {
        let within = Duration::from_millis(100 + dice.below(2_000));
        let add = Add { more: 1, after_ms: dice.below(300) };
        let began = Instant::now();
        let answer = self.agent("counter", dice).call_within(within, add).await;
        let took = began.elapsed();
        if took > within + LATE_MAX {
            self.witness.wrong(format!("a call of {} with {within:?} took {took:?}: {answer:?}", self.name));
        }
        let mut seen = self.witness.seen();
        seen.calls += 1;
        seen.calls_answered += u64::from(answer.is_ok());
    }

    /// Sends numbers to ledgers, each until it is stored, under one id.
    async fn send(self) {
        let mut dice = self.dice();
        while self.goes_on(&mut dice, 150).await {
            let kind = if dice.below(2) == 0 { "ledger" } else { "shared" };
            let ledger = format!("{kind}-{}", self.place(&mut dice));
            let key = (self.name.clone(), ledger.clone());
            let number = {
                let mut seen = self.witness.seen();
                let sent = seen.sent.entry(key.clone()).or_default();
                sent.push(false);
                sent.len() as u64 - 1
            };
            let (to, id) = (self.node.agent(&ledger).expect("a good name"), self.node.router().message_id());
            let note = Note { sender: self.name.clone(), number };
            while to.send_as(id, note.clone()).await.is_err() {
                sleep(Duration::from_millis(200)).await;
            }
            self.witness.seen().sent.get_mut(&key).expect("it was just there")[number as usize] = true;
        }
    }

    /// Submits jobs, each until it is accepted, under one id.
    async fn submit(self) {
        let mut dice = self.dice();
        while self.goes_on(&mut dice, 400).await {
            let takes_ms = if dice.below(10) == 0 { 3_000 } else { dice.below(400) };
            let mishap = match dice.below(20) {
                0 | 1 => Mishap::Crash,
                2 | 3 => Mishap::Error,
                4 => Mishap::Rejected,
                5 => Mishap::Hangs,
                _ => Mishap::None,
            };
            let id = self.node.router().task_id();
            self.witness.seen().submitted.insert(id, false);
            let job = Job { takes_ms, mishap };
            while self.node.submit(Submit::new("work", job.clone()).id(id).attempts(20)).await.is_err() {
                sleep(Duration::from_millis(200)).await;
            }
            self.witness.seen().submitted.insert(id, true);
        }
    }

    /// Emits numbered events, each once.
    async fn emit(self) {
        let mut dice = self.dice();
        while self.goes_on(&mut dice, 500).await {
            let number = {
                let mut seen = self.witness.seen();
                let emitted = seen.emitted.entry(self.name.clone()).or_default();
                emitted.push(false);
                emitted.len() - 1
            };
            let fact = Fact::AgentStatusUpdated(event::AgentStatusUpdated {
                agent: "client".parse().expect("a good name"),
                status: AgentStatus::Busy,
                load: None,
                detail: Some(format!("{} {number}", self.name)),
            });
            if self.node.emit(fact).await.is_ok() {
                self.witness.seen().emitted.get_mut(&self.name).expect("it was just there")[number] = true;
            }
        }
    }
}
