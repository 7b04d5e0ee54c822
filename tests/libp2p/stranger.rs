//! A libp2p peer that is none of ours: another implementation of everything above the connection, to be rude with.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, identify, identity, noise, ping, tcp, yamux,
};

const LINK: StreamProtocol = StreamProtocol::new("/connectome/link/1");

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: libp2p_stream::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// What a stranger sees of the node it is connected with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) agent: Option<String>,
    pub(super) protocols: Vec<String>,
    pub(super) pinged: bool,
}

/// A peer with a key whose node id is as low, or as high, as can be found: so that it opens links, or waits for them.
pub(super) struct Stranger {
    control: libp2p_stream::Control,
    peer: PeerId,
    pub(super) seen: tokio::sync::watch::Receiver<Seen>,
}

impl Stranger {
    /// Connects to a node; with a lower node id than it has, so that it is this one's turn to open the link.
    pub(super) fn connect(address: &str) -> Stranger {
        let address: Multiaddr = address.parse().unwrap();
        let peer = address.iter().find_map(|part| match part {
            libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
            _ => None,
        });
        let peer = peer.expect("the address says who is there");
        let swarm = SwarmBuilder::with_existing_identity(lower_than(&peer))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| Behaviour {
                streams: libp2p_stream::Behaviour::new(),
                identify: identify::Behaviour::new(identify::Config::new(
                    "/foreign/1".to_owned(),
                    key.public(),
                )),
                ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(100))),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        let control = swarm.behaviour().streams.new_control();
        let (told, seen) = tokio::sync::watch::channel(Seen::default());
        tokio::spawn(drive(swarm, address, told));
        Stranger { control, peer, seen }
    }

    /// Opens a stream for a link.
    pub(super) async fn open(&mut self) -> std::io::Result<Stream> {
        // One that is asked for while the connection is being made may never come.
        drop(self.seen.wait_for(|seen| seen.agent.is_some()).await);
        let opened = self.control.open_stream(self.peer, LINK).await;
        opened.map_err(|error| std::io::Error::other(error.to_string()))
    }

    /// Opens one and writes this; what comes back until the stream ends.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.open().await.unwrap();
        // It may be closed in our face.
        drop(stream.write_all(bytes).await);
        drop(stream.flush().await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        answer
    }
}

async fn drive(
    mut swarm: libp2p::Swarm<Behaviour>,
    address: Multiaddr,
    told: tokio::sync::watch::Sender<Seen>,
) {
    swarm.dial(address).unwrap();
    while !told.is_closed() {
        match swarm.select_next_some().await {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { info, .. })) => {
                told.send_modify(|seen| {
                    seen.agent = Some(info.agent_version);
                    seen.protocols = info.protocols.iter().map(ToString::to_string).collect();
                });
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { result: Ok(_), .. })) => {
                told.send_modify(|seen| seen.pinged = true);
            }
            _ => {}
        }
    }
}

fn lower_than(peer: &PeerId) -> identity::Keypair {
    loop {
        let key = identity::Keypair::generate_ed25519();
        if key.public().to_peer_id().to_bytes() < peer.to_bytes() {
            return key;
        }
    }
}

/// A hello that any node of a namespace without a secret takes.
pub(super) fn hello(namespace: &str, window_frames: u32) -> Vec<u8> {
    let mut rest = 7_u64.to_be_bytes().to_vec();
    rest.extend(window_frames.to_be_bytes());
    rest.extend(1_000_000_u32.to_be_bytes());
    rest.push(namespace.len() as u8);
    rest.extend(namespace.as_bytes());
    rest.push(0);
    unit(1, &rest)
}

/// One unit of a link.
pub(super) fn unit(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&(rest.len() as u32).to_be_bytes(), &[kind][..], rest].concat()
}
