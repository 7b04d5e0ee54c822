//! A disk that is slow, fails or panics, and what callers are told then.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use connectome_actors::port::*;
use connectome_codecs::{Sequence, UnixMillis};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::Embedded;
use super::core::record::{Place, Write};
use super::disk::Disk;
use super::store::Store;

const LONG: Duration = Duration::from_secs(60);

/// What the disk does with a batch.
enum Fate {
    Kept,
    Failed,
    Panicked,
}

/// A disk that keeps nothing, and that does with each batch what it is told, when it is told.
struct Puppet {
    asked: Mutex<Sender<usize>>,
    told: Mutex<Receiver<Fate>>,
}

/// The other end of the strings.
struct Strings {
    asked: Receiver<usize>,
    told: Sender<Fate>,
}

impl Disk for Puppet {
    fn commit(&self, writes: &[Write], _durable: bool) -> Result<(), String> {
        let appended = writes.iter().filter(|write| matches!(write, Write::PutBody(..))).count();
        // A test that is over wants nothing more.
        let _ = self.asked.lock().send(appended);
        match self.told.lock().recv() {
            Ok(Fate::Kept) | Err(_) => Ok(()),
            Ok(Fate::Failed) => Err("no space left on device".to_owned()),
            Ok(Fate::Panicked) => panic!("as the test wants"),
        }
    }

    fn body(&self, _: Place, _: u64) -> Result<Option<Bytes>, String> {
        Err("unreadable sector".to_owned())
    }
}

impl Strings {
    /// Waits until the disk is given a batch; gives how many bodies it holds.
    fn is_asked(&self) -> usize {
        self.asked.recv_timeout(LONG).unwrap()
    }

    fn tell(&self, fate: Fate) {
        self.told.send(fate).unwrap();
    }
}

struct Noon;

impl World for Noon {
    fn now(&self) -> UnixMillis {
        UnixMillis(43_200_000)
    }

    fn random(&self) -> u128 {
        4
    }
}

/// A store on such a disk, with the stream `S` and its consumer `c`.
async fn store() -> (Embedded, Strings, Arc<dyn Consumer>) {
    let ((ask, asked), (tell, told)) = (channel(), channel());
    let disk = Puppet { asked: ask.into(), told: told.into() };
    let store = Store::on_disk(Box::new(disk), Arc::new(Noon), |_, _| Ok::<(), std::io::Error>(()));
    let store = Embedded { store: Arc::new(store.unwrap()) };
    let strings = Strings { asked, told: tell };
    strings.tell(Fate::Kept);
    store.create_stream(stream_config()).await.unwrap();
    strings.tell(Fate::Kept);
    let consumer = store.consumer("S", consumer_config()).await.unwrap();
    strings.is_asked();
    strings.is_asked();
    (store, strings, consumer.into())
}

fn stream_config() -> StreamConfig {
    StreamConfig {
        name: "S".into(),
        subjects: vec!["s".into()],
        retention: Retention::Limits,
        storage: Storage::File,
        max_age: None,
        max_bytes: None,
        max_messages: None,
        discard: Discard::Old,
        duplicate_window: LONG,
    }
}

fn consumer_config() -> ConsumerConfig {
    ConsumerConfig {
        name: "c".into(),
        filter: "s".into(),
        start: Start::First,
        ack_wait: LONG,
        max_deliver: None,
        max_ack_pending: 10,
        backoff: vec![],
    }
}

fn message() -> Publish {
    Publish { subject: "s".into(), id: None, body: Bytes::from_static(b"body") }
}

/// Publishes in a task of its own, so that the test can go on while the disk is at it.
fn publishing(store: &Embedded) -> tokio::task::JoinHandle<Result<Published, StreamError>> {
    let store = store.clone();
    tokio::spawn(async move { store.publish("S", message()).await })
}

async fn kept(store: &Embedded) -> usize {
    store.read("S", ">", Sequence(1), 100).await.unwrap().len()
}

#[tokio::test]
async fn what_the_disk_does_not_have_yet_is_not_seen() {
    let (store, strings, consumer) = store().await;
    let published = publishing(&store);
    tokio::task::yield_now().await;
    assert_eq!(strings.is_asked(), 1);
    assert_eq!(kept(&store).await, 0);
    assert_eq!(consumer.fetch(1, Duration::ZERO).await, Ok(vec![]));
    assert!(!published.is_finished());
    strings.tell(Fate::Kept);
    assert_eq!(published.await.unwrap().unwrap().sequence, Sequence(1));
    assert_eq!(kept(&store).await, 1);
}

#[tokio::test]
async fn a_commit_in_flight_stands_in_nobodys_way() {
    let (store, strings, _) = store().await;
    strings.tell(Fate::Kept);
    publishing(&store).await.unwrap().unwrap();
    strings.is_asked();
    let second = publishing(&store);
    tokio::task::yield_now().await;
    strings.is_asked();
    assert_eq!(kept(&store).await, 1);
    assert_eq!(store.count("S", "s").await, Ok(2));
    strings.tell(Fate::Kept);
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_comes_while_the_disk_is_busy_goes_to_it_at_once() {
    let (store, strings, _) = store().await;
    let first = publishing(&store);
    tokio::task::yield_now().await;
    assert_eq!(strings.is_asked(), 1);
    let others: Vec<_> = (0..50).map(|_| publishing(&store)).collect();
    tokio::task::yield_now().await;
    strings.tell(Fate::Kept);
    strings.tell(Fate::Kept);
    first.await.unwrap().unwrap();
    for other in others {
        other.await.unwrap().unwrap();
    }
    assert_eq!(strings.is_asked(), 50);
}

#[tokio::test]
async fn a_failed_batch_may_have_happened_and_nothing_after_it_did() {
    let (store, strings, _) = store().await;
    let during = publishing(&store);
    tokio::task::yield_now().await;
    strings.is_asked();
    let after = publishing(&store);
    tokio::task::yield_now().await;
    strings.tell(Fate::Failed);
    let cause = "no space left on device".to_owned();
    assert_eq!(during.await.unwrap(), Err(StreamError::Unknown(cause.clone())));
    assert_eq!(after.await.unwrap(), Err(StreamError::Unavailable(cause.clone())));
    assert_eq!(store.publish("S", message()).await, Err(StreamError::Unavailable(cause.clone())));
    assert_eq!(store.stream_info("S").await.unwrap_err(), StreamError::Unavailable(cause));
}

#[tokio::test]
async fn who_waits_for_a_message_hears_that_the_disk_failed() {
    let (store, strings, consumer) = store().await;
    let waiting = tokio::spawn(async move { consumer.fetch(1, LONG).await });
    let mut tail = store.tail("S", ">", Start::First).await.unwrap();
    let following = tokio::spawn(async move { tail.next().await });
    tokio::task::yield_now().await;
    strings.tell(Fate::Failed);
    publishing(&store).await.unwrap().unwrap_err();
    let unavailable = StreamError::Unavailable("no space left on device".to_owned());
    assert_eq!(timeout(LONG, waiting).await.unwrap().unwrap(), Err(unavailable.clone()));
    assert_eq!(timeout(LONG, following).await.unwrap().unwrap(), Err(unavailable));
}

#[tokio::test]
async fn a_panic_below_is_an_error_above() {
    let (store, strings, _) = store().await;
    strings.tell(Fate::Panicked);
    let published = timeout(LONG, store.publish("S", message())).await.unwrap();
    assert!(matches!(published, Err(StreamError::Unknown(_))), "{published:?}");
    assert!(matches!(store.stream_names().await, Err(StreamError::Unavailable(_))));
}

#[tokio::test]
async fn a_fetch_dropped_before_its_attempt_is_written_gives_the_message_back() {
    let (store, strings, consumer) = store().await;
    strings.tell(Fate::Kept);
    store.publish("S", message()).await.unwrap();
    strings.is_asked();
    let for_fetch = Arc::clone(&consumer);
    let fetching = tokio::spawn(async move { for_fetch.fetch(1, LONG).await });
    tokio::task::yield_now().await;
    strings.is_asked();
    assert_eq!(consumer.info().await.unwrap().in_flight, 1);
    fetching.abort();
    assert!(fetching.await.unwrap_err().is_cancelled());
    strings.tell(Fate::Kept);
    strings.tell(Fate::Kept);
    strings.tell(Fate::Kept);
    let again = consumer.fetch(1, LONG).await.unwrap();
    assert_eq!((again[0].attempt, consumer.info().await.unwrap().redelivered), (1, 0));
}

#[tokio::test]
async fn an_entry_in_flight_is_waited_for() {
    let (store, strings, _) = store().await;
    strings.tell(Fate::Kept);
    let config = BucketConfig { name: "b".into(), ttl: None, storage: Storage::File };
    let bucket: Arc<dyn Bucket> = store.bucket(config).await.unwrap().into();
    strings.is_asked();
    let (for_put, for_get) = (Arc::clone(&bucket), Arc::clone(&bucket));
    let put = tokio::spawn(async move { for_put.put("k", Bytes::new(), Expect::Absent, None).await });
    tokio::task::yield_now().await;
    strings.is_asked();
    let get = tokio::spawn(async move { for_get.get("k").await });
    tokio::task::yield_now().await;
    assert_eq!(bucket.get("other").await, Ok(None));
    assert!(!get.is_finished());
    strings.tell(Fate::Kept);
    let revision = put.await.unwrap().unwrap();
    assert_eq!(get.await.unwrap().unwrap().unwrap().revision, revision);
}
