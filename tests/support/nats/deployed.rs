//! The servers of a directory of `deploy/`, as they stand there but for the ports, with every link between them in our hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::guard::Guard;
use super::link::Link;
use super::log::Log;
use super::{START_TIMEOUT, binary, port};

/// Servers that were started from their files.
pub(crate) struct Deployed {
    servers: Vec<Server>,
    links: BTreeMap<u16, Link>,
}

struct Server {
    name: String,
    url: String,
    process: Child,
    log: Arc<Log>,
    guard: Guard,
}

impl Deployed {
    /// Starts one server for each of these files below `deploy/`, and waits until all take clients.
    pub(crate) fn start(directory: &str, names: &[&str]) -> Deployed {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests lie in the repository");
        let files = files.join("deploy").join(directory);
        let mut ports = Ports::default();
        let texts: Vec<_> = names.iter().map(|name| ports.elsewhere(&read(&files, name))).collect();
        let links = ports.links();
        let common = std::fs::read_to_string(files.join("common.conf")).unwrap_or_default();
        let servers =
            names.iter().zip(texts).map(|(name, text)| Server::start(name, &text, &common)).collect();
        Deployed { servers, links }
    }

    /// Where clients of this server connect.
    pub(crate) fn url(&self, name: &str) -> String {
        self.server(name).url.clone()
    }

    /// Where clients of all of them connect.
    pub(crate) fn urls(&self) -> String {
        self.servers.iter().map(|server| server.url.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Waits until this server has logged a line that holds `words`.
    pub(crate) fn wait_for_log(&self, name: &str, words: &str) {
        let waited = self.server(name).log.wait_for(words, START_TIMEOUT);
        waited.unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }

    /// Cuts every link between the servers.
    pub(crate) fn cut(&self) {
        self.links.values().for_each(Link::cut);
    }

    /// Lets the links carry again.
    pub(crate) fn heal(&self) {
        self.links.values().for_each(Link::heal);
    }

    fn server(&self, name: &str) -> &Server {
        self.servers.iter().find(|server| server.name == name).expect("it was started")
    }
}

fn read(files: &Path, name: &str) -> String {
    let path = files.join(format!("{name}.conf"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Server {
    fn start(name: &str, text: &str, common: &str) -> Server {
        let directory: PathBuf =
            tempfile::tempdir().expect("there is a directory for temporary files").keep();
        let mut guard = Guard::start(&directory);
        std::fs::write(directory.join("common.conf"), common).expect("the directory can be written");
        std::fs::write(directory.join("server.conf"), text).expect("the directory can be written");
        let mut command = Command::new(binary());
        command.args(["--config", "server.conf"]).current_dir(&directory);
        let mut process =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be run");
        guard.watch(Some(process.id()));
        let log = Log::follow(process.stderr.take().expect("it is piped"));
        log.wait_for("Server is ready", START_TIMEOUT).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let address = text.lines().find_map(|line| line.strip_prefix("listen: \""));
        let address = address.expect("the file says where clients connect").trim_end_matches('"');
        Server { name: name.to_owned(), url: format!("nats://{address}"), process, log, guard }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the nats-server {} said last:\n{}", self.name, self.log.tail());
        }
        self.guard.end();
        // The guard has killed it; this only takes note.
        let _ = self.process.wait();
    }
}

/// Free ports in place of those in the files: one to listen on, and one of a link to it.
#[derive(Default)]
struct Ports {
    listened: BTreeMap<u16, u16>,
    linked: BTreeMap<u16, u16>,
}

impl Ports {
    fn elsewhere(&mut self, text: &str) -> String {
        let text = replace(text, "localhost:", |port| *self.listened.entry(port).or_insert_with(port::free));
        replace(&text, "127.0.0.1:", |port| {
            let known = self.listened.values().any(|listened| *listened == port);
            if known { port } else { *self.linked.entry(port).or_insert_with(port::free) }
        })
    }

    fn links(&self) -> BTreeMap<u16, Link> {
        let link = |(port, from): (&u16, &u16)| Some((*port, Link::new(*from, *self.listened.get(port)?)));
        self.linked.iter().filter_map(link).collect()
    }
}

/// The text with other ports behind each `host`, which becomes loopback's address.
fn replace(text: &str, host: &str, mut other: impl FnMut(u16) -> u16) -> String {
    let mut parts = text.split(host);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let port = part[..end].parse().expect("a port follows the host");
        replaced.push_str(&format!("127.0.0.1:{}{}", other(port), &part[end..]));
    }
    replaced
}
