//! A real nats-server for the length of a bench.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A nats-server with JetStream on loopback, ended with us.
pub(crate) struct Server {
    pub(crate) url: String,
    process: Child,
    _store: TempDir,
}

impl Server {
    pub(crate) fn start() -> Server {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nats/server");
        let found = Command::new(script).stderr(Stdio::inherit()).output().expect("there is a python3");
        assert!(found.status.success(), "there is no nats-server to measure with");
        let binary = String::from_utf8(found.stdout).expect("a path");
        let store = tempfile::tempdir().expect("there is room for streams");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut command = Command::new(binary.trim_end());
        command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(store.path());
        let mut process =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be run");
        let mut log =
            BufReader::new(process.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("Server is ready")), "the server starts");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        Server { url: format!("nats://127.0.0.1:{port}"), process, _store: store }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended needs neither.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
