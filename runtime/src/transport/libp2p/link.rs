//! One link, from the stream it is made on to its end: both sides say hello, then frames go both ways until one of them ends.
//!
//! It is one task: what is read and what is written share it, so their halves of the stream never wait for each other's locks.
//! What is sent is queued in [`Peer`], what arrives in the inbox; nothing here waits for the node above.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use libp2p::swarm::{ConnectionId, Stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::addresses;
use super::events::LinkEnd;
use super::inbox::Unread;
use super::moving::{self, Next};
use super::net::Net;
use super::peer::{Found, Offer, Peer};
use super::window::Bounds;
use super::wire::{self, Decoder, Hello, Unit};

/// How long the two hellos may take: a round trip, on a busy machine.
pub(super) const MEET_MAX: Duration = Duration::from_secs(5);

/// How often a peer hears from us at least.
const ALIVE_EVERY: Duration = Duration::from_millis(500);

/// A peer that is silent for this long is gone: clusters promise failover within six seconds, and a busy machine stalls for
/// one or two.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(3);

/// When we ourselves have not run for this long, the silence was ours.
const STALL_MAX: Duration = Duration::from_secs(1);

/// How often a link tells where nodes can be dialled, where something about that is new.
const ADDRESSES_EVERY: Duration = Duration::from_millis(500);

/// Frames that are ready together leave together, up to this many bytes: what Noise puts into one of its messages.
const COALESCED_BYTES: usize = 60 * 1024;

/// A frame longer than this is not copied to leave together with others.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Runs a link to its end, and tells that. Beside the end, the connection that it had then, and what of the link may be left to
/// be read.
pub(super) async fn run(
    net: &Arc<Net>,
    peer: &Arc<Peer>,
    (connection, stream): Offer,
    is_opener: bool,
) -> (ConnectionId, LinkEnd, Option<Arc<Unread>>) {
    let (mut reader, mut writer) = stream.split();
    let mut decoder = Decoder::new();
    let meeting = meet(net, peer, &mut decoder, &mut reader, &mut writer, is_opener);
    let met = timeout(MEET_MAX, meeting).await;
    let bounds = match met.unwrap_or_else(|_| Err(LinkEnd::NotMet("it took too long".to_owned()))) {
        Ok(bounds) => bounds,
        Err(end) => {
            drop(timeout(ALIVE_EVERY, refuse(&end, &mut reader, &mut writer)).await);
            net.ended(peer, end.clone(), false);
            return (connection, end, None);
        }
    };
    let mut up = Up::new(net, peer, connection, bounds);
    let end = tokio::select! {
        biased;
        end = up.carry(decoder, reader, writer) => end,
        () = moving::seek(net, peer, &up.next, is_opener) => LinkEnd::Closed,
    };
    up.end = end.clone();
    let connection = peer.link_connection().unwrap_or(connection);
    (connection, end, Some(up.unread.clone()))
}

/// Tells a peer why there is no link, and waits until it has heard it.
async fn refuse(
    end: &LinkEnd,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> std::io::Result<()> {
    let mut out = Vec::new();
    wire::put_farewell(&mut out, &end.to_string());
    write_out(writer, &out).await?;
    writer.close().await?;
    let mut left = [0; 1_024];
    while reader.read(&mut left).await? > 0 {}
    Ok(())
}

/// Exchanges hellos. The opener speaks first; the other one answers when it likes what it has heard.
async fn meet(
    net: &Net,
    peer: &Peer,
    decoder: &mut Decoder,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    is_opener: bool,
) -> Result<Bounds, LinkEnd> {
    let mut out = Vec::new();
    wire::put_hello(&mut out, &net.hello_to(peer.id));
    if is_opener {
        write_out(writer, &out).await.map_err(lost)?;
    }
    let hello = read_hello(decoder, reader).await?;
    check(net, peer, &hello)?;
    decoder.trust();
    if !is_opener {
        write_out(writer, &out).await.map_err(lost)?;
    }
    Bounds::with(&hello).ok_or_else(|| LinkEnd::Broken("it lets us send nothing".to_owned()))
}

async fn read_hello(decoder: &mut Decoder, reader: &mut (impl AsyncRead + Unpin)) -> Result<Hello, LinkEnd> {
    loop {
        match decoder.next().map_err(|error| LinkEnd::Broken(error.to_string()))? {
            Some(Unit::Hello(rest)) => {
                return Hello::decode(rest).ok_or_else(|| LinkEnd::Broken("its hello is none".to_owned()));
            }
            Some(Unit::Farewell(why)) => return Err(LinkEnd::NotMet(words(&why))),
            Some(_) => return Err(LinkEnd::Broken("something came before its hello".to_owned())),
            None => {}
        }
        match reader.read(decoder.space()).await.map_err(lost)? {
            0 => return Err(LinkEnd::NotMet("it closed the stream".to_owned())),
            bytes => decoder.filled(bytes),
        }
    }
}

/// Whether whoever says this may link with us.
fn check(net: &Net, peer: &Peer, hello: &Hello) -> Result<(), LinkEnd> {
    if hello.namespace != net.namespace {
        return Err(LinkEnd::Refused("the namespaces are not the same".to_owned()));
    }
    let Some(secret) = &net.admission.secret else { return Ok(()) };
    let is_member =
        hello.proof.as_ref().is_some_and(|proof| secret.accepts(proof, peer.id, net.node, &net.namespace));
    match is_member {
        true => Ok(()),
        false => Err(LinkEnd::Refused("the peer does not know this cluster's secret".to_owned())),
    }
}

/// A link that is up. Dropping it is its end, also where its actor is killed.
struct Up<'l> {
    net: &'l Arc<Net>,
    peer: &'l Arc<Peer>,
    unread: Arc<Unread>,
    /// Where it goes on.
    next: Next,
    begun: Instant,
    /// When the peer was heard last, in milliseconds since it began.
    heard: AtomicU64,
    end: LinkEnd,
}

impl<'l> Up<'l> {
    fn new(net: &'l Arc<Net>, peer: &'l Arc<Peer>, connection: ConnectionId, bounds: Bounds) -> Up<'l> {
        peer.link_up(connection, bounds);
        net.linked(peer);
        let unread = Arc::new(Unread::new(peer.id));
        let (begun, heard) = (Instant::now(), AtomicU64::new(0));
        Up { net, peer, unread, next: Next::default(), begun, heard, end: LinkEnd::Crashed }
    }

    /// Carries frames until the link ends.
    async fn carry(&self, decoder: Decoder, reader: ReadHalf<Stream>, writer: WriteHalf<Stream>) -> LinkEnd {
        let (reading, writing) = (pin!(self.read(decoder, reader)), pin!(self.write(writer)));
        tokio::select! {
            biased;
            end = reading => end,
            end = writing => end,
            end = self.watch() => end,
        }
    }

    async fn read(&self, mut decoder: Decoder, mut reader: ReadHalf<Stream>) -> LinkEnd {
        let mut frames = Vec::new();
        loop {
            // A peer that always has something to say must still let others run.
            tokio::task::coop::consume_budget().await;
            let taken = self.take_units(&mut decoder, &mut frames);
            let bytes: usize = frames.iter().map(Bytes::len).sum();
            if !self.unread.receive(frames.len() as u64, bytes as u64) {
                return LinkEnd::Broken("it sent more than its window".to_owned());
            }
            self.net.inbox.put(&self.unread, &mut frames);
            match taken {
                Taken::All => {}
                Taken::End(end) => return end,
                // What follows comes on the next stream, and from the peer that has said hello.
                Taken::Moved => {
                    (decoder, reader) = (Decoder::new(), self.next.reader().await);
                    decoder.trust();
                }
            }
            match reader.read(decoder.space()).await {
                Ok(0) => return LinkEnd::Lost("it closed the stream".to_owned()),
                Ok(bytes) => decoder.filled(bytes),
                Err(error) => return lost(error),
            }
            self.heard.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        }
    }

    /// Takes all whole units.
    fn take_units(&self, decoder: &mut Decoder, frames: &mut Vec<Bytes>) -> Taken {
        let broken = |why: &str| Taken::End(LinkEnd::Broken(why.to_owned()));
        loop {
            match decoder.next() {
                Ok(None) => return Taken::All,
                Ok(Some(Unit::Frame(frame))) => frames.push(frame),
                Ok(Some(Unit::Read(total))) => self.peer.was_read(total),
                Ok(Some(Unit::Farewell(why))) => return Taken::End(LinkEnd::Farewell(words(&why))),
                Ok(Some(Unit::Addresses(rest))) => match addresses::decode(rest) {
                    Some(known) => self.net.learn(known),
                    None => return broken("its list of addresses is none"),
                },
                Ok(Some(Unit::Moved)) => return Taken::Moved,
                Ok(Some(Unit::Hello(_))) => return broken("a second hello"),
                Ok(Some(Unit::Unknown)) => {}
                Err(error) => return broken(&error.to_string()),
            }
        }
    }

    async fn write(&self, mut writer: WriteHalf<Stream>) -> LinkEnd {
        let mut written = Writing { out: Vec::with_capacity(2 * COALESCED_BYTES), batch: VecDeque::new() };
        match self.write_on(&mut written, &mut writer).await {
            // The peer closes the stream once it has read our farewell.
            Ok(()) => std::future::pending().await,
            Err(error) => lost(error),
        }
    }

    /// `Ok`: the farewell is out.
    async fn write_on(&self, writing: &mut Writing, writer: &mut WriteHalf<Stream>) -> std::io::Result<()> {
        let mut alive = interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut addresses = interval(ADDRESSES_EVERY);
        addresses.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            let found = self.peer.take(&mut writing.batch);
            if let Some(read) = self.unread.due() {
                wire::put_read(&mut writing.out, read);
            }
            match found {
                Found::Frames => {
                    writing.write(writer).await?;
                    tokio::task::coop::consume_budget().await;
                    continue;
                }
                Found::End => {
                    wire::put_farewell(&mut writing.out, "it is closing");
                    return write_out(writer, &writing.out).await;
                }
                Found::Nothing => {
                    writing.write(writer).await?;
                    writer.flush().await?;
                }
            }
            tokio::select! {
                biased;
                () = self.peer.written.notified() => {}
                () = self.unread.changed.notified() => {}
                next = self.next.writer() => {
                    wire::put_moved(&mut writing.out);
                    writing.write(writer).await?;
                    writer.close().await?;
                    *writer = next;
                }
                _ = alive.tick() => wire::put_read(&mut writing.out, self.unread.tell()),
                _ = addresses.tick() => {
                    let known = Some(self.net.knowledge());
                    if told != known {
                        told = known;
                        wire::put_addresses(&mut writing.out, &self.net.known_addresses());
                    }
                }
            }
        }
    }

    /// Ends when the peer has been silent for too long, or begins another link.
    async fn watch(&self) -> LinkEnd {
        let mut ticks = interval(ALIVE_EVERY / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = self.peer.stirred.notified() => if self.peer.has_offer() {
                    return LinkEnd::Replaced;
                },
                _ = ticks.tick() => {}
            }
            let (now, stalled) = (self.begun.elapsed().as_millis() as u64, last.elapsed() > STALL_MAX);
            last = Instant::now();
            if stalled {
                self.heard.store(now, Ordering::Relaxed);
            }
            let silence = Duration::from_millis(now.saturating_sub(self.heard.load(Ordering::Relaxed)));
            if silence >= SILENCE_MAX {
                return LinkEnd::Silent;
            }
        }
    }
}

/// What was found in what has been read.
enum Taken {
    /// Whole units, and perhaps a part of the next one.
    All,
    /// Nothing may follow.
    End(LinkEnd),
    /// The rest comes on another stream.
    Moved,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let end =
            if self.peer.is_closing() || self.net.is_closed() { LinkEnd::Closed } else { self.end.clone() };
        self.peer.link_down();
        self.net.inbox.end(&self.unread);
        self.net.ended(self.peer, end, true);
    }
}

/// What is on its way out.
struct Writing {
    out: Vec<u8>,
    batch: VecDeque<Bytes>,
}

impl Writing {
    /// Writes what is ready, small frames together.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        for frame in self.batch.drain(..) {
            wire::put_frame_head(&mut self.out, frame.len());
            if frame.len() <= COPIED_BYTES_MAX {
                self.out.extend_from_slice(&frame);
            }
            if self.out.len() >= COALESCED_BYTES || frame.len() > COPIED_BYTES_MAX {
                writer.write_all(&self.out).await?;
                self.out.clear();
            }
            if frame.len() > COPIED_BYTES_MAX {
                writer.write_all(&frame).await?;
            }
        }
        if !self.out.is_empty() {
            writer.write_all(&self.out).await?;
            self.out.clear();
        }
        Ok(())
    }
}

async fn write_out(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

fn lost(error: std::io::Error) -> LinkEnd {
    LinkEnd::Lost(error.to_string())
}

/// What a peer says, made fit for a log.
fn words(said: &[u8]) -> String {
    String::from_utf8_lossy(said).chars().filter(|c| !c.is_control()).take(200).collect()
}
