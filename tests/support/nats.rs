//! Real nats-servers on loopback: started, killed, stopped and started again by tests.
//!
//! `tests/nats/server` says which binary; when there is none, the test fails with what it said. A server dies with whoever
//! holds it, and with the test process, however that ends.

mod cluster;
mod deployed;
mod guard;
mod link;
mod log;
mod port;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) use cluster::NatsCluster;
pub(crate) use deployed::Deployed;
use guard::Guard;
pub(crate) use link::Link;
use log::Log;
pub(crate) use port::free as free_port;

/// How long a server may take to start: it takes milliseconds, on a busy machine seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Tries to start on another port, when somebody took the first one meanwhile.
const PORT_TRIES: usize = 5;

/// For bodies of `FRAME_MAX` with their headers; the server's own default has room for the body alone.
const MAX_PAYLOAD: usize = 2 * 1024 * 1024;

/// One nats-server with JetStream and a store of its own.
pub(crate) struct NatsServer {
    port: u16,
    /// Where it listens: on loopback alone, or on every address.
    host: &'static str,
    /// Where it tells how it is.
    monitor: u16,
    directory: PathBuf,
    store: PathBuf,
    /// How it keeps things there, beyond where: what follows in that part of its configuration file.
    keeps: String,
    /// Beyond the port, the store and `max_payload`: what stands in its configuration file.
    configuration: String,
    running: Option<Running>,
    guard: Guard,
}

struct Running {
    process: Child,
    log: Arc<Log>,
}

impl NatsServer {
    /// Starts one on a free port, with an empty store, and waits until it takes clients.
    pub(crate) fn start() -> NatsServer {
        NatsServer::start_with("")
    }

    /// The one that tests of this process share: nobody kills it, and everybody keeps to a namespace of their own.
    pub(crate) fn shared() -> &'static NatsServer {
        static SHARED: OnceLock<NatsServer> = OnceLock::new();
        SHARED.get_or_init(NatsServer::start)
    }

    /// Starts one with these lines in its configuration.
    pub(crate) fn start_with(configuration: &str) -> NatsServer {
        NatsServer::start_on("127.0.0.1", configuration)
    }

    /// Starts one that is reached over every address of this machine.
    pub(crate) fn start_everywhere() -> NatsServer {
        NatsServer::start_on("0.0.0.0", "")
    }

    fn start_on(host: &'static str, configuration: &str) -> NatsServer {
        let mut said = String::new();
        for _ in 0..PORT_TRIES {
            let mut server = NatsServer::prepare(host, port::free(), configuration);
            match server.run() {
                Ok(()) => return server,
                Err(problem) => said = problem,
            }
        }
        panic!("no nats-server started, though {PORT_TRIES} ports were tried: {said}");
    }

    /// Starts one with these lines in its configuration, that keeps what it keeps in this directory, in this way.
    pub(crate) fn start_in(store: &Path, keeps: &str, configuration: &str) -> NatsServer {
        let mut server = NatsServer::prepare("127.0.0.1", port::free(), configuration);
        (server.store, server.keeps) = (store.to_owned(), keeps.to_owned());
        server.run().unwrap_or_else(|problem| panic!("no nats-server started: {problem}"));
        server
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A directory that goes with it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills it with SIGKILL, and waits until it is gone. Its store stays.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill().expect("it is our child");
            running.process.wait().expect("it is our child");
            self.guard.watch(None);
        }
    }

    /// Starts it again, to keep things in another way from now on.
    pub(crate) fn restart_to_keep(&mut self, keeps: &str) {
        self.keeps = keeps.to_owned();
        self.restart();
    }

    /// Kills it, and removes all that it kept.
    pub(crate) fn kill_and_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.store).expect("it was there");
    }

    /// Asks it to hand over what it leads, to let its clients go, and to end (lame duck mode); waits until it has.
    pub(crate) fn retire(&mut self) {
        self.signal("-USR2");
        if let Some(mut running) = self.running.take() {
            running.process.wait().expect("it is our child");
            self.guard.watch(None);
        }
    }

    /// Whether it says that it has caught up with the others, in all that it keeps.
    pub(crate) fn is_healthy(&self) -> bool {
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.monitor)) else { return false };
        let asked = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n");
        let mut said = String::new();
        asked.is_ok() && stream.read_to_string(&mut said).is_ok() && said.starts_with("HTTP/1.0 200")
    }

    /// Starts it again, on the same port and store; kills it first if it runs.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.run().unwrap_or_else(|problem| panic!("the nats-server did not start again: {problem}"));
    }

    /// Stops it where it is (SIGSTOP): connections stay open, and nobody answers.
    pub(crate) fn stop_signal(&self) {
        self.signal("-STOP");
        // Where the system tells, until it stands.
        let process = self.running.as_ref().expect("it runs").process.id();
        while std::fs::read_to_string(format!("/proc/{process}/stat"))
            .is_ok_and(|stat| !stat.contains(") T "))
        {
            std::thread::yield_now();
        }
    }

    /// Lets a stopped one go on (SIGCONT).
    pub(crate) fn cont(&self) {
        self.signal("-CONT");
    }

    /// Sends it a signal, as the `kill` command names it.
    pub(crate) fn signal(&self, signal: &str) {
        let process = self.running.as_ref().expect("it runs").process.id();
        let sent = Command::new("kill").args([signal, &process.to_string()]).status();
        assert!(sent.expect("there is a kill command").success(), "kill {signal} {process}");
    }

    /// The id of its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").process.id()
    }

    /// Waits until it has logged a line that holds `words`, since it was started last.
    pub(crate) fn wait_for_log(&self, words: &str) {
        let log = &self.running.as_ref().expect("it runs").log;
        log.wait_for(words, START_TIMEOUT).unwrap_or_else(|problem| panic!("{problem}"));
    }

    fn prepare(host: &'static str, port: u16, configuration: &str) -> NatsServer {
        let directory = tempfile::tempdir().expect("there is a directory for temporary files").keep();
        let guard = Guard::start(&directory);
        let (monitor, store) = (port::free(), directory.join("store"));
        let configuration = configuration.to_owned();
        NatsServer {
            port,
            host,
            monitor,
            directory,
            store,
            keeps: String::new(),
            configuration,
            running: None,
            guard,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let path = self.directory.join("server.conf");
        std::fs::write(&path, self.file()).expect("the directory can be written");
        let mut process = Command::new(binary())
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        self.guard.watch(Some(process.id()));
        let log = Log::follow(process.stderr.take().expect("it is piped"));
        let started = log.wait_for("Server is ready", START_TIMEOUT);
        self.running = Some(Running { process, log });
        if started.is_err() {
            self.kill();
        }
        started
    }

    fn file(&self) -> String {
        let NatsServer { port, host, monitor, store, keeps, configuration, .. } = self;
        format!(
            "listen: \"{host}:{port}\"\nhttp: \"127.0.0.1:{monitor}\"\nmax_payload: {MAX_PAYLOAD}\njetstream: {{ store_dir: {store:?}, {keeps} }}\n{configuration}\n"
        )
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(running) = &self.running
        {
            eprintln!("the nats-server {} said last:\n{}", self.url(), running.log.tail());
        }
        self.guard.end();
        if let Some(running) = &mut self.running {
            // The guard has killed it; this only takes note.
            let _ = running.process.wait();
        }
    }
}

/// The binary to start: asked for once by each test process.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests/nats/server");
        let said = Command::new(&script).stdin(Stdio::null()).output();
        let said = said.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        let last = String::from_utf8_lossy(&said.stderr).lines().last().unwrap_or_default().to_owned();
        assert!(said.status.success(), "there is no nats-server to test with: {last}");
        PathBuf::from(String::from_utf8(said.stdout).expect("a path").trim_end())
    })
}
