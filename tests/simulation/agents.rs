//! The agents of the simulated cluster: a ledger that keeps its state, a counter, and a worker with bad days.

use std::time::Duration;

use connectome::prelude::*;
use tokio::time::sleep;

use super::witness::Witness;

/// A durable message of one sender, numbered from 0.
#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "note", reply = ())]
pub(super) struct Note {
    pub(super) sender: String,
    pub(super) number: u64,
}

/// What a ledger has noted: whose, which number, under which term of its own.
pub(super) type Noted = (String, u64, u64);

/// What a ledger has noted.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "read", reply = Vec<Noted>)]
pub(super) struct Read;

/// Adds after a while.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "add", reply = u64)]
pub(super) struct Add {
    pub(super) more: u64,
    pub(super) after_ms: u64,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "crash", reply = ())]
pub(super) struct Crash;

/// A piece of work; answered with the term it was done under.
#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "job", reply = u64)]
pub(super) struct Job {
    pub(super) takes_ms: u64,
    pub(super) mishap: Mishap,
}

/// What happens to the first attempt at a job.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mishap {
    None,
    Crash,
    Error,
    /// Every attempt fails for good.
    Rejected,
    /// It never ends, in a pipe.
    Hangs,
}

/// Panics in a way that the tests keep quiet about.
fn crash() -> ! {
    std::panic::panic_any(super::run::CRASH.to_owned())
}

/// Notes what it is sent, and keeps it.
pub(super) struct Ledger {
    pub(super) notes: Vec<Noted>,
    pub(super) witness: Witness,
    pub(super) place: String,
}

impl Agent for Ledger {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Read>();
        table.on::<Crash>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        match ctx.term() {
            Some(term) => self.witness.owns(ctx.name().as_str(), term, &self.place),
            None => self.witness.started(format!("{} on {}", ctx.name(), self.place)),
        }
        Ok(())
    }

    fn save(&self) -> connectome::Bytes {
        connectome::codecs::wire::encode(&self.notes).expect("names and numbers can be encoded")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.notes = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Note> for Ledger {
    async fn handle(&mut self, note: Note, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.notes.push((note.sender, note.number, ctx.term().map_or(0, |term| term.0)));
        Ok(())
    }
}

impl Handle<Read> for Ledger {
    async fn handle(&mut self, _: Read, _: &mut Context<'_>) -> Result<Vec<Noted>, HandlerError> {
        Ok(self.notes.clone())
    }
}

impl Handle<Crash> for Ledger {
    async fn handle(&mut self, _: Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        crash()
    }
}

pub(super) struct Counter {
    pub(super) total: u64,
    pub(super) witness: Witness,
    pub(super) place: String,
}

impl Agent for Counter {
    fn handles(table: &mut Table<Self>) {
        table.on::<Add>();
        table.on::<Crash>();
    }

    async fn pre_start(&mut self, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        self.witness.started(format!("{} on {}", ctx.name(), self.place));
        Ok(())
    }
}

impl Handle<Add> for Counter {
    async fn handle(&mut self, add: Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        sleep(Duration::from_millis(add.after_ms)).await;
        self.total += add.more;
        Ok(self.total)
    }
}

impl Handle<Crash> for Counter {
    async fn handle(&mut self, _: Crash, _: &mut Context<'_>) -> Result<(), HandlerError> {
        crash()
    }
}

pub(super) struct Worker {
    pub(super) witness: Witness,
}

impl Agent for Worker {
    fn handles(table: &mut Table<Self>) {
        table.on::<Job>();
    }
}

impl Handle<Job> for Worker {
    async fn handle(&mut self, job: Job, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        let task =
            ctx.task().cloned().ok_or_else(|| HandlerError::rejected("a job is submitted, not sent"))?;
        self.witness.attempt(task.id(), task.term());
        sleep(Duration::from_millis(job.takes_ms)).await;
        match job.mishap {
            Mishap::Rejected => Err(HandlerError::rejected("nobody could do this")),
            Mishap::Crash if task.attempt().0 == 1 => crash(),
            Mishap::Error if task.attempt().0 == 1 => Err(HandlerError::new("not today")),
            Mishap::Hangs if task.attempt().0 == 1 => ctx.pipe(std::future::pending()),
            Mishap::None | Mishap::Crash | Mishap::Error | Mishap::Hangs => Ok(task.term().0),
        }
    }
}
