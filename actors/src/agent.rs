//! What a user writes: an [`Agent`], and how it [`Handle`]s each kind of message.
//!
//! An agent owns its state and handles one message at a time. It never sees a mailbox, a supervisor or a socket.

use std::any::TypeId;
use std::future::Future;

use bytes::Bytes;

use crate::context::Context;
use crate::error::HandlerError;
use crate::message::Message;
use crate::monitor::Down;
use crate::protocol::restart::Exit;
use crate::table::{Entry, run_encoded, run_typed};

/// A unit with a name, a mailbox and a life that is supervised.
///
/// Only [`handles`](Agent::handles) must be written. An `Err` or a panic in `pre_start` makes the start fail; a
/// panic anywhere else ends this incarnation, and its supervisor makes the next one from the factory.
///
/// ```
/// use connectome_actors::{Agent, Context, Handle, HandlerError, Message, Table};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(name = "add", reply = u64, crate = connectome_actors)]
/// struct Add(u64);
///
/// #[derive(Default)]
/// struct Counter { total: u64 }
///
/// impl Agent for Counter {
///     fn handles(table: &mut Table<Self>) { table.on::<Add>(); }
/// }
///
/// impl Handle<Add> for Counter {
///     async fn handle(&mut self, Add(more): Add, _: &mut Context<'_>) -> Result<u64, HandlerError> {
///         self.total += more;
///         Ok(self.total)
///     }
/// }
/// ```
pub trait Agent: Sized + Send + 'static {
    /// Whether this agent keeps state over restarts and moves: [`save`](Agent::save) after each `send` that it
    /// handled, [`restore`](Agent::restore) before it starts.
    const KEEPS_STATE: bool = false;

    /// Says which messages it handles: one `table.on::<M>()` each.
    fn handles(table: &mut Table<Self>);

    /// Runs before the first message of each incarnation.
    ///
    /// # Errors
    /// An error makes the start fail; a supervisor counts it like a crash.
    fn pre_start(&mut self, ctx: &mut Context<'_>) -> impl Future<Output = Result<(), HandlerError>> + Send {
        let _ = ctx;
        async { Ok(()) }
    }

    /// Runs after the last message of each incarnation, whatever ended it: a stop, a crash, or a kill.
    fn post_stop(&mut self, exit: &Exit, ctx: &mut Context<'_>) -> impl Future<Output = ()> + Send {
        let _ = (exit, ctx);
        async {}
    }

    /// Hears that an agent it monitors has ended; see `Context::monitor`.
    fn on_down(&mut self, down: Down, ctx: &mut Context<'_>) -> impl Future<Output = ()> + Send {
        let _ = (down, ctx);
        async {}
    }

    /// The state to keep, encoded; at most 512 KiB.
    fn save(&self) -> Bytes {
        Bytes::new()
    }

    /// Takes back what `save` gave.
    ///
    /// # Errors
    /// An error makes the start fail.
    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        let _ = state;
        Ok(())
    }
}

/// How an agent handles one type of message. The answer, or the error, reaches the caller.
pub trait Handle<M: Message>: Agent {
    /// Handles one message. Nothing else of this agent runs meanwhile; for work that takes long, see
    /// `Context::pipe`.
    fn handle(
        &mut self,
        message: M,
        ctx: &mut Context<'_>,
    ) -> impl Future<Output = Result<M::Reply, HandlerError>> + Send;
}

/// The types of message that an agent handles.
pub struct Table<A> {
    entries: Vec<Entry<A>>,
}

impl<A: Agent> Table<A> {
    /// The table that `A` declares.
    pub(crate) fn of() -> Table<A> {
        let mut table = Table { entries: Vec::new() };
        A::handles(&mut table);
        table
    }

    /// Declares that the agent handles `M`.
    pub fn on<M: Message>(&mut self)
    where
        A: Handle<M>,
    {
        self.entries.push(Entry {
            name: M::NAME,
            message: TypeId::of::<crate::parcel::Typed<M>>(),
            run_typed: run_typed::<A, M>,
            run_encoded: run_encoded::<A, M>,
        });
    }

    pub(crate) fn typed(&self, message: TypeId) -> Option<&Entry<A>> {
        self.entries.iter().find(|entry| entry.message == message)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Entry<A>> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}
