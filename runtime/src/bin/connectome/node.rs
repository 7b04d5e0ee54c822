//! `connectome node`: a node in the foreground, from its start to its graceful end.

use connectome::config::Config;
use connectome::port::Storage;
use connectome::{Node, telemetry};
use tokio::runtime::Runtime;

use crate::args::ConfigArgs;
use crate::doc::Doc;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(args: &ConfigArgs, json: bool) -> Result<Doc, Failure> {
    let config = args.load()?;
    telemetry::init(&config.log.filter, config.log.format)?;
    forbid_core_dumps();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("the operating system refused a thread: {error}")))?;
    let ended = runtime.block_on(keep(config, json));
    leave(runtime);
    ended.map(|()| Doc::Nothing)
}

/// A core dump would hold the keys, and all that was said lately.
#[cfg(unix)]
fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a core dump of this process, which holds its keys, can't be forbidden");
    }
}

#[cfg(not(unix))]
fn forbid_core_dumps() {}

/// Whatever did not stop in its time is not waited for.
fn leave(runtime: Runtime) {
    runtime.shutdown_background();
}

/// Where the streams are: what a person looks for next.
fn place_of_store(config: &Config) -> String {
    if let Some(servers) = config.nats.servers() {
        return servers;
    }
    if let Some(at) = config.libp2p.store.as_deref().filter(|_| !config.libp2p.serves()) {
        return format!("that of {at}");
    }
    match config.streams.storage {
        Storage::File => {
            let path = std::path::absolute(config.store_path()).unwrap_or_else(|_| config.store_path());
            path.display().to_string()
        }
        Storage::Memory => "in memory, gone with the process".to_owned(),
    }
}

async fn keep(config: Config, json: bool) -> Result<(), Failure> {
    // Listened to before the node starts, so that it can be interrupted from its first moment.
    let mut signals = Signals::listen()?;
    let store = place_of_store(&config);
    let node = Node::start(config).await?;
    let parts = vec![("node", Doc::text(node.id())), ("store", Doc::text(store))];
    // A node keeps its store whether somebody reads this or not.
    drop(output::write(&Doc::Record(parts), json));
    tokio::select! {
        biased;
        () = signals.next() => {}
        () = node.ended() => return Err(Failure::new("the node's machinery crashed more often than it may: see the log")),
    }
    tracing::info!("stopping; a second signal ends it at once");
    tokio::select! {
        biased;
        () = node.stop() => Ok(()),
        () = signals.next() => Err(Failure::new("ended at once by a second signal: work in hand was left to others")),
    }
}

/// What asks a process to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Result<Signals, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let refused = |error| Failure::new(format!("the operating system refused a signal handler: {error}"));
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt()).map_err(refused)?,
            terminate: signal(SignalKind::terminate()).map_err(refused)?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn listen() -> Result<Signals, Failure> {
        Ok(Signals {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
