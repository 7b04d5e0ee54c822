//! The servers that tests stand on can be killed, started again, stopped and let go on, alone and as a cluster.

use std::time::Duration;

use connectome::transport::nats::{NatsConnection, NatsOptions};

use crate::support::nats::{NatsCluster, NatsServer};

async fn connects(urls: &str) -> bool {
    let options = NatsOptions { connect_timeout: Duration::from_secs(1), ..NatsOptions::new(urls).unwrap() };
    NatsConnection::open(&options).await.is_ok()
}

/// A server takes clients, does not when it is killed or stopped, and does again on the same port.
#[tokio::test]
async fn a_server_comes_and_goes() {
    let mut server = NatsServer::start();
    assert!(connects(&server.url()).await);
    server.kill();
    assert!(!connects(&server.url()).await);
    server.restart();
    assert!(connects(&server.url()).await);
    server.stop_signal();
    assert!(!connects(&server.url()).await);
    server.cont();
    assert!(connects(&server.url()).await);
}

/// A cluster of three has a leader when it is there.
#[tokio::test]
async fn a_cluster_has_a_leader() {
    let cluster = NatsCluster::start(3);
    assert!(connects(&cluster.urls()).await);
}
