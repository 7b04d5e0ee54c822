//! What a server refuses is told with the key that is wrong and what would be right; what hangs is waited for, and then told.

use std::time::Duration;

use bytes::Bytes;
use connectome::streams::{JetStream, JetStreamOptions};
use connectome::transport::nats::{NatsConnection, NatsOptions};
use connectome_actors::port::*;
use connectome_codecs::MessageId;

use crate::support::nats::NatsServer;

async fn open(server: &NatsServer, options: JetStreamOptions) -> Result<JetStream, StreamError> {
    let connection = NatsConnection::open(&NatsOptions::new(&server.url()).unwrap()).await.unwrap();
    JetStream::open(&connection, options).await
}

fn options(namespace: &str) -> JetStreamOptions {
    JetStreamOptions { namespace: namespace.to_owned(), ..JetStreamOptions::default() }
}

fn stream(name: &str, subject: &str) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        duplicate_window: Duration::from_secs(120),
    }
}

fn message(subject: &str, body: impl Into<Bytes>) -> Publish {
    Publish { subject: subject.to_owned(), id: Some(MessageId::from_bytes([7; 16])), body: body.into() }
}

#[track_caller]
fn assert_says<T>(result: Result<T, StreamError>, words: &[&str]) {
    let Err(StreamError::Invalid(said)) = result else { panic!("it should be refused as invalid") };
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

/// Options that fit no server are refused before one is asked.
#[tokio::test]
async fn options_are_checked() {
    let server = NatsServer::shared();
    for namespace in ["", "a.b", "a b", &"a".repeat(33)] {
        assert_says(open(server, options(namespace)).await, &["namespace"]);
    }
    assert_says(open(server, JetStreamOptions { replicas: 0, ..options("r") }).await, &["replicas"]);
    let hasty = JetStreamOptions { deadline: Duration::ZERO, ..options("r") };
    assert_says(open(server, hasty).await, &["deadline"]);
}

/// More replicas than servers, and more bytes than the server has, name the key.
#[tokio::test]
async fn what_has_no_place_names_its_key() {
    let server = NatsServer::shared();
    let three = open(server, JetStreamOptions { replicas: 3, ..options("place") }).await.unwrap();
    assert_says(three.create_stream(stream("S", "place.s")).await, &["replicas", "use 1"]);
    let one = open(server, options("place")).await.unwrap();
    let huge = StreamConfig { max_bytes: Some(1 << 60), ..stream("S", "place.s") };
    assert_says(one.create_stream(huge).await, &["max_bytes", "max_file"]);
}

/// A subject belongs to one stream, whoever's that is, and a stream to one namespace.
#[tokio::test]
async fn what_is_somebody_elses_is_refused() {
    let server = NatsServer::shared();
    let (mine, yours) =
        (open(server, options("mine")).await.unwrap(), open(server, options("mine_T")).await.unwrap());
    mine.create_stream(stream("T_S", "mine.s")).await.unwrap();
    assert_says(yours.create_stream(stream("R", "mine.>")).await, &["overlap"]);
    let conflict = yours.create_stream(stream("S", "yours.s")).await.unwrap_err();
    assert!(matches!(conflict, StreamError::Conflict { field: "namespace", .. }), "{conflict}");
    assert_eq!(yours.stream_names().await, Ok(vec![]));
    assert_eq!(mine.stream_names().await.unwrap(), ["T_S"]);
}

/// A body that its headers make too large for the server is refused at once, with the server's key.
#[tokio::test]
async fn a_body_past_the_servers_bound_names_its_key() {
    let server = NatsServer::start_with("max_payload: 65536");
    let store = open(&server, options("small")).await.unwrap();
    store.create_stream(stream("S", "s")).await.unwrap();
    assert_says(store.publish("S", message("s", vec![0; 65_536])).await, &["max_payload"]);
    store.publish("S", message("s", vec![0; 65_000])).await.unwrap();
}

/// A server that hangs for a while costs time alone; one that hangs for longer than the deadline, an honest answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_waited_for() {
    let server = NatsServer::start();
    let brief = JetStreamOptions {
        request_timeout: Duration::from_millis(500),
        deadline: Duration::from_secs(2),
        ..options("hangs")
    };
    let (patient, brief) =
        (open(&server, options("hangs")).await.unwrap(), open(&server, brief).await.unwrap());
    patient.create_stream(stream("S", "s")).await.unwrap();
    server.stop_signal();
    let let_go = async {
        let hasty = brief.publish("S", message("s", "1")).await;
        assert!(matches!(hasty, Err(StreamError::Unknown(_))), "{hasty:?}");
        server.cont();
    };
    let (published, ()) = tokio::join!(patient.publish("S", message("s", "1")), let_go);
    published.unwrap();
    assert_eq!(patient.stream_info("S").await.unwrap().messages, 1);
}
