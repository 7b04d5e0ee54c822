//! Keeps a session with the node that serves: opened when that is linked, and again, with back-off, when it is lost.

use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connectome_actors::port::Notice;
use futures_util::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

use super::asking::Client;
use super::session::Session;
use crate::streams::served::lasting::Says;
use crate::streams::served::said::{Said, Told};
use crate::streams::served::wire::{self, FIRST_UNIT_MAX, Unit};
use crate::streams::served::{MEET_MAX, PROTOCOL, io};
use crate::transport::libp2p::PeerStream;

/// The first and the longest pause between two attempts.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Goes on until its loop is dropped.
pub(super) async fn keep(client: Arc<Client>, says: Says) {
    let (mut pause, mut number, mut store, mut lost) = (PAUSE_FIRST, 0, None, None::<Instant>);
    loop {
        client.transport.linked(client.at).await;
        let problem = match meet(&client, &mut store).await {
            Ok(stream) => {
                number += 1;
                pause = PAUSE_FIRST;
                if let Some(lost) = lost {
                    // Whoever runs this may be away; it is in the figures all the same.
                    drop(says.try_send(Notice::ConnectionBack { away: lost.elapsed() }));
                }
                let problem = sit(&client, number, stream).await;
                lost = Some(Instant::now());
                drop(says.try_send(Notice::ConnectionLost));
                problem
            }
            Err(problem) => problem,
        };
        tracing::debug!(at = %client.at, %problem, "there is no session with the store");
        *client.problem.lock() = problem.to_string();
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Opens a stream and says hello. Another store than the one before is not used.
async fn meet(client: &Client, known: &mut Option<String>) -> Result<PeerStream> {
    let opened = client.transport.open_stream(client.at, PROTOCOL).await;
    let mut stream = opened.map_err(|error| Error::other(error.to_string()))?;
    let store = timeout(MEET_MAX, hello(&mut stream, &client.namespace)).await??;
    match known {
        Some(known) if *known != store => Err(Error::other(
            "it has another store than before: what this node knows of the one before is of no use there; start this node again",
        )),
        Some(_) => Ok(stream),
        None => {
            *known = Some(store);
            Ok(stream)
        }
    }
}

async fn hello(stream: &mut PeerStream, namespace: &str) -> Result<String> {
    let hello = Said::Hello { namespace: namespace.to_owned() };
    io::write_one(stream, Unit::bare(&hello).map_err(io::broken)?).await?;
    let length = io::read_length(stream, FIRST_UNIT_MAX).await?.ok_or(ErrorKind::UnexpectedEof)?;
    let (told, _) = wire::read::<Told>(io::read_rest(stream, length).await?).map_err(io::broken)?;
    match told {
        Told::Welcome { store } => Ok(store),
        Told::Refused { why } => Err(Error::other(why)),
        Told::Part { .. } | Told::Done { .. } | Told::Pong => Err(Error::other("it said no welcome")),
    }
}

/// A session, from its welcome to its end.
async fn sit(client: &Client, number: u64, stream: PeerStream) -> Error {
    let (session, units) = Session::new(number);
    client.figures.connected.fetch_add(1, Ordering::Relaxed);
    let (reader, writer) = stream.split();
    client.current.send_replace(Some(session.clone()));
    let problem = session.run(units, reader, writer, &client.figures).await;
    client.current.send_replace(None);
    client.figures.disconnected.fetch_add(1, Ordering::Relaxed);
    problem
}
