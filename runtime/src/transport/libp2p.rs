//! The transport over libp2p: frames between the nodes of a namespace, from node to node, with no one between.
//!
//! What it promises is what [`Transport`](connectome_actors::port::Transport) says. What it does not do: keep frames for a peer
//! that is away (that is for streams), seal them for an agent (that happens above it), or find agents (that is the registry's).
//!
//! | file | what |
//! |---|---|
//! | `transport`, `options`, `events` | [`Libp2pTransport`], how it is made, what it tells |
//! | `net` | what its parts share: the table of peers, the way to the swarm |
//! | `peer`, `life`, `link` | one peer: what waits for it; dialled, linked, lost; one link from its hello to its end |
//! | `moving`, `reach` | a link that goes on, on a better connection; how a node is reached that others can't dial |
//! | `window`, `inbox` | how much may be under way, what waits to be read |
//! | `wire`, `addresses` | the bytes |
//! | `swarm`, `behaviour`, `lanes`, `gate` | the swarm's loop and what it is made of: streams by name, who may connect |
//! | `topics`, `floods` | what is said to everybody, and who says too much |
//! | `streams` | streams for others, by the name of a protocol |
//! | `dht` | what nodes of a wide network tell each other of who is where |
//! | `seeds` | addresses that do not say who is there |
//! | `peer_key`, `secret`, `address` | who, whether a member, where |
//!
//! # Connections
//!
//! A node's Ed25519 key is its peer id. Connections are TCP with Noise and Yamux, or QUIC; identify and ping are answered. Two
//! nodes have one **link**: a stream of the protocol `/connectome/link/1`, opened by the one with the lower node id (as bytes)
//! on the newest connection, whoever made that. A new link takes the place of the one before.
//!
//! A node that others can't dial asks **relays** (circuit relay v2) to carry connections for it, and says so among its addresses.
//! Over such a connection the two try to reach each other directly (DCUtR). A link begins on what there is, and moves from a relay
//! to a direct connection once there is one; when that is lost, the next link begins over the relay.
//!
//! # Bytes
//!
//! A link carries units, in both directions alike. Numbers are big-endian.
//!
//! | at | what |
//! |---|---|
//! | 0 | the length of the rest (4) |
//! | 4 | the kind (1) |
//! | 5 | the rest |
//!
//! | kind | name | rest | at most |
//! |---|---|---|---|
//! | 1 | hello | incarnation (8), window in frames (4), in bytes (4), length of the namespace (1), namespace, 0 or 1, proof (32) if 1 | 4,091 |
//! | 2 | frame | the frame | 1 MiB |
//! | 3 | read | how many frames were read since the link came up (8) | 8 |
//! | 4 | farewell | why, in UTF-8; nothing follows | 256 |
//! | 5 | addresses | for each node: its id (32), how many (1, at most 8), for each its length (2, at most 300) and its bytes | 16 KiB |
//! | 6 | moved | nothing: what follows is on the next stream | 0 |
//!
//! Units of other kinds are left, where they are no longer than a hello; a unit that is longer than its kind may be ends the link.
//!
//! **Meeting.** The opener says hello; the other one, when it likes what it hears, says hello as well, and the link is up. Before
//! that nothing else is said, but a farewell that says why not. Each side has five seconds. Where a cluster has a secret, each
//! hello proves that its sender knows it (`secret.rs`).
//!
//! **Pressure.** A sender has at most as many frames under way (sent and not yet told as read) as the receiver's window, and as
//! many bytes, of frames up to 16 KiB and of longer ones each. The frame that reaches the bound of bytes goes, the next one does
//! not. So large frames never take the place of small ones, and what goes before a small one is bounded. Whoever sends more
//! loses the link.
//!
//! **Moving.** The opener opens a stream of `/connectome/link/1/move` on a better connection. Each side says *moved* on the old
//! stream, behind all that it has said there, and goes on with the new one, without a hello. Counts and windows go on as well.
//!
//! **Life.** Each side says how much it has read twice a second at least. A peer that is silent for 3 s is gone, and so is its
//! connection. A link that ends well ends with a farewell, after which the other side closes the stream.

mod address;
mod addresses;
mod behaviour;
mod dht;
mod events;
mod floods;
mod gate;
mod inbox;
mod lanes;
mod life;
mod link;
mod moving;
mod net;
mod options;
mod peer;
mod peer_key;
mod reach;
mod secret;
mod seeds;
mod streams;
mod swarm;
mod topics;
mod transport;
mod window;
mod wire;

pub(crate) use address::{check_address, check_relay, check_target, parse_peer, parse_peer_at};
pub use dht::{
    ANNOUNCED_FOR_MAX, ANNOUNCED_MAX, ANNOUNCEMENTS_PER_KEY_MAX, FINDS_MAX, FindError, Found, RECORDS_MAX,
    Subject,
};
pub use events::{EVENTS_WAITING_MAX, Libp2pCounts, LinkEnd, LinkEvent, LinkWatcher};
pub use floods::{AUTHOR_BURST_MAX, AUTHOR_EXCESS_MAX, AUTHOR_RATE_MAX};
pub use net::PEERS_MAX;
pub use options::{
    Admission, CONFIGURED_ADDRESSES_MAX, DhtOptions, Libp2pError, Libp2pOptions, Limits, RelayLimits,
};
pub use peer_key::PeerKey;
pub use secret::{ClusterSecret, SECRET_BYTES_MIN};
pub use streams::{
    IDLE_DEFAULT, PROTOCOL_BYTES_MAX, PROTOCOLS_MAX, PeerStream, PeerStreamError, PeerStreams, STREAMS_MAX,
    StreamRow, WAITING_MAX,
};
pub use topics::{
    Listening, PUBLISHED_BYTES_MAX, PUBLISHED_WAITING_MAX, Published, TOPIC_BYTES_MAX, TOPICS_MAX, TopicError,
};
pub use transport::Libp2pTransport;
pub use window::{SMALL_FRAME_MAX, WINDOW_BYTES_MAX, WINDOW_FRAMES_MAX};
