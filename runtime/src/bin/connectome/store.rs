//! Finding a store, opening it, and reading what it keeps: an embedded one while no node runs, one that a node serves, or the one
//! on NATS servers.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connectome::codecs::{Envelope, Sequence};
use connectome::config::Config;
use connectome::keystore::{FileKeys, read_passphrase};
use connectome::port::{KeyStore, Storage, Stored, StreamInfo, Streams};
#[cfg(feature = "nats")]
use connectome::streams::JetStream;
use connectome::streams::{Embedded, OpenError};
use connectome::transport::local::Hub;
#[cfg(feature = "nats")]
use connectome::transport::nats::NatsConnection;
use connectome::world::SystemWorld;
use connectome::{Ports, Router, RouterConfig, Seals};
#[cfg(feature = "libp2p")]
use connectome::{
    keystore::MemoryKeys,
    streams::Served,
    transport::libp2p::{Libp2pOptions, Libp2pTransport},
};

use crate::args::StoreArgs;
use crate::failure::Failure;

/// What this command is called where it has a key of its own.
const PEER: &str = "connectome command";

/// Messages that are read at a time: little memory, few rounds.
const PAGE: usize = 256;

/// An open store: an embedded one that this command has to itself, or one that it shares with the cluster.
pub(crate) struct Store {
    streams: Arc<dyn Streams>,
    pub(crate) world: Arc<SystemWorld>,
    /// What opens it, and what seals what is put into it; or why nothing does.
    seals: Result<(Seals, Router), String>,
}

/// Opens the store and does something with it.
pub(crate) fn with<T, F>(args: &StoreArgs, work: impl FnOnce(Store) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("the operating system refused a timer: {error}")))?;
    runtime.block_on(async { work(open(args).await?).await })
}

/// What was named, else what is configured.
async fn open(args: &StoreArgs) -> Result<Store, Failure> {
    #[cfg(feature = "nats")]
    if args.store.is_none() {
        let config = args.config.load()?;
        if let Some(options) = config.nats.connection("connectome command")? {
            let connection = NatsConnection::open(&options).await?;
            let streams = JetStream::open(&connection, config.nats.store(&config.namespace)).await?;
            return Store::of(Arc::new(streams), world()?, &[config.key_path()], Some(&config));
        }
    }
    #[cfg(feature = "libp2p")]
    if args.store.is_none() {
        let config = args.config.load()?;
        if let Some(at) = config.libp2p.serving_node()? {
            let streams = served(&config, at).await?;
            return Store::of(Arc::new(streams), world()?, &[config.key_path()], Some(&config));
        }
    }
    Store::open(&path_of(args)?, args)
}

/// How long the node that serves may take to be reached.
#[cfg(feature = "libp2p")]
const REACHED_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// The store of the node that serves it: this command is a peer of that for a moment, and of nobody else.
#[cfg(feature = "libp2p")]
async fn served(config: &Config, at: connectome::codecs::NodeId) -> Result<Served, Failure> {
    let passphrase = config.key_passphrase_file.as_deref();
    let key = match find_keys(&[config.key_path()], passphrase) {
        Ok(keys) => keys.peer_key(),
        Err(_) => MemoryKeys::random(PEER)?.peer_key(),
    };
    let (listen, announce, mdns) = (Vec::new(), Vec::new(), false);
    let options =
        Libp2pOptions { listen, announce, mdns, relay: None, upnp: false, ..config.libp2p.options()? };
    let us = key.peer_id();
    let transport = Libp2pTransport::open(key, &config.namespace, &options).await?;
    let served = Served::new(Arc::new(transport), at, &config.namespace);
    let reached = served.reached(REACHED_WITHIN).await;
    let hint = |error| {
        Failure::new(format!(
            "{error}; where libp2p.allow is set there, it must have {us}, which is this command"
        ))
    };
    reached.map(|()| served).map_err(hint)
}

/// Where the root key of a store may be: where a configuration names it, in the store's directory, or in the one above.
fn key_paths(store: &Path, config: Option<&Config>) -> Vec<PathBuf> {
    let named = config.and_then(|config| config.key_file.clone());
    let near = [Some(store), store.parent()].into_iter().flatten().map(|path| path.join("root.key"));
    named.into_iter().chain(near).collect()
}

pub(crate) fn world() -> Result<Arc<SystemWorld>, Failure> {
    let world = SystemWorld::new();
    Ok(Arc::new(
        world.map_err(|error| Failure::new(format!("the operating system gave no randomness: {error}")))?,
    ))
}

fn path_of(args: &StoreArgs) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.store {
        if args.config.file.is_some() || !args.config.set.is_empty() {
            return Err(Failure::usage(
                "--store says where the store is, so --file and --set would have no say: leave them out, or --store",
            ));
        }
        let inside = path.join("streams");
        return Ok(if !Embedded::is_in(path) && Embedded::is_in(&inside) { inside } else { path.clone() });
    }
    let config = args.config.load()?;
    match config.streams.storage {
        Storage::File => Ok(config.store_path()),
        Storage::Memory => Err(Failure::new(
            "the configuration keeps streams in memory, so nothing is left of them: name a store on disk with --store",
        )),
    }
}

impl Store {
    fn open(path: &Path, args: &StoreArgs) -> Result<Store, Failure> {
        let shown = path.display();
        if !Embedded::is_in(path) {
            return Err(Failure::new(format!(
                "there is no store in {shown}: name one with --store, or its data directory with --set data_dir=PATH"
            )));
        }
        let world = world()?;
        match Embedded::open(path, world.clone()) {
            Ok(streams) => {
                // Variables that say nothing about a store that was named are not this command's affair.
                let config = args.config.load().ok();
                Store::of(Arc::new(streams), world, &key_paths(path, config.as_ref()), config.as_ref())
            }
            Err(OpenError::InUse { .. }) => Err(Failure::new(format!(
                "the store in {shown} is in use by a process, a running node most likely: stop it, then look again; where it serves \
                 the store, look at it with --set libp2p.store=/ip4/…/p2p/…"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    fn of(
        streams: Arc<dyn Streams>,
        world: Arc<SystemWorld>,
        keys: &[PathBuf],
        config: Option<&Config>,
    ) -> Result<Store, Failure> {
        let passphrase = config.and_then(|config| config.key_passphrase_file.as_deref());
        let seals = find_keys(keys, passphrase).and_then(|keys| {
            let retention = config.map_or(Config::default().streams.max_age, |config| config.streams.max_age);
            let router = config.map_or_else(RouterConfig::default, |config| config.router.clone());
            let (keys, world, streams): (Arc<dyn KeyStore>, _, _) =
                (Arc::new(keys), world.clone(), streams.clone());
            let seals =
                Seals::new(keys.clone(), world.clone(), streams.clone(), retention).enabled(router.sealed);
            let transport = Hub::new().join(keys.node_id()).map_err(|error| error.to_string())?;
            let ports = Ports { world, keys, transport: Arc::new(transport), streams };
            let router = Router::detached(ports, router).map_err(|error| error.to_string())?;
            Ok((seals, router))
        });
        Ok(Store { streams, world, seals })
    }

    /// What opens it.
    ///
    /// # Errors
    /// When there is no root key; the text says where it was looked for.
    pub(crate) fn seals(&self) -> Result<&Seals, Failure> {
        self.seals.as_ref().map(|(seals, _)| seals).map_err(|why| Failure::new(why.clone()))
    }

    /// What sends and looks after keys for this store's owner.
    ///
    /// # Errors
    /// As [`Store::seals`].
    pub(crate) fn router(&self) -> Result<&Router, Failure> {
        self.seals.as_ref().map(|(_, router)| router).map_err(|why| Failure::new(why.clone()))
    }

    /// The envelope to store for an agent's mail.
    pub(crate) async fn seal_mail(&self, envelope: Envelope) -> Result<Envelope, Failure> {
        self.router()?.seal_mail(envelope).await.map_err(|error| Failure::new(error.to_string()))
    }

    pub(crate) fn streams(&self) -> &dyn Streams {
        &*self.streams
    }

    /// How a stream is kept and where it stands.
    ///
    /// # Errors
    /// When there is none of that name; the text names those that there are.
    pub(crate) async fn info(&self, stream: &str) -> Result<StreamInfo, Failure> {
        let names = self.streams().stream_names().await?;
        if names.iter().any(|name| name == stream) {
            return Ok(self.streams().stream_info(stream).await?);
        }
        let there_is = if names.is_empty() {
            "none: no node has run on this store".to_owned()
        } else {
            names.join(", ")
        };
        Err(Failure::new(format!("there is no stream named {stream:?}; there is {there_is}")))
    }

    /// One message of a stream.
    pub(crate) async fn message(&self, stream: &str, sequence: u64) -> Result<Option<Stored>, Failure> {
        self.info(stream).await?;
        let read = self.streams().read(stream, ">", Sequence(sequence), 1).await?;
        Ok(read.into_iter().find(|stored| stored.sequence.0 == sequence))
    }

    /// Goes over a stream from a sequence on, until `visit` has had enough.
    pub(crate) async fn scan(
        &self,
        stream: &str,
        from: Sequence,
        mut visit: impl FnMut(Stored) -> Flow,
    ) -> Result<(), Failure> {
        let mut from = from;
        loop {
            let page = self.streams().read(stream, ">", from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.sequence.next();
            for stored in page {
                if visit(stored) == Flow::Enough {
                    return Ok(());
                }
            }
        }
    }

    /// At most `max` messages that are wanted: from a sequence on, or else the newest. Oldest first.
    pub(crate) async fn select<T>(
        &self,
        stream: &str,
        from: Option<u64>,
        max: usize,
        wanted: impl Fn(Stored) -> Option<T>,
    ) -> Result<Selection<T>, Failure> {
        let info = self.info(stream).await?;
        match from {
            Some(from) => self.select_from(stream, Sequence(from), max, wanted).await,
            None => self.select_newest(stream, &info, max, wanted).await,
        }
    }

    async fn select_from<T>(
        &self,
        stream: &str,
        from: Sequence,
        max: usize,
        wanted: impl Fn(Stored) -> Option<T>,
    ) -> Result<Selection<T>, Failure> {
        let mut chosen = Selection { items: Vec::new(), more: false };
        let visit = |stored| match wanted(stored) {
            Some(_) if chosen.items.len() == max => {
                chosen.more = true;
                Flow::Enough
            }
            wanted => {
                chosen.items.extend(wanted);
                Flow::More
            }
        };
        self.scan(stream, from, visit).await?;
        Ok(chosen)
    }

    /// Reads backwards in ever longer strides, so that the end of a long stream is found without reading all of it.
    async fn select_newest<T>(
        &self,
        stream: &str,
        info: &StreamInfo,
        max: usize,
        wanted: impl Fn(Stored) -> Option<T>,
    ) -> Result<Selection<T>, Failure> {
        let mut stride = max as u64;
        loop {
            let from = Sequence(info.last.0.saturating_sub(stride).saturating_add(1)).max(info.first);
            let mut newest = VecDeque::new();
            self.scan(stream, from, |stored| {
                newest.extend(wanted(stored));
                if newest.len() > max + 1 {
                    newest.pop_front();
                }
                Flow::More
            })
            .await?;
            if newest.len() > max || from == info.first {
                let more = newest.len() > max;
                let items = newest.split_off(newest.len().saturating_sub(max)).into();
                return Ok(Selection { items, more });
            }
            stride = stride.saturating_mul(4);
        }
    }
}

/// The first root key that is there. What it opens is told without it too, so a missing one is no failure yet.
fn find_keys(paths: &[PathBuf], passphrase: Option<&Path>) -> Result<FileKeys, String> {
    let passphrase = passphrase.map(read_passphrase).transpose().map_err(|error| error.to_string())?;
    for path in paths {
        match FileKeys::find(path, PEER, passphrase.as_ref()) {
            Ok(Some(keys)) => return Ok(keys),
            Ok(None) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let looked: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Err(format!(
        "it is sealed, and there is no root key to open it with in {}: name a node's, as CONNECTOME_KEY_FILE",
        looked.join(" or in ")
    ))
}

/// Whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    More,
    Enough,
}

/// What was asked for, and whether there is more of it.
pub(crate) struct Selection<T> {
    pub(crate) items: Vec<T>,
    pub(crate) more: bool,
}

impl<T> Selection<T> {
    /// Takes the items, and tells a person that there are more.
    pub(crate) fn noted(self) -> Vec<T> {
        if self.more {
            crate::output::note("there are more: raise --max to see them");
        }
        self.items
    }
}
