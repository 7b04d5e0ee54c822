//! What is configured and can't be had is refused when a node starts, with the key that is wrong and what would be right.

use connectome::config::Profile;
use connectome::port::Storage;
use connectome::prelude::*;

use crate::support::nats::NatsServer;

fn config(server: &NatsServer, namespace: &str) -> Config {
    let mut config = Config::in_memory();
    config.namespace = namespace.to_owned();
    config.nats.url = Some(server.url());
    config
}

async fn refused(config: Config, words: &[&str]) {
    let Err(error) = Node::start(config).await else { panic!("it should be refused: {words:?}") };
    let error = error.to_string();
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
}

/// More replicas than there are servers, and more bytes than the server has, name their keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_has_no_place_for_names_its_key() {
    let server = NatsServer::start();
    let mut three = config(&server, "three");
    three.nats.replicas = 3;
    refused(three, &["nats.replicas", "use 1"]).await;
    let mut huge = config(&server, "huge");
    huge.streams.storage = Storage::Memory;
    huge.streams.max_bytes = Some(1 << 50);
    refused(huge, &["storage"]).await;
}

/// A server without JetStream is refused, and where it was named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_streams_is_refused() {
    let server =
        NatsServer::start_with("accounts: { A: { users: [{ user: a, password: a }] } }\nno_auth_user: a");
    refused(config(&server, "none"), &["JetStream"]).await;
}

/// What can't be changed in place is reported: the storage of a stream, and the shards of a cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_changed_in_place_is_reported() {
    let server = NatsServer::start();
    Node::start(config(&server, "kept")).await.unwrap().stop().await;
    let mut other = config(&server, "kept");
    other.router.shards = 32;
    refused(other, &["streams.shards", "16", "32"]).await;
    let directory = tempfile::tempdir().unwrap();
    let mut on_disk = config(&server, "kept");
    (on_disk.streams.storage, on_disk.data_dir) = (Storage::File, directory.path().to_owned());
    refused(on_disk, &["storage", "configure"]).await;
    Node::start(config(&server, "kept")).await.unwrap().stop().await;
}

/// The word durable is taken at its word: too few replicas are refused, and a server that does not force its writes to the
/// disk is found out where its monitoring endpoint is named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_is_checked_as_far_as_it_can_be_seen() {
    let port = crate::support::nats::free_port();
    let server = NatsServer::start_with(&format!("http: \"127.0.0.1:{port}\""));
    let directory = tempfile::tempdir().unwrap();
    let durable = |replicas: usize, monitors: &str| {
        let mut config = config(&server, "durable");
        (config.streams.storage, config.data_dir) = (Storage::File, directory.path().to_owned());
        (config.nats.profile, config.nats.replicas) = (Profile::Durable, replicas);
        config.nats.monitors = Some(monitors.to_owned());
        config
    };
    let monitor = format!("http://127.0.0.1:{port}");
    refused(durable(1, &monitor), &["nats.replicas", "3 or 5"]).await;
    refused(durable(3, "127.0.0.1:8222"), &["nats.monitors", "http://"]).await;
    refused(durable(3, "http://127.0.0.1:1"), &["nats.monitors", "can't be asked"]).await;
    refused(durable(3, &monitor), &["nats.profile", "sync_interval: always"]).await;
}
