//! This process: it sends, and measures how long that takes.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use connectome::codecs::NodeId;
use connectome::port::{Inbound, Transport};
use connectome::prelude::*;
use connectome::transport::libp2p::{Libp2pTransport, LinkEvent, PeerStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::far::{COUNT, Counted, ECHO, Echo, GIVE_BACK, LISTEN, TELL, deliver, open};
use super::{CHILD, SMALL};
use crate::runtimes::DEADLINE;

pub(super) const LARGE_BYTES: usize = 1024 * 1024;

/// Both ends' worth of this process.
pub(super) struct Near {
    mirror: AgentRef,
    _node: Node,
    raw: Arc<Libp2pTransport>,
    far: NodeId,
    stream: Mutex<PeerStream>,
    socket: Mutex<TcpStream>,
    _process: Process,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Near {
    pub(super) async fn begin() -> Near {
        let (process, line) = start();
        let mut told = line.split_whitespace().map(str::to_owned);
        let mut next = || told.next().expect("the other process tells three addresses");
        let (node_address, raw_address, port) = (next(), next(), next());
        let mut config = Config::in_memory();
        config.name = "near".to_owned();
        config.libp2p.listen = Some(LISTEN.to_owned());
        config.libp2p.peers = Some(node_address);
        let node = Node::start(config).await.expect("there is a free port");
        let mirror = node.wait_for("mirror").await.expect("a name");
        let raw = Arc::new(open("near", vec![raw_address]).await);
        let mut watcher = raw.watch();
        let far = loop {
            match (raw.peers().first(), watcher.next().await) {
                (Some(far), _) => break *far,
                (None, Some(LinkEvent::Up { peer })) => break peer,
                (None, Some(_)) => {}
                (None, None) => panic!("the transport is open"),
            }
        };
        let stream = raw.open_stream(far, ECHO).await.expect("it is registered there");
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
        drop(socket.set_nodelay(true));
        let (stream, socket) = (Mutex::new(stream), Mutex::new(socket));
        Near { mirror, _node: node, raw, far, stream, socket, _process: process }
    }

    pub(super) async fn call(self: Arc<Near>) {
        let call = self.mirror.call_within(DEADLINE, Echo("x".repeat(SMALL)));
        call.await.expect("the mirror answers");
    }

    pub(super) async fn calls(self: Arc<Near>, count: usize) -> Vec<Duration> {
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            self.clone().call().await;
            took.push(begun.elapsed());
        }
        took
    }

    /// Echoes of frames, one at a time.
    pub(super) async fn echoes(&self, count: usize) -> Vec<Duration> {
        let mut took = Vec::with_capacity(count);
        let frame = small(GIVE_BACK);
        for _ in 0..count {
            let begun = Instant::now();
            deliver(&self.raw, self.far, frame.clone()).await;
            self.heard().await;
            took.push(begun.elapsed());
        }
        took
    }

    /// Echoes of frames with so many under way: nanoseconds for one.
    pub(super) async fn pipelined(&self, count: usize, at_once: usize) -> f64 {
        let (begun, frame) = (Instant::now(), small(GIVE_BACK));
        for _ in 0..at_once {
            deliver(&self.raw, self.far, frame.clone()).await;
        }
        for sent in at_once..count + at_once {
            self.heard().await;
            if sent < count {
                deliver(&self.raw, self.far, frame.clone()).await;
            }
        }
        begun.elapsed().as_nanos() as f64 / count as f64
    }

    pub(super) async fn streamed(&self, count: usize) -> Vec<Duration> {
        let mut stream = self.stream.lock().await;
        let (mut took, mut space) = (Vec::with_capacity(count), [0; SMALL]);
        for _ in 0..count {
            let begun = Instant::now();
            stream.write(&[7; SMALL]).await.expect("it is open");
            let mut read = 0;
            while read < SMALL {
                read += stream.read(&mut space[read..]).await.expect("it is open");
            }
            took.push(begun.elapsed());
        }
        took
    }

    pub(super) async fn socket(&self, count: usize) -> Vec<Duration> {
        let mut socket = self.socket.lock().await;
        let (mut took, mut space) = (Vec::with_capacity(count), [0; SMALL]);
        for _ in 0..count {
            let begun = Instant::now();
            socket.write_all(&[7; SMALL]).await.expect("it is open");
            socket.read_exact(&mut space).await.expect("it is open");
            took.push(begun.elapsed());
        }
        took
    }

    /// Frames one way, until the last one was counted: nanoseconds for one.
    pub(super) async fn one_way(&self, count: usize, size: usize) -> f64 {
        let frame: Bytes = [vec![COUNT], vec![7; size - 1]].concat().into();
        let begun = Instant::now();
        for _ in 0..count {
            deliver(&self.raw, self.far, frame.clone()).await;
        }
        deliver(&self.raw, self.far, small(TELL)).await;
        let counted = u64::from_be_bytes(self.heard().await[..].try_into().expect("it tells a number"));
        assert_eq!(counted, count as u64, "nothing is lost");
        begun.elapsed().as_nanos() as f64 / count as f64
    }

    /// Casts to an agent, until the last one was counted: nanoseconds for one.
    pub(super) async fn casts(&self, count: usize) -> f64 {
        let begun = Instant::now();
        let text = "x".repeat(SMALL);
        for _ in 0..count {
            self.mirror.cast(Echo(text.clone())).await.expect("it is taken");
        }
        let counted = self.mirror.call_within(DEADLINE, Counted).await.expect("the mirror answers");
        println!("  casts handled: {counted} of {count}");
        begun.elapsed().as_nanos() as f64 / count as f64
    }

    /// Echoes while large frames go the same way.
    pub(super) async fn under_bulk(&self, count: usize) -> Vec<Duration> {
        let (raw, far) = (self.raw.clone(), self.far);
        let large: Bytes = [vec![COUNT], vec![7; LARGE_BYTES - 1]].concat().into();
        let bulk = tokio::spawn(async move {
            loop {
                deliver(&raw, far, large.clone()).await;
            }
        });
        let took = self.echoes(count).await;
        bulk.abort();
        drop(bulk.await);
        took
    }

    async fn heard(&self) -> Bytes {
        loop {
            if let Inbound::Frame { frame, .. } = self.raw.receive().await.expect("it is open") {
                return frame;
            }
        }
    }
}

fn small(first: u8) -> Bytes {
    [vec![first], vec![7; SMALL - 1]].concat().into()
}

fn start() -> (Process, String) {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--child", CHILD]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the machine gives a process");
    let mut line = String::new();
    let output = child.stdout.take().expect("it was piped");
    BufReader::new(output).read_line(&mut line).expect("it says where it listens");
    (Process(child), line)
}
