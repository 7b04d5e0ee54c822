//! Consumers: opened, shared by all who open the same name here, taken from.
//!
//! What is taken comes through `pull`, what becomes of it goes through `acknowledge`, and what ran out of deliveries is in
//! `exhausted`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::Message;
use async_trait::async_trait;
use connectome_actors::port::{
    Consumer, ConsumerConfig, ConsumerInfo, Delivery, DeliveryTag, Retention, Start, Stored, StreamError,
};
use connectome_codecs::{Sequence, UnixMillis};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Store;
use super::acknowledge::Place;
use super::api::{CONSUMER_NOT_FOUND, Refusal};
use super::attempts::{AWAY, Repeat};
use super::config;
use super::exhausted::Exhausted;
use super::leaving::Leaving;
use super::names;
use super::publish::ID;
use super::pull::{Manner, Pulled, Pulls};
use super::stream;
use crate::streams::checks;
use crate::streams::embedded::sleeper::later;
use crate::streams::subject::Filter;

/// Deliveries that one fetch takes, whatever it asked for; the next fetch takes more. As the embedded store.
const FETCH_MAX: usize = 1_024;

/// The pause before a pull that was lost is made again.
const LOST_PAUSE: Duration = Duration::from_millis(20);

/// What the server tells of a consumer.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    name: String,
    config: Value,
    pub(super) delivered: Reached,
    #[serde(default)]
    num_ack_pending: u64,
    #[serde(default)]
    num_redelivered: u64,
    #[serde(default)]
    num_pending: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Reached {
    pub(super) consumer_seq: u64,
    pub(super) stream_seq: u64,
}

/// The newest delivery that was seen here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Newest {
    pub(super) sequence: u64,
    pub(super) delivery: u64,
}

/// A consumer as all handles of this store share it.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) store: Arc<Store>,
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) config: Mutex<ConsumerConfig>,
    pub(super) exhausted: Exhausted,
    pub(super) newest: Mutex<Newest>,
    pub(super) leaving: Arc<Leaving>,
    /// Whether what is acknowledged leaves the stream.
    pub(super) is_queue: bool,
    /// Where the stream began when the consumer was made again: what was delivered from before is gone.
    pub(super) begins: AtomicU64,
    pulls: Pulls,
    redelivered: AtomicU64,
}

/// A handle to a consumer.
#[derive(Debug)]
pub(super) struct Handle(Arc<Hub>);

/// Opens a consumer, making it if it is new.
pub(super) async fn open(
    store: &Arc<Store>,
    stream: &str,
    config: ConsumerConfig,
) -> Result<Handle, StreamError> {
    let filter = checks::check_consumer(&config)?;
    let info = store.find(stream).await?;
    let is_queue = info.kept()?.retention() == Retention::WorkQueue;
    let found = look_up(store, stream, &config.name).await?;
    let kept = match found {
        Some(found) => change(store, stream, &config, found.config).await?,
        None => make(store, stream, &config, &filter, &info).await?,
    };
    if config.max_deliver.is_some() {
        let of = info.kept()?.stream(&store.names, stream);
        let notes = config::exhausted(&store.names, &of, &store.options);
        store.keep(stream, &notes, |_| Ok(())).await?;
    }
    let hub = hub(store, stream, &config, config::started_at(&kept), is_queue).await?;
    if config.max_deliver.is_some() {
        hub.exhausted.listen(store).await?;
    }
    *hub.config.lock() = config;
    Ok(Handle(hub))
}

/// Removes a consumer.
pub(super) async fn delete(store: &Arc<Store>, stream: &str, name: &str) -> Result<(), StreamError> {
    store.find(stream).await?;
    let there = names::consumer(name);
    let call = format!("CONSUMER.DELETE.{}.{there}", store.names.stream(stream));
    let deleted = store.api::<Value>(Repeat::Same, &call, &Value::Null).await?;
    deleted.map_err(|refusal| refusal.of_consumer(stream, name))?;
    match store.hub(stream, name) {
        Some(hub) => hub.forget().await,
        None => Exhausted::new(store, stream, name).forget(store).await,
    }
}

/// Where a consumer stands.
pub(super) async fn stands(store: &Store, stream: &str, info: Info) -> Result<ConsumerInfo, StreamError> {
    let name = names::our_consumer(&info.name);
    let is_bounded = info.config["max_deliver"].as_i64().is_some_and(|max| max > 0);
    let (redelivered, exhausted) = match store.hub(stream, &name) {
        Some(hub) => (hub.redelivered.load(Ordering::Relaxed), hub.exhausted.count(store).await?),
        None if is_bounded => {
            let exhausted = Exhausted::new(store, stream, &name);
            exhausted.learn(store).await?;
            (0, exhausted.count(store).await?)
        }
        None => (0, 0),
    };
    Ok(ConsumerInfo {
        name,
        waiting: info.num_pending,
        in_flight: info.num_ack_pending,
        redelivered: redelivered.max(info.num_redelivered),
        exhausted,
    })
}

async fn look_up(store: &Store, stream: &str, name: &str) -> Result<Option<Info>, StreamError> {
    let call = format!("CONSUMER.INFO.{}.{}", store.names.stream(stream), names::consumer(name));
    match store.api(Repeat::Reads, &call, &Value::Null).await? {
        Ok(info) => Ok(Some(info)),
        Err(Refusal { code: CONSUMER_NOT_FOUND, .. }) => Ok(None),
        Err(refusal) => Err(refusal.of_consumer(stream, name)),
    }
}

/// Brings a consumer to these waits and bounds.
async fn change(
    store: &Store,
    stream: &str,
    config: &ConsumerConfig,
    existing: Value,
) -> Result<Value, StreamError> {
    let wanted = config::consumer(&store.names, config);
    let filter =
        |config: &Value| store.names.ours(config["filter_subject"].as_str().unwrap_or(">")).to_owned();
    if filter(&existing) != config.filter {
        let (name, is, wanted) = (config.name.clone(), filter(&existing), config.filter.clone());
        return Err(StreamError::Conflict { name, field: "filter", is, wanted });
    }
    let begun = ["deliver_policy", "opt_start_seq", "metadata"];
    match config::overlay(&existing, &wanted, &begun) {
        Some(changed) => write(store, stream, config, "update", changed).await,
        None => Ok(existing),
    }
}

async fn make(
    store: &Store,
    stream: &str,
    config: &ConsumerConfig,
    filter: &Filter,
    info: &stream::Info,
) -> Result<Value, StreamError> {
    let kept = info.kept()?;
    let of = kept.stream(&store.names, stream);
    let filters: Vec<Filter> = of.subjects.iter().filter_map(|text| Filter::parse(text).ok()).collect();
    let ConsumerConfig { name, .. } = config;
    if !filters.iter().any(|theirs| theirs.overlaps(filter)) {
        let (wanted, subjects) = (filter.as_str(), &of.subjects);
        return Err(StreamError::Invalid(format!(
            "consumer {name}: its filter {wanted:?} matches nothing in stream {stream}, which takes {subjects:?}"
        )));
    }
    if of.retention == Retention::WorkQueue && config.start != Start::First {
        return Err(StreamError::Invalid(format!(
            "consumer {name}: on the work queue {stream} it must start at First"
        )));
    }
    write(store, stream, config, "create", config::consumer(&store.names, config)).await
}

async fn write(
    store: &Store,
    stream: &str,
    config: &ConsumerConfig,
    action: &str,
    wanted: Value,
) -> Result<Value, StreamError> {
    let there = store.names.stream(stream);
    let call = format!("CONSUMER.CREATE.{there}.{}", names::consumer(&config.name));
    let body = json!({ "stream_name": there, "config": wanted, "action": action });
    match store.api::<Info>(Repeat::Same, &call, &body).await? {
        Ok(info) => Ok(info.config),
        Err(refusal) => Err(refusal.of_consumer(stream, &config.name)),
    }
}

/// The hub of a consumer that is there.
async fn hub(
    store: &Arc<Store>,
    stream: &str,
    config: &ConsumerConfig,
    start: u64,
    is_queue: bool,
) -> Result<Arc<Hub>, StreamError> {
    if let Some(hub) = store.hub(stream, &config.name) {
        return Ok(hub);
    }
    let connection = store.requests.connection();
    let is_replicated = store.options.replicas > 1;
    let manner = Manner { start, give_back: Some(config.ack_wait / 2), is_replicated };
    let there = names::consumer(&config.name);
    let new = Arc::new(Hub {
        store: Arc::clone(store),
        stream: stream.to_owned(),
        name: config.name.clone(),
        config: Mutex::new(config.clone()),
        exhausted: Exhausted::new(store, stream, &config.name),
        newest: Mutex::default(),
        leaving: store.leaving.add(stream),
        is_queue,
        begins: AtomicU64::new(0),
        pulls: Pulls::new(connection, &store.names.stream(stream), &there, manner),
        redelivered: AtomicU64::new(0),
    });
    Ok(store.share(new))
}

impl Store {
    /// The hub of a consumer, if somebody here has it open.
    fn hub(&self, stream: &str, name: &str) -> Option<Arc<Hub>> {
        self.hubs.lock().get(&(stream.to_owned(), name.to_owned()))?.upgrade()
    }

    /// Shares a hub, unless somebody else was first; forgets those that nobody has open.
    fn share(&self, new: Arc<Hub>) -> Arc<Hub> {
        let mut hubs = self.hubs.lock();
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let place = hubs.entry((new.stream.clone(), new.name.clone())).or_default();
        let hub = place.upgrade().unwrap_or(new);
        *place = Arc::downgrade(&hub);
        hub
    }

    /// A message of a stream was removed: no consumer has it to tell any more.
    pub(super) fn removed(&self, stream: &str, sequence: u64) {
        for hub in self.hubs_of(stream) {
            hub.exhausted.removed(sequence);
        }
    }

    pub(super) fn hubs_of(&self, stream: &str) -> Vec<Arc<Hub>> {
        let hubs = self.hubs.lock();
        hubs.values().filter_map(Weak::upgrade).filter(|hub| hub.stream == stream).collect()
    }
}

impl Hub {
    /// The names of its stream and of itself, as the server calls them.
    pub(super) fn there(&self) -> (String, String) {
        (self.store.names.stream(&self.stream), names::consumer(&self.name))
    }

    /// What the server tells of it.
    pub(super) async fn look(&self) -> Result<Info, StreamError> {
        match look_up(&self.store, &self.stream, &self.name).await {
            Ok(Some(info)) => Ok(info),
            Ok(None) | Err(StreamError::NotFound { .. }) => self.make_again().await,
            Err(error) => Err(error),
        }
    }

    /// The server has lost it, with its stream most likely: both are made again, if this store does so.
    async fn make_again(&self) -> Result<Info, StreamError> {
        let not_found = || StreamError::NotFound { what: "consumer", name: self.name.clone() };
        let stream = self.store.find(&self.stream).await?;
        if !self.store.options.remake {
            return Err(not_found());
        }
        let config = self.config.lock().clone();
        let wanted = config::consumer(&self.store.names, &config);
        write(&self.store, &self.stream, &config, "create", wanted).await?;
        tracing::error!(
            stream = self.stream,
            "the NATS server has lost consumer {}: it is made again",
            self.name
        );
        self.begins.store(stream.state.first(), Ordering::Relaxed);
        *self.newest.lock() = Newest::default();
        look_up(&self.store, &self.stream, &self.name).await?.ok_or_else(not_found)
    }

    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let end = later(Instant::now(), wait);
        let max = max.min(FETCH_MAX).min(self.config.lock().max_ack_pending);
        if max == 0 {
            return Ok(Vec::new());
        }
        loop {
            match self.pulls.pull(max, end).await? {
                Pulled::Messages(messages) => return Ok(self.taken(messages)),
                Pulled::Nothing => {}
                Pulled::Deleted | Pulled::Nobody => drop(self.look().await?),
                Pulled::Lost => {
                    self.store.counters.resumed.add(1);
                    tokio::time::sleep(LOST_PAUSE).await;
                    self.pulls.wait_for_server(end).await;
                }
            }
            if Instant::now() >= end {
                return self.nothing();
            }
        }
    }

    /// Nothing came: since there is nothing, or since nobody could say.
    fn nothing(&self) -> Result<Vec<Delivery>, StreamError> {
        if self.store.requests.connection().is_up() {
            return Ok(Vec::new());
        }
        Err(StreamError::Unavailable(AWAY.to_owned()))
    }

    fn taken(&self, messages: Vec<Message>) -> Vec<Delivery> {
        let taken: Vec<Delivery> =
            messages.into_iter().filter_map(|message| self.delivery(message)).collect();
        let again = taken.iter().filter(|delivery| delivery.attempt > 1).count() as u64;
        self.redelivered.fetch_add(again, Ordering::Relaxed);
        self.store.counters.deliveries.add(taken.len() as u64);
        self.store.counters.redeliveries.add(again);
        taken
    }

    fn delivery(&self, message: Message) -> Option<Delivery> {
        let Place { attempt, sequence, delivery, at_ns, .. } = Place::of(&message)?;
        let mut newest = self.newest.lock();
        newest.sequence = newest.sequence.max(sequence);
        newest.delivery = newest.delivery.max(delivery);
        let id = message.headers.as_ref().and_then(|headers| headers.get(ID)?.as_str().parse().ok());
        let sequence = Sequence(sequence);
        let subject = self.store.names.ours(&message.subject).to_owned();
        let at = UnixMillis(at_ns / 1_000_000);
        let message = Stored { sequence, subject, id, at, body: message.payload };
        Some(Delivery { message, attempt, tag: DeliveryTag { sequence, attempt } })
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        stands(&self.store, &self.stream, self.look().await?).await
    }

    /// It was deleted: one of the same name begins anew.
    async fn forget(&self) -> Result<(), StreamError> {
        *self.newest.lock() = Newest::default();
        self.redelivered.store(0, Ordering::Relaxed);
        self.exhausted.forget(&self.store).await
    }
}

#[async_trait]
impl Consumer for Handle {
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.0.fetch(max, wait).await
    }

    async fn ack(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.0.ack(tag).await
    }

    async fn nak(&self, tag: DeliveryTag, delay: Duration) -> Result<(), StreamError> {
        self.0.nak(tag, delay).await
    }

    async fn in_progress(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.0.in_progress(tag).await
    }

    async fn terminate(&self, tag: DeliveryTag) -> Result<(), StreamError> {
        self.0.terminate(tag).await
    }

    async fn exhausted(&self) -> Result<Vec<Stored>, StreamError> {
        self.0.exhausted.tell(&self.0.store).await
    }

    async fn info(&self) -> Result<ConsumerInfo, StreamError> {
        self.0.info().await
    }
}
