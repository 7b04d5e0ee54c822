//! A lane begins: it reads what its agent kept, and what waits for it.

use std::collections::{BTreeMap, VecDeque};

use connectome_codecs::Sequence;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::super::opening::Opener;
use super::super::{AGENT_MESSAGES, inherit, subject_of};
use super::reading::{Reading, id_of};
use super::{Lane, RETRY, Work};
use crate::port::{Stored, StreamError};
use crate::protocol::delivery::{IN_HAND_MAX, Input, Lane as Protocol};

impl Work {
    /// Reads where the lane was left. `None`: stopped meanwhile, or somebody owns the agent under a newer term.
    pub(super) async fn open(lane: Lane, stop: &CancellationToken) -> Option<Work> {
        loop {
            let opened = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                opened = Work::try_open(&lane, stop) => opened,
            };
            match opened {
                Ok(work) => return work,
                Err(error) => {
                    tracing::warn!(agent = %lane.cell.name, %error, "a lane could not be opened; trying again")
                }
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep(RETRY) => {}
            }
        }
    }

    async fn try_open(lane: &Lane, stop: &CancellationToken) -> Result<Option<Work>, StreamError> {
        let _turn = lane.credit.opening().await;
        let Some(kept) = inherit::open(&lane.router, &lane.cell).await? else { return Ok(None) };
        #[cfg_attr(
            not(feature = "planted-bugs"),
            expect(unused_mut, reason = "only a planted bug changes it")
        )]
        let (mut kept, place) = kept;
        #[cfg(feature = "planted-bugs")]
        if lane.router.has_bug(crate::planted::Planted::AppliesTwice) {
            let cursor = Sequence(kept.lane.cursor.0.saturating_sub(1));
            kept.lane = crate::protocol::delivery::Kept { cursor, ..Default::default() };
        }
        let left = left_there(lane, kept.lane.cursor).await?;
        let waiting = left.messages.iter().map(|stored| stored.sequence).filter(|s| *s > kept.lane.cursor);
        let mut work = Work {
            router: lane.router.clone(),
            cell: lane.cell.clone(),
            credit: lane.credit.clone(),
            protocol: Protocol::open(kept.lane.clone(), waiting),
            reading: Reading::new(lane.credit.clone()),
            place,
            state: kept.state,
            messages: BTreeMap::new(),
            opener: Opener::new(&lane.router, &lane.cell.name, lane.cell.take_mail_keys()),
            opening: None,
            openings: 0,
            unopened: VecDeque::new(),
            letters: BTreeMap::new(),
            pushed: None,
            incarnation: 0,
            saving: false,
            removing: 0,
            restoring: Vec::new(),
            under_way: FuturesUnordered::new(),
            stop: stop.clone(),
        };
        work.begin_with(left, kept.lane.cursor);
        Ok(Some(work))
    }

    /// Takes what was read to begin with: what the lane before had saved and not removed is removed, and of what waits as much
    /// is taken as there is room for.
    fn begin_with(&mut self, Left { mut messages, is_whole }: Left, cursor: Sequence) {
        let waiting = messages.split_off(messages.partition_point(|stored| stored.sequence <= cursor));
        for stored in messages {
            let (sequence, id) = (stored.sequence, id_of(&stored));
            // Its key has to go before it does.
            self.messages.insert(sequence, stored);
            self.tell(Input::Read { sequence, id });
        }
        let taken = self.reading.begin(cursor, waiting.len(), is_whole);
        self.read(Ok(waiting.into_iter().take(taken).collect()));
    }
}

/// What a lane finds in its stream.
struct Left {
    messages: Vec<Stored>,
    /// Whether that was all.
    is_whole: bool,
}

/// What is in the stream up to the cursor, and the first messages beyond it that a lane may have had in hand.
async fn left_there(lane: &Lane, cursor: Sequence) -> Result<Left, StreamError> {
    let subject = subject_of(&lane.router, &lane.cell.name);
    let (mut messages, mut from) = (Vec::new(), Sequence(1));
    loop {
        let page = lane.router.streams().read(AGENT_MESSAGES, &subject, from, 2 * IN_HAND_MAX).await?;
        let is_whole = page.len() < 2 * IN_HAND_MAX;
        from = page.last().map_or(from, |stored| stored.sequence.next());
        messages.extend(page);
        if is_whole || messages.iter().filter(|stored| stored.sequence > cursor).count() >= IN_HAND_MAX {
            return Ok(Left { messages, is_whole });
        }
    }
}
