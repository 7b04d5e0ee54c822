//! Lists of the port, cut into parts that fit a unit, and put together again. Pure.

use bytes::Bytes;
use connectome_actors::port::{Arrival, ConsumerInfo, Delivery, DeliveryTag, Entry, Stored};
use connectome_codecs::{Revision, Sequence, UnixMillis};

use super::said::{ArrivalHead, DeliveryHead, EntryHead, Items, MessageHead};
use super::wire::{BODIES_MAX, Bodies, Malformed};

/// Items of one part: with the longest names they fit a head.
const PART_ITEMS_MAX: usize = 256;

/// A list, of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum List {
    Messages(Vec<Stored>),
    Deliveries(Vec<Delivery>),
    Entries(Vec<Entry>),
    Arrivals(Vec<Arrival>),
    Consumers(Vec<ConsumerInfo>),
    Names(Vec<String>),
}

/// The heads of a part, and the bodies behind them.
pub(super) type Part = (Items, Vec<Bytes>);

impl List {
    /// In parts; none for an empty list.
    pub(super) fn cut(self) -> Vec<Part> {
        match self {
            List::Messages(all) => cut(all, message, Items::Messages),
            List::Deliveries(all) => cut(all, delivery, Items::Deliveries),
            List::Entries(all) => cut(all, entry, Items::Entries),
            List::Arrivals(all) => cut(all, |told| (arrival(told), Bytes::new()), Items::Arrivals),
            List::Consumers(all) => cut(all, |info| (info.into(), Bytes::new()), Items::Consumers),
            List::Names(all) => cut(all, |name| (name, Bytes::new()), Items::Names),
        }
    }

    /// A part as it came.
    ///
    /// # Errors
    /// When its bodies are not as long as it says.
    pub(super) fn join(items: Items, bodies: Bytes) -> Result<List, Malformed> {
        let mut bodies = Bodies::new(bodies);
        let list = match items {
            Items::Messages(heads) => List::Messages(each(heads, |head| stored(head, &mut bodies))?),
            Items::Deliveries(heads) => List::Deliveries(each(heads, |head| delivered(head, &mut bodies))?),
            Items::Entries(heads) => List::Entries(each(heads, |head| entered(head, &mut bodies))?),
            Items::Arrivals(heads) => List::Arrivals(heads.into_iter().map(arrived).collect()),
            Items::Consumers(rows) => List::Consumers(rows.into_iter().map(Into::into).collect()),
            Items::Names(names) => List::Names(names),
        };
        bodies.end()?;
        Ok(list)
    }
}

fn each<H, T>(heads: Vec<H>, read: impl FnMut(H) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
    heads.into_iter().map(read).collect()
}

fn cut<T, H>(all: Vec<T>, split: impl Fn(T) -> (H, Bytes), items: impl Fn(Vec<H>) -> Items) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut heads, mut bodies, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (head, body) in all.into_iter().map(split) {
        if heads.len() >= PART_ITEMS_MAX || (bytes + body.len() > BODIES_MAX && !heads.is_empty()) {
            parts.push((items(std::mem::take(&mut heads)), std::mem::take(&mut bodies)));
            bytes = 0;
        }
        bytes += body.len();
        heads.push(head);
        if !body.is_empty() {
            bodies.push(body);
        }
    }
    if !heads.is_empty() {
        parts.push((items(heads), bodies));
    }
    parts
}

fn message(stored: Stored) -> (MessageHead, Bytes) {
    let Stored { sequence, subject, id, at, body } = stored;
    (MessageHead { sequence: sequence.0, subject, id, at: at.0, length: body.len() as u32 }, body)
}

fn stored(head: MessageHead, bodies: &mut Bodies) -> Result<Stored, Malformed> {
    let MessageHead { sequence, subject, id, at, length } = head;
    let body = bodies.take(length)?;
    Ok(Stored { sequence: Sequence(sequence), subject, id, at: UnixMillis(at), body })
}

fn delivery(delivery: Delivery) -> (DeliveryHead, Bytes) {
    let (message, body) = message(delivery.message);
    (DeliveryHead { message, attempt: delivery.attempt }, body)
}

fn delivered(head: DeliveryHead, bodies: &mut Bodies) -> Result<Delivery, Malformed> {
    let DeliveryHead { message, attempt } = head;
    let message = stored(message, bodies)?;
    let tag = DeliveryTag { sequence: message.sequence, attempt };
    Ok(Delivery { message, attempt, tag })
}

fn entry(entry: Entry) -> (EntryHead, Bytes) {
    let Entry { key, value, revision, at } = entry;
    let length = value.as_ref().map(|value| value.len() as u32);
    (EntryHead { key, revision: revision.0, at: at.0, length }, value.unwrap_or_default())
}

fn entered(head: EntryHead, bodies: &mut Bodies) -> Result<Entry, Malformed> {
    let EntryHead { key, revision, at, length } = head;
    let value = length.map(|length| bodies.take(length)).transpose()?;
    Ok(Entry { key, value, revision: Revision(revision), at: UnixMillis(at) })
}

fn arrival(arrival: Arrival) -> ArrivalHead {
    match arrival {
        Arrival::Stored { subject, sequence } => ArrivalHead::Stored { subject, sequence: sequence.0 },
        Arrival::Missed { from } => ArrivalHead::Missed { from: from.0 },
        Arrival::Anew => ArrivalHead::Anew,
    }
}

fn arrived(head: ArrivalHead) -> Arrival {
    match head {
        ArrivalHead::Stored { subject, sequence } => {
            Arrival::Stored { subject, sequence: Sequence(sequence) }
        }
        ArrivalHead::Missed { from } => Arrival::Missed { from: Sequence(from) },
        ArrivalHead::Anew => Arrival::Anew,
    }
}
