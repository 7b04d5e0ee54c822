//! The other process: it gives back what it is sent, and counts.

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use connectome::keystore::MemoryKeys;
use connectome::port::{Inbound, Transport, TransportError};
use connectome::prelude::*;
use connectome::transport::libp2p::{Libp2pOptions, Libp2pTransport, PeerStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::runtimes::threads;

pub(super) const ECHO: &str = "/echo/1";
pub(super) const LISTEN: &str = "/ip4/127.0.0.1/tcp/0";
pub(super) const NAMESPACE: &str = "raw";

/// What the first byte of a frame asks for.
pub(super) const GIVE_BACK: u8 = 0;
pub(super) const COUNT: u8 = 1;
pub(super) const TELL: u8 = 2;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "echo", reply = String)]
pub(super) struct Echo(pub(super) String);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "counted", reply = u64)]
pub(super) struct Counted;

#[derive(Default)]
struct Mirror(u64);

impl Agent for Mirror {
    fn handles(table: &mut Table<Self>) {
        table.on::<Echo>();
        table.on::<Counted>();
    }
}

impl Handle<Echo> for Mirror {
    async fn handle(&mut self, Echo(text): Echo, _: &mut Context<'_>) -> Result<String, HandlerError> {
        self.0 += 1;
        Ok(text)
    }
}

impl Handle<Counted> for Mirror {
    async fn handle(&mut self, _: Counted, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// Runs until its input ends.
pub(crate) fn child() -> ExitCode {
    threads().block_on(async {
        let mut config = Config::in_memory();
        config.name = "far".to_owned();
        config.libp2p.listen = Some(LISTEN.to_owned());
        let node = Node::start(config).await.expect("there is a free port");
        node.spawn("mirror", Mirror::default).await.expect("the name is free");
        let raw = open("far", Vec::new()).await;
        let mut streams = raw.register(ECHO, Duration::from_secs(3_600)).expect("the name is free");
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = socket.local_addr().expect("it is bound").port();
        let node_address = node.libp2p().expect("it listens").addresses().remove(0);
        println!("{node_address} {} {port}", raw.addresses()[0]);
        tokio::spawn(async move {
            while let Some(stream) = streams.next().await {
                tokio::spawn(give_back(stream));
            }
        });
        tokio::spawn(async move {
            while let Ok((socket, _)) = socket.accept().await {
                tokio::spawn(give_back_raw(socket));
            }
        });
        tokio::spawn(async move { answer(&raw).await });
        let input = || std::io::stdin().read_to_end(&mut Vec::new());
        drop(tokio::task::spawn_blocking(input).await);
    });
    std::process::exit(0)
}

pub(super) async fn open(name: &str, peers: Vec<String>) -> Libp2pTransport {
    let key = MemoryKeys::random(name).expect("the system has randomness").peer_key();
    let options = Libp2pOptions { listen: vec![LISTEN.to_owned()], peers, ..Libp2pOptions::default() };
    Libp2pTransport::open(key, NAMESPACE, &options).await.expect("there is a free port")
}

async fn answer(raw: &Libp2pTransport) {
    let mut counted: u64 = 0;
    while let Some(inbound) = raw.receive().await {
        let Inbound::Frame { from, frame } = inbound else { continue };
        match frame[0] {
            COUNT => counted += 1,
            TELL => {
                deliver(raw, from, counted.to_be_bytes().to_vec().into()).await;
                counted = 0;
            }
            _ => deliver(raw, from, frame).await,
        }
    }
}

pub(super) async fn deliver(raw: &Libp2pTransport, to: connectome::codecs::NodeId, frame: bytes::Bytes) {
    while let Err(error) = raw.send(to, frame.clone()) {
        assert!(matches!(error, TransportError::Full { .. }), "{error}");
        raw.ready(to).await;
    }
}

async fn give_back(mut stream: PeerStream) {
    let mut space = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut space).await {
        if stream.write(&space[..length]).await.is_err() {
            return;
        }
    }
}

async fn give_back_raw(mut socket: TcpStream) {
    drop(socket.set_nodelay(true));
    let mut space = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = socket.read(&mut space).await {
        if socket.write_all(&space[..length]).await.is_err() {
            return;
        }
    }
}
