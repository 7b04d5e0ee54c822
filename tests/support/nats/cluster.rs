//! Several servers that keep streams together.

use std::path::Path;
use std::sync::OnceLock;

use super::{NatsServer, port};

/// Servers with routes to each other, numbered from 0.
pub(crate) struct NatsCluster {
    pub(crate) servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts this many, and waits until they have chosen who leads.
    pub(crate) fn start(servers: usize) -> NatsCluster {
        NatsCluster::start_with(servers, "")
    }

    /// The three that tests of this process share: nobody kills one, and everybody keeps to a namespace of their own.
    pub(crate) fn shared() -> &'static NatsCluster {
        static SHARED: OnceLock<NatsCluster> = OnceLock::new();
        SHARED.get_or_init(|| NatsCluster::start(3))
    }

    /// Starts this many, each with these lines in its configuration.
    pub(crate) fn start_with(servers: usize, configuration: &str) -> NatsCluster {
        let routes: Vec<u16> = (0..servers).map(|_| port::free()).collect();
        let start = |number| NatsServer::start_with(&member(number, &routes, configuration));
        let cluster = NatsCluster { servers: (0..servers).map(start).collect() };
        cluster.servers.iter().for_each(|server| server.wait_for_log("metadata leader"));
        cluster
    }

    /// Starts one server for each of these directories, that keeps what it keeps there, in this way.
    pub(crate) fn start_in<'s>(stores: impl IntoIterator<Item = &'s Path>, keeps: &str) -> NatsCluster {
        let stores: Vec<&Path> = stores.into_iter().collect();
        let routes: Vec<u16> = stores.iter().map(|_| port::free()).collect();
        let start = |(number, store)| NatsServer::start_in(store, keeps, &member(number, &routes, ""));
        let cluster = NatsCluster { servers: stores.into_iter().enumerate().map(start).collect() };
        cluster.servers.iter().for_each(|server| server.wait_for_log("metadata leader"));
        cluster
    }

    /// Where clients connect: all servers, separated by commas.
    pub(crate) fn urls(&self) -> String {
        self.servers.iter().map(NatsServer::url).collect::<Vec<_>>().join(",")
    }
}

/// The lines that make a server a member.
fn member(number: usize, routes: &[u16], configuration: &str) -> String {
    let others: Vec<String> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let (own, others) = (routes[number], others.join(", "));
    format!(
        "server_name: member-{number}\ncluster: {{ name: tests, listen: \"127.0.0.1:{own}\", routes: [{others}] }}\n{configuration}"
    )
}
