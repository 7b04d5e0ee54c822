//! One client: its hello, then what it asks, each answered when it is done, and no sooner than the client reads.
//!
//! What a client costs is bounded: what it asks is read only while there is room for it, and what it does not read is not
//! written. One that asks more than it may at a time, or says what can't be read, loses its stream.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Hall;
use super::handles::Handles;
use super::taking::Reply;
use crate::streams::served::said::{Answer, Ask, Said, Told};
use crate::streams::served::wire::{self, FIRST_UNIT_MAX, UNIT_MAX, Unit};
use crate::streams::served::{ASKS_MAX, MEET_MAX, io};
use crate::transport::libp2p::PeerStream;

/// Bytes of what a client has asked and what is not done: seven of the largest messages.
const ASKED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Units that wait to be written: a large answer goes as fast as it is read.
const UNITS_WAITING_MAX: usize = 8;

/// Answers of many messages that are put together at a time.
const GATHERED_MAX: usize = 4;

/// How long a client may take over one unit, and how long it may read nothing: a megabyte over a bad line.
const UNIT_WITHIN: Duration = Duration::from_secs(30);

/// What one client has under way.
pub(super) struct Session {
    pub(super) hall: Arc<Hall>,
    pub(super) handles: Handles,
    pub(super) gathering: Semaphore,
    out: mpsc::Sender<Unit>,
    asked: Mutex<BTreeMap<u64, CancellationToken>>,
}

/// Serves a client until it goes, or is told to.
pub(super) async fn serve(hall: Arc<Hall>, stream: PeerStream) -> Result<()> {
    let (mut reader, mut writer) = stream.split();
    timeout(MEET_MAX, meet(&hall, &mut reader, &mut writer)).await??;
    let (out, units) = mpsc::channel(UNITS_WAITING_MAX);
    let (handles, gathering) = (Handles::default(), Semaphore::new(GATHERED_MAX));
    let session = Arc::new(Session { hall, handles, gathering, out, asked: Mutex::default() });
    tokio::select! {
        biased;
        read = read(&session, &mut reader) => read,
        written = write(units, &mut writer) => written,
    }
}

/// Hears who is there, and says which store this is; or why it has none for them.
async fn meet(
    hall: &Hall,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<()> {
    let length = io::read_length(reader, FIRST_UNIT_MAX).await?.ok_or(ErrorKind::UnexpectedEof)?;
    let (said, _) = wire::read::<Said>(io::read_rest(reader, length).await?).map_err(io::broken)?;
    let Said::Hello { namespace } = said else { return Err(Error::other("it said no hello")) };
    if namespace == hall.namespace {
        return io::write_one(writer, unit(&Told::Welcome { store: hall.id.clone() })?).await;
    }
    let why = format!("this is the store of the namespace {:?}, not of {namespace:?}", hall.namespace);
    io::write_one(writer, unit(&Told::Refused { why: why.clone() })?).await?;
    Err(Error::other(why))
}

fn unit(told: &Told) -> Result<Unit> {
    Unit::bare(told).map_err(io::broken)
}

/// Reads what is asked, and has it carried out, until the client says no more. What is under way then is given up.
async fn read(session: &Arc<Session>, reader: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let (mut tasks, room) = (JoinSet::new(), Arc::new(Semaphore::new(ASKED_BYTES_MAX)));
    while let Some(length) = io::read_length(reader, UNIT_MAX).await? {
        let held = room.clone().acquire_many_owned(length as u32).await.map_err(Error::other)?;
        let rest = timeout(UNIT_WITHIN, io::read_rest(reader, length)).await??;
        let (said, body) = wire::read::<Said>(rest).map_err(io::broken)?;
        while tasks.try_join_next().is_some() {}
        match said {
            Said::Ask { id, ask } => {
                let cancel = session.begin(id)?;
                let asked = Asked { id, cancel, held };
                tasks.spawn(session.clone().answer(asked, ask, body));
            }
            Said::Cancel { id } => session.cancel(id),
            Said::Close { handle } => session.handles.close(handle),
            Said::TakeBack { handle, tags } => session.handles.take_back(handle, tags),
            Said::Untell { handle, sequences } => session.handles.untell(handle, &sequences),
            Said::Ping => session.say(unit(&Told::Pong)?).await?,
            Said::Hello { .. } => return Err(Error::other("it said hello twice")),
        }
    }
    Ok(())
}

/// Writes what there is to say, what is ready together at once.
async fn write(mut units: mpsc::Receiver<Unit>, writer: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    let mut outgoing = io::Outgoing::default();
    while let Some(first) = units.recv().await {
        timeout(UNIT_WITHIN, outgoing.put(first, writer)).await??;
        while outgoing.has_room()
            && let Ok(next) = units.try_recv()
        {
            timeout(UNIT_WITHIN, outgoing.put(next, writer)).await??;
        }
        timeout(UNIT_WITHIN, outgoing.flush(writer)).await??;
    }
    Ok(())
}

/// What is under way, with the room that it takes.
struct Asked {
    id: u64,
    cancel: CancellationToken,
    held: OwnedSemaphorePermit,
}

impl Session {
    fn begin(&self, id: u64) -> Result<CancellationToken> {
        let mut asked = self.asked.lock();
        let cancel = CancellationToken::new();
        if asked.len() >= ASKS_MAX {
            return Err(Error::other(format!("it asked more than {ASKS_MAX} things at a time")));
        }
        match asked.insert(id, cancel.clone()) {
            None => Ok(cancel),
            Some(_) => Err(Error::other("it used a number twice")),
        }
    }

    fn cancel(&self, id: u64) {
        if let Some(cancel) = self.asked.lock().get(&id) {
            cancel.cancel();
        }
    }

    async fn say(&self, unit: Unit) -> Result<()> {
        self.out.send(unit).await.map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Waits for the work, unless it is cancelled, and says what came of it.
    async fn answer(self: Arc<Session>, asked: Asked, ask: Ask, body: Bytes) {
        let Asked { id, cancel, held } = asked;
        let reply = tokio::select! {
            biased;
            () = cancel.cancelled() => Reply::from(Answer::Cancelled),
            reply = self.carry_out(ask, body) => reply,
        };
        drop(held);
        self.asked.lock().remove(&id);
        // Where it can't be said the session is at its end, and the reply takes back what it has taken.
        drop(self.tell(id, reply).await);
    }

    async fn tell(&self, id: u64, reply: Reply) -> Result<()> {
        let Reply { list, answer, held } = reply;
        for (items, bodies) in list.into_iter().flat_map(|list| list.cut()) {
            self.say(Unit::new(&Told::Part { id, items }, bodies).map_err(io::broken)?).await?;
        }
        self.say(unit(&Told::Done { id, answer })?).await?;
        held.arrived();
        Ok(())
    }
}
