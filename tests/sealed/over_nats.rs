//! Whoever runs the broker: what it can read, and what becomes of what it sends again, changes, or makes up.

use std::time::Duration;

use async_nats::HeaderMap;
use connectome::codecs::{Envelope, Kind, MessageId, UnixMillis};
use connectome::prelude::*;
use connectome::{Bytes, DEAD_LETTERS};
use futures_util::StreamExt;
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{PATIENCE, until};
use crate::support::nats::NatsServer;

/// Messages on a tape: several times what passes a broker in one of these tests.
const TAPE_MAX: usize = 65_536;

/// Copies of one message in each of which another bit is changed.
const FLIPS: usize = 12;

#[derive(Message, Serialize, Deserialize, Clone)]
#[message(name = "secret", reply = Secret)]
struct Secret {
    words: Bytes,
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "heard", reply = Vec<Bytes>)]
struct Heard;

/// Answers with what it is told, and remembers it.
#[derive(Default)]
struct Ear(Vec<Bytes>);

impl Agent for Ear {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Secret>();
        table.on::<Heard>();
    }

    fn save(&self) -> Bytes {
        connectome::codecs::wire::encode(&self.0).unwrap()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.0 = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Secret> for Ear {
    async fn handle(&mut self, secret: Secret, _: &mut Context<'_>) -> Result<Secret, HandlerError> {
        self.0.push(secret.words.clone());
        Ok(secret)
    }
}

impl Handle<Heard> for Ear {
    async fn handle(&mut self, _: Heard, _: &mut Context<'_>) -> Result<Vec<Bytes>, HandlerError> {
        Ok(self.0.clone())
    }
}

pub(super) async fn node(name: &str, home: &std::path::Path, server: &NatsServer, sealed: bool) -> Node {
    let mut config = Config { name: name.to_owned(), data_dir: home.join(name), ..Config::default() };
    config.key_file = Some(home.join("root.key"));
    config.nats.url = Some(server.url());
    config.streams.max_bytes = Some(64 << 20);
    config.router.sealed = sealed;
    Node::start(config).await.unwrap()
}

/// Everything that passes the broker, by subject.
async fn eavesdrop(server: &NatsServer) -> (async_nats::Client, mpsc::Receiver<async_nats::Message>) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut all = client.subscribe(">").await.unwrap();
    client.flush().await.unwrap();
    let (heard, tape) = mpsc::channel(TAPE_MAX);
    tokio::spawn(async move {
        while let Some(message) = all.next().await {
            if heard.send(message).await.is_err() {
                return;
            }
        }
    });
    (client, tape)
}

/// Says a secret in every way, and gives what passed the broker meanwhile with the secret.
async fn tape_of_a_secret(sealed: bool) -> (Vec<u8>, Vec<u8>) {
    let (server, home) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (_client, mut tape) = eavesdrop(&server).await;
    let (here, there) =
        (node("here", home.path(), &server, sealed).await, node("there", home.path(), &server, sealed).await);
    there.spawn("ear", Ear::default).await.unwrap();
    let ear = timeout(PATIENCE, here.router().wait_for("ear")).await.unwrap().unwrap();
    let mut words = vec![0; 16];
    rand::rng().fill_bytes(&mut words);
    let secret = Secret { words: words.clone().into() };
    assert_eq!(ear.call(secret.clone()).await.unwrap().words, words);
    ear.cast(secret.clone()).await.unwrap();
    ear.send(secret).await.unwrap();
    until("all three are heard", async || ear.call(Heard).await.is_ok_and(|heard| heard.len() == 3)).await;
    here.stop().await;
    there.stop().await;
    let mut passed = Vec::new();
    while let Ok(message) = tape.try_recv() {
        passed.extend_from_slice(&message.payload);
    }
    (passed, words)
}

/// Whoever reads all that passes the broker finds no word of a call, its answer, a cast, a durable message or a kept state;
/// between nodes that do not seal the same search finds them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_learns_nothing() {
    for (sealed, expected) in [(true, 0), (false, 4)] {
        let (passed, words) = tape_of_a_secret(sealed).await;
        let found = passed.windows(words.len()).filter(|window| *window == words).count();
        println!("sealed: {sealed}; the words were found {found} times in {} bytes", passed.len());
        assert!(passed.len() > 10_000, "nothing was heard");
        if sealed {
            assert_eq!(found, 0);
        } else {
            assert!(found >= expected, "the search finds nothing: {found}");
        }
    }
}

/// A durable message that the broker sends again, changes by a bit, or makes up, is not applied; the agent goes on, and each
/// refusal is counted by its code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_makes_of_it_is_not_applied() {
    let (server, home) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let (client, mut tape) = eavesdrop(&server).await;
    let one = node("one", home.path(), &server, true).await;
    let ear = one.spawn("ear", Ear::default).await.unwrap();
    let says = async |words: &'static str| ear.send(Secret { words: words.into() }).await.unwrap();
    let hears = async |count: usize| {
        until("it is heard", async || ear.call(Heard).await.is_ok_and(|heard| heard.len() >= count)).await;
    };
    says("first").await;
    hears(1).await;
    let mail = loop {
        let message = timeout(PATIENCE, tape.recv()).await.unwrap().unwrap();
        if message.subject.as_str().contains(".message.") && message.headers.is_some() {
            break message;
        }
    };
    let mut number = 0;
    let mut publish = async |payload: Bytes| {
        number += 1;
        let mut headers = HeaderMap::new();
        let id = MessageId::from_parts(UnixMillis(1_800_000_000_000), number);
        headers.insert("Nats-Msg-Id", id.to_string());
        client.publish_with_headers(mail.subject.clone(), headers, payload).await.unwrap();
        client.flush().await.unwrap();
    };
    publish(mail.payload.clone()).await;
    for flip in 0..FLIPS {
        let mut bytes = mail.payload.to_vec();
        let at = bytes.len() - 1 - flip * (bytes.len() - 200) / FLIPS;
        bytes[at] ^= 1;
        publish(bytes.into()).await;
    }
    let mut forged = Envelope::new(
        MessageId::from_parts(UnixMillis(1), 9),
        Kind::Typed,
        "ear".parse().unwrap(),
        UnixMillis(1),
        connectome::codecs::wire::encode(&Secret { words: "forged".into() }).unwrap(),
    );
    forged.name = Some("secret".parse().unwrap());
    publish(forged.encode().unwrap()).await;
    says("second").await;
    hears(2).await;
    assert_eq!(ear.call(Heard).await.unwrap(), ["first", "second"].map(Bytes::from));
    let refused = one.metrics().await.sealing.messages.refused;
    println!("refused: {refused:?}; a message of 5 bytes takes {} in the stream", mail.payload.len());
    assert_eq!(refused.get("duplicate"), Some(&1));
    assert_eq!(refused.get("unsealed"), Some(&1));
    assert!(refused.values().sum::<u64>() >= 2 + FLIPS as u64, "{refused:?}");
    let buried = one.ports().streams.stream_info(DEAD_LETTERS).await.unwrap().messages;
    assert_eq!(buried, FLIPS as u64 + 1, "what was changed or made up is set aside, what came again is not");
    one.stop().await;
}

/// What is sent to an agent that has never run waits for it, sealed, through the end of its sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_never_ran_opens_what_waited() {
    let (server, home) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let sender = node("sender", home.path(), &server, true).await;
    sender.agent("ear").unwrap().send(Secret { words: "good morning".into() }).await.unwrap();
    sender.stop().await;
    let other = node("other", home.path(), &server, true).await;
    let ear = other.spawn("ear", Ear::default).await.unwrap();
    until("it is heard", async || ear.call(Heard).await.is_ok_and(|heard| heard == ["good morning"])).await;
    other.stop().await;
}

/// Nodes of two owners, each with a root of its own, talk to each other's agents and send them mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_owners_talk() {
    let (server, homes) = (NatsServer::start(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    let (ours, theirs) = (
        node("ours", homes[0].path(), &server, true).await,
        node("theirs", homes[1].path(), &server, true).await,
    );
    theirs.spawn("ear", Ear::default).await.unwrap();
    let ear = timeout(PATIENCE, ours.router().wait_for("ear")).await.unwrap().unwrap();
    let words = Bytes::from("good day");
    assert_eq!(ear.call(Secret { words: words.clone() }).await.unwrap().words, words);
    ear.send(Secret { words: words.clone() }).await.unwrap();
    until("it is heard", async || ear.call(Heard).await.is_ok_and(|heard| heard.len() == 2)).await;
    let counts = ours.router().seal_counts();
    assert!(counts.sealed > 0 && counts.opened > 0 && counts.refused.is_empty(), "{counts:?}");
    timeout(Duration::from_secs(30), theirs.stop()).await.unwrap();
    ours.stop().await;
}
