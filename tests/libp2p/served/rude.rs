//! A stranger's rubbish on the stream to the store: it costs the stranger its stream, and the store a bounded amount.

use std::sync::Arc;
use std::time::Duration;

use connectome::port::Streams;
use connectome::streams::{Embedded, Served, StoreServer};
use connectome::transport::libp2p::{Admission, ClusterSecret, Libp2pTransport, PeerStream};
use connectome::world::SystemWorld;
use connectome_codecs::wire;
use serde_json::{Value, json};

use super::super::support::{open, soon, until};

const PROTOCOL: &str = "/connectome/streams/1";

async fn served() -> (Libp2pTransport, StoreServer) {
    served_to(Admission::default()).await
}

async fn served_to(admission: Admission) -> (Libp2pTransport, StoreServer) {
    let there = open("there", Vec::new(), admission).await;
    let world = SystemWorld::new().unwrap();
    let store = Embedded::in_memory(Arc::new(SystemWorld::new().unwrap()));
    let server = StoreServer::start(store, &world, &there, "main").await.unwrap();
    (there, server)
}

/// Whoever is polite is served all the same.
async fn is_served(there: &Libp2pTransport) {
    serves(there, Admission::default()).await;
}

async fn serves(there: &Libp2pTransport, admission: Admission) {
    let polite = open("polite", there.addresses(), admission).await;
    let served = Served::new(Arc::new(polite), there.node_id(), "main");
    assert_eq!(soon(served.stream_names()).await.unwrap(), Vec::<String>::new());
}

fn unit(head: &Value, body: &[u8]) -> Vec<u8> {
    let head = wire::encode(head).unwrap();
    let length = (4 + head.len() + body.len()) as u32;
    [&length.to_be_bytes()[..], &(head.len() as u32).to_be_bytes(), &head, body].concat()
}

fn hello() -> Vec<u8> {
    unit(&json!({ "hello": { "namespace": "main" } }), b"")
}

async fn rude(there: &Libp2pTransport) -> Libp2pTransport {
    let rude = open("rude", there.addresses(), Admission::default()).await;
    soon(rude.linked(there.node_id())).await;
    rude
}

async fn begin(rude: &Libp2pTransport, there: &Libp2pTransport) -> PeerStream {
    soon(rude.open_stream(there.node_id(), PROTOCOL)).await.unwrap()
}

/// Reads until the stream is closed in our face.
async fn ends(stream: &mut PeerStream) {
    let mut space = [0; 4_096];
    soon(async { while !matches!(stream.read(&mut space).await, Ok(0) | Err(_)) {} }).await;
}

/// What is malformed, oversized, out of order or a lie ends the stream at once; others are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_ends_the_stream() {
    let (there, _server) = served().await;
    let rude = rude(&there).await;
    let ask = |ask: Value| unit(&json!({ "ask": { "id": 1, "ask": ask } }), b"");
    let greeted = |rest: Vec<u8>| [hello(), rest].concat();
    let twice = [ask(json!({ "fetch": { "handle": 1, "max": 1, "wait": 9 } })), ask(json!("stream_names"))];
    let rubbish = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        vec![0; 64],
        ask(json!("stream_names")),
        unit(&json!({ "hello": { "namespace": "main".repeat(2_000) } }), b""),
        greeted(hello()),
        greeted(u32::MAX.to_be_bytes().to_vec()),
        greeted(vec![0, 0, 0, 8, 0, 0, 0, 9, 0xc0, 0xc0, 0xc0, 0xc0]),
        greeted(vec![0, 0, 0, 5, 0, 0, 0, 1, 0xc1]),
        greeted(unit(&json!({ "dance": {} }), b"")),
        greeted(unit(&json!([[[[[[[[[[]]]]]]]]]]), b"")),
    ];
    for bytes in rubbish {
        let mut stream = begin(&rude, &there).await;
        // It may be closed in our face.
        drop(stream.write(&bytes).await);
        ends(&mut stream).await;
    }
    let mut stream = begin(&rude, &there).await;
    stream.write(&greeted(twice.concat())).await.unwrap();
    until(async || there.streams().iter().filter(|row| row.protocol == PROTOCOL).count() <= 1).await;
    is_served(&there).await;
}

/// A body that is not as long as it should be, a handle that nothing has, and a question that the store refuses are answered; the
/// stream goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_wrong_is_answered() {
    let (there, _server) = served().await;
    let rude = rude(&there).await;
    let mut stream = begin(&rude, &there).await;
    stream.write(&hello()).await.unwrap();
    let publish = json!({ "publish": { "stream": "S", "subject": "s", "id": null, "length": 9 } });
    let wrong = [
        (publish, "body is not as long"),
        (json!({ "fetch": { "handle": 7, "max": 1, "wait": 0 } }), "not_open"),
        (json!({ "stream_info": { "stream": "S" } }), "not_found"),
        (
            json!({ "read": { "stream": "S", "filter": "..", "from": 0, "max": 4_000_000_000_u32 } }),
            "refused",
        ),
    ];
    for (id, (ask, expected)) in wrong.into_iter().enumerate() {
        stream.write(&unit(&json!({ "ask": { "id": id, "ask": ask } }), b"")).await.unwrap();
        let mut heard = Vec::new();
        soon(async {
            while !String::from_utf8_lossy(&heard).contains(expected) {
                let mut space = [0; 4_096];
                let length = stream.read(&mut space).await.unwrap();
                assert!(length > 0, "the stream goes on");
                heard.extend_from_slice(&space[..length]);
            }
        })
        .await;
    }
}

/// Questions without end, and answers that nobody reads, come to an end: of the questions by their number, of the reading by the
/// stream's window. What was asked is bounded in bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_questions_come_to_an_end() {
    let (there, _server) = served().await;
    let rude = rude(&there).await;
    let mut stream = begin(&rude, &there).await;
    stream.write(&hello()).await.unwrap();
    let open =
        json!({ "open_bucket": { "handle": 1, "config": { "name": "b", "ttl": null, "memory": true } } });
    stream.write(&unit(&json!({ "ask": { "id": 0, "ask": open } }), b"")).await.unwrap();
    let tail = json!({ "open_watch": {
        "handle": 2, "config": { "name": "b", "ttl": null, "memory": true }, "prefix": "",
    } });
    stream.write(&unit(&json!({ "ask": { "id": 1, "ask": tail } }), b"")).await.unwrap();
    let asking = async {
        for id in 2_u64.. {
            let next = unit(&json!({ "ask": { "id": id, "ask": { "next": { "handle": 2 } } } }), b"");
            if stream.write(&next).await.is_err() {
                return id;
            }
        }
        unreachable!("it ends")
    };
    let asked = soon(asking).await;
    assert!(asked < 20_000, "{asked} questions waited");
    is_served(&there).await;
}

/// Streams on which nothing is said are closed when their hello is due, and there are only so many of one peer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_streams_are_closed() {
    let (there, _server) = served().await;
    let rude = rude(&there).await;
    let mut silent = Vec::new();
    for _ in 0..16 {
        let mut stream = begin(&rude, &there).await;
        // A length, and then nothing: what is promised is not made room for.
        drop(stream.write(&[0, 0]).await);
        silent.push(stream);
    }
    is_served(&there).await;
    for stream in &mut silent {
        tokio::time::timeout(Duration::from_secs(30), ends(stream)).await.expect("its time is over");
    }
}

/// Where a cluster has a secret, who does not know it is not even heard; who does is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_member_is_not_heard() {
    let secret = ClusterSecret::new(&[b's'; 32]);
    let members = || Admission { secret: secret.clone(), ..Admission::default() };
    let (there, _server) = served_to(members()).await;
    let rude = open("rude", there.addresses(), Admission::default()).await;
    let mut was_opened = false;
    while !was_opened {
        // The connection is closed again and again, since no link comes of it.
        let Ok(mut stream) = rude.open_stream(there.node_id(), PROTOCOL).await else {
            tokio::task::yield_now().await;
            continue;
        };
        was_opened = true;
        drop(stream.write(&hello()).await);
        let mut answer = [0; 64];
        assert!(matches!(soon(stream.read(&mut answer)).await, Ok(0) | Err(_)), "it is not answered");
    }
    assert!(there.streams().is_empty());
    serves(&there, members()).await;
}
