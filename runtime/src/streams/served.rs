//! The store of another node: one node of a cluster serves its embedded store, and the others use it over libp2p.
//!
//! It is the same port as the store itself, so nodes that share it work as nodes do that share NATS. What it does not do: keep
//! anything. While the node that serves is away nobody has a store, and what it has lost with its disk is lost.
//!
//! | file | what |
//! |---|---|
//! | `wire`, `said`, `mirror`, `refusal`, `parts` | units as bytes, what they say, the port's words in them: pure |
//! | `io` | units on a stream |
//! | `server` | [`StoreServer`]: sessions, what is open in them, carrying out what is asked |
//! | `client` | [`Served`]: the session, asking again, consumers and readers that outlive sessions |
//! | `lasting` | loops that go on when another supervisor takes them over |
//!
//! # How it goes
//!
//! ```text
//!  client                                        node that serves
//!    │ ── opens /connectome/streams/1 ─────────────►│
//!    │ ── hello{namespace} ────────────────────────►│
//!    │ ◄───────────────────────── welcome{store} ── │
//!    │ ── ask{1, open_consumer{handle 1, …}} ──────►│
//!    │ ── ask{2, publish{…}} + body ───────────────►│
//!    │ ◄───────────────── done{2, published{…}} ─── │
//!    │ ◄──────────────────────────── done{1, …} ─── │
//!    │ ── ask{3, fetch{handle 1, …}} ──────────────►│  waits until there is something
//!    │ ◄─────── part{3, deliveries[…]} + bodies ─── │
//!    │ ◄──────────────────────────── done{3, …} ─── │
//! ```
//!
//! Everything is asked for, readers too: `next` waits for what comes, and has at most a part's worth of it. So nothing is ever
//! sent that its receiver has no room for, and what a client does not fetch waits in the store.
//!
//! # What is promised, and by whom
//!
//! * **A question is answered once,** also when it was cancelled. Deliveries whose answer finds nobody waiting are taken back, as
//!   if they had not been made.
//! * **A lost stream.** The client opens another one, with back-off, and asks again what may be asked again: what only looks, what
//!   has an id, what is the same when it is done twice. Any other write that had left is
//!   [`Unknown`](connectome_actors::port::StreamError::Unknown). After ten seconds without a stream, or half a minute without an
//!   answer on one, whoever waits is told.
//! * **Consumers and readers outlive it.** They are opened again when they are used; a reader goes on behind what it has read, a
//!   watch compares what is there with what it knew. What a lost client had in hand comes again when its `ack_wait` is over.
//! * **Another store is never taken for this one.** Each has an id. A client that finds another one at the same node says so, and
//!   does not use it: sequences and revisions that it knows would mean something else there.
//!
//! # Who may
//!
//! Whoever the transport lets open a stream: members, where the cluster has a secret; those on the lists, where there are lists.
//! Each of them may do everything with the store, as with a NATS account. What is kept is sealed by those above, here as elsewhere.

mod client;
mod io;
mod lasting;
mod mirror;
mod parts;
mod refusal;
mod said;
mod server;
mod wire;

use std::time::Duration;

pub use client::Served;
pub use server::{ServeError, StoreServer};

/// The name of the protocol.
pub const PROTOCOL: &str = "/connectome/streams/1";

/// How long the two first units may take: a round trip, on a busy machine.
const MEET_MAX: Duration = Duration::from_secs(5);

/// Questions of one client that are not answered: its own bounds are below, and leave room for those that were cancelled.
const ASKS_MAX: usize = 4_096;
