//! The NATS connection of a node, and the transport over it: frames between the nodes of a namespace, by core NATS.
//!
//! What it promises is what [`Transport`](connectome_actors::port::Transport) says. What it does not do: keep frames for a
//! peer that is away (that is for streams), seal them (that happens above it), or choose who may be a node.
//!
//! | file | what |
//! |---|---|
//! | `connection`, `options` | one connection, watched and counted; shared with the streams |
//! | `transport`, `shell` | [`NatsTransport`], and the loops that carry out what is decided |
//! | `links` | every decision, pure: meeting, carrying, watching |
//! | `link` | one link: the window, what has arrived, whether its peer lives |
//! | `packet` | the bytes |
//! | `subjects`, `identity`, `counts` | where, who, how many |
//! | `status` | how a node is, for whoever asks |
//! | `monitor` | whether servers force each write to the disk |
//!
//! # Subjects
//!
//! A node has one inbox, `<namespace>.node.<node id>`; `<namespace>.nodes` is everyone's. Both are all that a node's user must
//! be allowed to subscribe to, and `<namespace>.node.*` and `<namespace>.nodes` all that it must be allowed to publish to.
//! Where it may subscribe to `<namespace>.status` as well, it says there how it is.
//!
//! # Bytes
//!
//! Every message has one packet. Numbers are big-endian; a node id is its 32 bytes, a token 16, a signature 64 (Ed25519).
//!
//! | at | what |
//! |---|---|
//! | 0 | `0x43`, the letter C |
//! | 1 | the version of this protocol, 1; a packet of another one is counted and left |
//! | 2 | the kind |
//! | 3 | the rest, by kind, with nothing behind it |
//!
//! | kind | name | rest |
//! |---|---|---|
//! | 1 | announce | node id of the sender, incarnation (8), signature |
//! | 2 | hello | node id and incarnation of the sender, node id and incarnation of the receiver, token, echo (a token), signature |
//! | 3 | data | token, sequence (8), read (8), the frame |
//! | 4 | part | token, sequence (8), read (8), offset (4), size of the frame (4), the bytes from there on |
//! | 5 | credit | token, read (8) |
//! | 6 | keep-alive | token, sent (8), read (8); a request, to be answered at the sender's inbox |
//! | 7 | farewell | token, sent (8) |
//! | 8 | refused | token |
//!
//! **Links.** An incarnation is random for each life of a node; a token is what the receiver of a link wants to be called by
//! when it is sent to. How two nodes exchange tokens is drawn in `links/meeting.rs`. A new life, or a new token, is a new link;
//! what comes under an old token is not taken.
//!
//! **Frames** of a link are numbered from 0. What was skipped is lost, and told as a gap; what comes twice is dropped. A frame
//! too large for the server goes in parts, under one number, one behind the other. `sent` is how many frames were sent so far,
//! so that the loss of the last ones is seen, too.
//!
//! **Pressure.** `read` is the number of the frame before which everything that was received has been read (or is lost). A
//! sender has at most 1,024 frames and 8 MiB beyond that under way. It stands in every packet that can carry it, so credits go
//! by themselves only where nothing else goes; as totals, a lost one costs nothing.
//!
//! **Life.** A keep-alive goes to each peer four times a second (less often from 50 peers on: a node sends 200 a second). NATS
//! answers one that nobody hears; told twice, the peer is gone. So is one that is silent for 3 s: hung, or cut off. One that
//! gets a keep-alive of a link it does not know refuses it, and the two meet anew.
//!
//! # What is protected
//!
//! Announce and hello are signed by the node, over the namespace, a zero byte and the packet as far as the signature, in the
//! context `connectome/nats/link/v1` (see `keystore::signed_bytes`). The echo of a fresh token shows that the signer is there
//! now. So a stranger that can publish on these subjects can't become a node whose key it lacks, nor send as one: tokens are
//! random and told to one node alone.
//!
//! **Not** protected: whoever can *read* an inbox (the operator of a server, or a user who is allowed to subscribe to
//! `<namespace>.node.*`) sees frames and tokens, and can use these to send as that peer, or to end its link. Frames have no
//! signature of their own. Anyone may make a key and be a node. What must stay secret or unforged needs sealing above the
//! transport, and subscriptions need permissions in NATS.

mod connection;
mod counts;
mod identity;
mod link;
mod links;
mod monitor;
mod options;
mod packet;
mod shell;
mod status;
mod subjects;
mod transport;

pub(crate) use crate::transport::looped::Attended;
pub use connection::{ConnectionCounts, NatsConnection};
pub use counts::{Disconnected, TransportCounts};
pub use identity::Identity;
pub(crate) use monitor::check_durable;
pub use options::{NatsError, NatsOptions};
pub(crate) use status::answering;
pub use transport::NatsTransport;
