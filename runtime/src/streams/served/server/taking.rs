//! Answers of many messages: as many as fit, and taken back when they do not arrive.

use std::sync::Arc;
use std::time::Duration;

use connectome_actors::port::{Consumer, Delivery, DeliveryTag, Stored, StreamError, Streams};
use connectome_codecs::Sequence;

use super::handles::Shared;
use crate::streams::Embedded;
use crate::streams::served::parts::List;
use crate::streams::served::said::Answer;

/// An answer is long enough with so many bytes of bodies; it has more only by what was taken at once.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Messages taken at once: where the largest come after small ones, this many are in memory.
const PAGE_MAX: usize = 64;

/// Messages read at first, while it is not known how large they are.
const FIRST_PAGE: usize = 8;

/// What is answered.
pub(super) struct Reply {
    pub(super) list: Option<List>,
    pub(super) answer: Answer,
    pub(super) held: Held,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Reply {
        Reply { list: None, answer, held: Held::Nothing }
    }
}

impl From<List> for Reply {
    fn from(list: List) -> Reply {
        Reply { list: Some(list), ..Reply::from(Answer::Done) }
    }
}

impl From<Result<Reply, StreamError>> for Reply {
    fn from(result: Result<Reply, StreamError>) -> Reply {
        result.unwrap_or_else(|error| Reply::from(Answer::Refused(error.into())))
    }
}

/// What goes back where it came from, unless it arrives.
pub(super) enum Held {
    Nothing,
    Deliveries(Arc<Shared>, Vec<DeliveryTag>),
    Exhausted(Arc<Shared>, Vec<u64>),
}

impl Held {
    /// It has been said. What is lost on its way from here comes again when its time is over.
    pub(super) fn arrived(mut self) {
        match &mut self {
            Held::Nothing => {}
            Held::Deliveries(_, tags) => tags.clear(),
            Held::Exhausted(consumer, told) => consumer.told(&std::mem::take(told)),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        match self {
            Held::Nothing => {}
            Held::Deliveries(shared, tags) if !tags.is_empty() => shared.consumer.take_back(tags),
            Held::Exhausted(shared, told) if !told.is_empty() => shared.consumer.untell(told),
            Held::Deliveries(..) | Held::Exhausted(..) => {}
        }
    }
}

/// Bytes of what was gathered so far, and how much more fits.
#[derive(Default)]
struct Gathered {
    count: usize,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, bodies: impl Iterator<Item = usize>) {
        for body in bodies {
            (self.count, self.bytes) = (self.count + 1, self.bytes + body);
        }
    }

    /// How many more to take, of messages as large as those before; none where it is enough.
    fn more(&self, max: usize) -> usize {
        let usual = self.bytes / self.count.max(1) + 1;
        let fit = ANSWER_BYTES.saturating_sub(self.bytes) / usual;
        fit.min(PAGE_MAX).min(max - self.count.min(max))
    }
}

/// Waits for messages, and takes what there is beside the first one.
pub(super) async fn fetch(consumer: Arc<Shared>, max: usize, wait: Duration) -> Result<Reply, StreamError> {
    let mut taken = consumer.consumer.fetch(max.min(1), wait).await?;
    let mut gathered = Gathered::default();
    gathered.add(taken.iter().map(|delivery| delivery.message.body.len()));
    let tags = |taken: &[Delivery]| taken.iter().map(|delivery| delivery.tag).collect();
    let mut held = Held::Deliveries(consumer.clone(), tags(&taken));
    while !taken.is_empty() && gathered.more(max) > 0 {
        let page = consumer.consumer.fetch(gathered.more(max), Duration::ZERO).await?;
        if page.is_empty() {
            break;
        }
        gathered.add(page.iter().map(|delivery| delivery.message.body.len()));
        if let Held::Deliveries(_, held) = &mut held {
            held.extend(page.iter().map(|delivery| delivery.tag));
        }
        taken.extend(page);
    }
    Ok(Reply { list: Some(List::Deliveries(taken)), answer: Answer::Done, held })
}

/// Reads what fits; whether there may be more is how the answer ends.
pub(super) async fn read(
    store: &Embedded,
    stream: &str,
    filter: &str,
    mut from: Sequence,
    max: usize,
) -> Result<Reply, StreamError> {
    let (mut all, mut gathered) = (Vec::<Stored>::new(), Gathered::default());
    let mut page = max.min(FIRST_PAGE);
    loop {
        let read = store.read(stream, filter, from, page).await?;
        // The store may give fewer than there are, where they are large.
        let is_end = read.is_empty();
        gathered.add(read.iter().map(|stored| stored.body.len()));
        all.extend(read);
        page = gathered.more(max);
        if is_end || page == 0 {
            let answer = if is_end || all.len() >= max { Answer::Done } else { Answer::More };
            return Ok(Reply { answer, ..Reply::from(List::Messages(all)) });
        }
        from = all.last().map_or(from, |last| last.sequence.next());
    }
}

/// Messages that ran out of deliveries, as many as fit; the others are told the next time.
pub(super) async fn exhausted(consumer: Arc<Shared>) -> Result<Reply, StreamError> {
    let mut told = consumer.consumer.exhausted().await?;
    let mut bytes = 0;
    let fit = told.iter().take_while(|stored| {
        bytes += stored.body.len();
        bytes <= 4 * ANSWER_BYTES
    });
    let left = told.split_off(fit.count().max(1).min(told.len()));
    let sequences = |stored: &[Stored]| stored.iter().map(|stored| stored.sequence.0).collect::<Vec<_>>();
    consumer.consumer.untell(&sequences(&left));
    let held = Held::Exhausted(consumer, sequences(&told));
    Ok(Reply { list: Some(List::Messages(told)), answer: Answer::Done, held })
}
