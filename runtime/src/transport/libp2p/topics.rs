//! What is said to everybody who listens: topics, over gossipsub. Each message is signed by its author, taken once, and passed
//! on by those who took it.
//!
//! It is at most once and in no order; who reads too slowly misses some, and is told how many. A cluster's secret does not
//! cover topics: whoever may connect may listen. What must stay secret is sealed above.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connectome_codecs::NodeId;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::floods::{Floods, Verdict};
use super::net::{Net, Order};
use super::peer_key::node_of;

/// Topics that one node listens to: each costs every peer some memory.
pub const TOPICS_MAX: usize = 64;

/// The longest name of a topic.
pub const TOPIC_BYTES_MAX: usize = 128;

/// The longest message: it is sent some six times by everybody, so what is longer belongs in a store, and its name here.
pub const PUBLISHED_BYTES_MAX: usize = 64 * 1024;

/// Messages that wait for one listener; the newest ones are missed.
pub const PUBLISHED_WAITING_MAX: usize = 256;

/// Why nothing was published, or heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The name is none.
    #[error("{name:?} is no name of a topic: write 1 to {TOPIC_BYTES_MAX} bytes without control characters")]
    Name {
        /// The name.
        name: String,
    },
    /// The message is too long.
    #[error(
        "a message of {size} bytes is longer than the {PUBLISHED_BYTES_MAX} that everybody can be told: store it and tell its name"
    )]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Too many topics.
    #[error("this node listens to {TOPICS_MAX} topics already: drop one of them")]
    TooMany,
    /// Nobody who is connected listens.
    #[error("nobody who is connected listens to {topic}: it was not published")]
    NobodyListens {
        /// The topic.
        topic: String,
    },
    /// All peers read more slowly than is published.
    #[error("the queues to all peers are full: publish less, or later")]
    Full,
    /// The transport is closed.
    #[error("the transport is closed")]
    Closed,
}

/// A message of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Who signed it.
    pub author: NodeId,
    /// What it says.
    pub message: Bytes,
}

/// Hears what is published in a topic. Dropping it ends that.
#[derive(Debug)]
pub struct Listening {
    topic: String,
    number: u64,
    came: mpsc::Receiver<Published>,
    missed: Arc<AtomicU64>,
    net: std::sync::Weak<Net>,
}

impl Listening {
    /// The next message; `None` once the transport is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Published> {
        self.came.recv().await
    }

    /// Messages that came faster than they were read, and were missed, so far.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let Some(net) = self.net.upgrade() else { return };
        if net.topics.leave(&self.topic, self.number) {
            net.order_later(Order::Leave(IdentTopic::new(&self.topic)));
        }
    }
}

/// Who listens to what here, and who says too much.
#[derive(Debug)]
pub(super) struct Topics {
    begun: Instant,
    numbers: AtomicU64,
    /// Messages that arrived, each as often as it did.
    pub(super) copies: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listeners: BTreeMap<String, BTreeMap<u64, Listener>>,
    floods: Floods,
}

#[derive(Debug)]
struct Listener {
    came: mpsc::Sender<Published>,
    missed: Arc<AtomicU64>,
}

/// What is to be done with a message that arrived.
pub(super) enum Judged {
    Pass(MessageAcceptance),
    /// Its author, who sent it here, is to be left.
    Leave(NodeId),
}

impl Topics {
    pub(super) fn new(copies: Arc<AtomicU64>) -> Topics {
        Topics { begun: Instant::now(), numbers: AtomicU64::new(0), copies, state: Mutex::default() }
    }

    /// Judges a message and hands it to those who listen. It was signed by its author, which gossipsub has checked.
    pub(super) fn arrived(&self, from: Option<NodeId>, message: gossipsub::Message) -> Judged {
        let Some(author) = message.source.as_ref().and_then(node_of) else {
            return Judged::Pass(MessageAcceptance::Reject);
        };
        let mut state = self.state.lock();
        match state.floods.judge(self.begun.elapsed(), author) {
            Verdict::Take => {}
            Verdict::Throttle => return Judged::Pass(MessageAcceptance::Ignore),
            Verdict::Leave if from == Some(author) => return Judged::Leave(author),
            // Whoever passes it on takes it for the first one too much, as we did.
            Verdict::Leave => return Judged::Pass(MessageAcceptance::Ignore),
        }
        let published = Published { author, message: message.data.into() };
        for listener in state.listeners.get(message.topic.as_str()).into_iter().flat_map(BTreeMap::values) {
            if listener.came.try_send(published.clone()).is_err() {
                listener.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Judged::Pass(MessageAcceptance::Accept)
    }

    /// Whether the topic is new here, beside the listener's end.
    fn join(
        &self,
        topic: &str,
    ) -> Result<(u64, mpsc::Receiver<Published>, Arc<AtomicU64>, bool), TopicError> {
        let mut state = self.state.lock();
        let is_new = !state.listeners.contains_key(topic);
        if is_new && state.listeners.len() >= TOPICS_MAX {
            return Err(TopicError::TooMany);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, came) = mpsc::channel(PUBLISHED_WAITING_MAX);
        let missed: Arc<AtomicU64> = Arc::default();
        let listener = Listener { came: sender, missed: missed.clone() };
        state.listeners.entry(topic.to_owned()).or_default().insert(number, listener);
        Ok((number, came, missed, is_new))
    }

    /// Whether nobody listens to the topic any more.
    fn leave(&self, topic: &str, number: u64) -> bool {
        let mut state = self.state.lock();
        let Some(listeners) = state.listeners.get_mut(topic) else { return false };
        listeners.remove(&number);
        let is_last = listeners.is_empty();
        if is_last {
            state.listeners.remove(topic);
        }
        is_last
    }

    /// Who listens comes to an end.
    pub(super) fn end(&self) {
        self.state.lock().listeners.clear();
    }
}

/// Listens to a topic.
pub(super) async fn listen(net: &Arc<Net>, topic: &str) -> Result<Listening, TopicError> {
    check(topic)?;
    let (number, came, missed, is_new) = net.topics.join(topic)?;
    let listening = Listening { topic: topic.to_owned(), number, came, missed, net: Arc::downgrade(net) };
    match !is_new || net.order(Order::Join(IdentTopic::new(topic))).await {
        true => Ok(listening),
        false => Err(TopicError::Closed),
    }
}

/// Publishes in a topic.
pub(super) async fn publish(net: &Net, topic: &str, message: Bytes) -> Result<(), TopicError> {
    check(topic)?;
    if message.len() > PUBLISHED_BYTES_MAX {
        return Err(TopicError::TooLarge { size: message.len() });
    }
    let (reply, published) = oneshot::channel();
    net.order(Order::Publish { topic: IdentTopic::new(topic), message, reply }).await;
    published.await.unwrap_or(Err(TopicError::Closed))
}

/// What gossipsub says of a message that it did not take.
pub(super) fn why(topic: &IdentTopic, error: gossipsub::PublishError) -> Result<(), TopicError> {
    match error {
        // It was published a moment ago, by us.
        gossipsub::PublishError::Duplicate => Ok(()),
        gossipsub::PublishError::NoPeersSubscribedToTopic => {
            Err(TopicError::NobodyListens { topic: topic.to_string() })
        }
        gossipsub::PublishError::AllQueuesFull(_) => Err(TopicError::Full),
        gossipsub::PublishError::MessageTooLarge => Err(TopicError::TooLarge { size: PUBLISHED_BYTES_MAX }),
        gossipsub::PublishError::SigningError(_) | gossipsub::PublishError::TransformFailed(_) => {
            Err(TopicError::Closed)
        }
    }
}

fn check(topic: &str) -> Result<(), TopicError> {
    let fits = (1..=TOPIC_BYTES_MAX).contains(&topic.len()) && !topic.contains(char::is_control);
    if fits { Ok(()) } else { Err(TopicError::Name { name: topic.to_owned() }) }
}
