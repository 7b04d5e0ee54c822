//! Two nodes over two ways that are cut and healed at will: order, nothing twice, nothing lost that was kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connectome_actors::port::{Inbound, Transport, TransportError};
use connectome_codecs::NodeId;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::way::{Carrier, Way};
use super::{RouteCounts, Routed};

const IDS: [NodeId; 2] = [NodeId([1; 32]), NodeId([2; 32])];

/// A way between the two nodes.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    some: [Notify; 2],
}

#[derive(Default)]
struct State {
    is_up: bool,
    is_closed: [bool; 2],
    /// What each end has not read.
    inboxes: [VecDeque<Inbound>; 2],
}

/// One end of it.
struct End {
    line: Arc<Line>,
    at: usize,
}

impl Line {
    /// Ends the link. Each end reads all but the last `lost` frames that it has not read, and then of the end.
    fn cut(&self, lost: usize) {
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.is_up) {
            return;
        }
        for at in 0..2 {
            let inbox = &mut state.inboxes[at];
            inbox.truncate(inbox.len().saturating_sub(lost));
            inbox.push_back(Inbound::Disconnected { peer: IDS[1 - at] });
            self.some[at].notify_one();
        }
    }

    /// A new link begins when all of the one before was read.
    fn heal(&self) {
        let mut state = self.state.lock();
        let is_read = state.inboxes.iter().all(VecDeque::is_empty);
        state.is_up |= is_read;
    }
}

#[async_trait]
impl Transport for End {
    fn send(&self, to: NodeId, frame: Bytes) -> Result<(), TransportError> {
        let mut state = self.line.state.lock();
        if !state.is_up {
            return Err(TransportError::Unreachable { to });
        }
        state.inboxes[1 - self.at].push_back(Inbound::Frame { from: IDS[self.at], frame });
        self.line.some[1 - self.at].notify_one();
        Ok(())
    }

    async fn ready(&self, _: NodeId) {}

    fn broadcast(&self, _: Bytes) {}

    async fn receive(&self) -> Option<Inbound> {
        loop {
            {
                let mut state = self.line.state.lock();
                if let Some(inbound) = state.inboxes[self.at].pop_front() {
                    return Some(inbound);
                }
                if state.is_closed[self.at] {
                    return None;
                }
            }
            self.line.some[self.at].notified().await;
        }
    }

    fn reaches(&self, to: NodeId) -> bool {
        to == IDS[1 - self.at] && self.line.state.lock().is_up
    }

    async fn close(&self) {
        self.line.cut(0);
        self.line.state.lock().is_closed[self.at] = true;
        self.line.some[self.at].notify_one();
    }
}

impl Carrier for End {
    fn peers(&self) -> Vec<NodeId> {
        self.reaches(IDS[1 - self.at]).then_some(IDS[1 - self.at]).into_iter().collect()
    }
}

/// What the receiving node was told.
#[derive(Default)]
struct Told {
    frames: Vec<u64>,
    ends: usize,
}

struct Pair {
    lines: [Arc<Line>; 2],
    sender: Arc<Routed>,
    told: Arc<Mutex<Told>>,
    /// The receiver reads while nobody else holds this.
    reads: Arc<tokio::sync::Mutex<()>>,
    sent: u64,
}

impl Pair {
    fn new() -> Pair {
        let lines = [(); 2].map(|()| Arc::new(Line::default()));
        lines.iter().for_each(|line| line.heal());
        let [sender, receiver] = [0, 1].map(|at| {
            let [direct, broker] = lines.each_ref().map(|line| Arc::new(End { line: line.clone(), at }));
            Arc::new(Routed::of(direct, broker, 7 + at as u64))
        });
        let told: Arc<Mutex<Told>> = Arc::default();
        let (sends, tells) = (sender.clone(), told.clone());
        let reads: Arc<tokio::sync::Mutex<()>> = Arc::default();
        let turn = reads.clone();
        tokio::spawn(async move { while sends.receive().await.is_some() {} });
        tokio::spawn(async move {
            while let Some(inbound) = receiver.receive().await {
                let _turn = turn.lock().await;
                match inbound {
                    Inbound::Frame { frame, .. } => {
                        tells.lock().frames.push(u64::from_be_bytes(frame[..8].try_into().unwrap()));
                    }
                    Inbound::Disconnected { .. } => tells.lock().ends += 1,
                    other => panic!("{other:?}"),
                }
            }
        });
        Pair { lines, sender, told, reads, sent: 0 }
    }

    fn line(&self, way: Way) -> &Line {
        &self.lines[way.at()]
    }

    /// Sends the next frame, if there is room.
    fn send(&mut self) {
        if self.sender.send(IDS[1], Bytes::copy_from_slice(&self.sent.to_be_bytes())).is_ok() {
            self.sent += 1;
        }
    }

    async fn send_surely(&mut self) {
        let before = self.sent;
        while self.sent == before {
            self.send();
            timeout(Duration::from_secs(60), self.sender.ready(IDS[1])).await.expect("room comes");
            tokio::task::yield_now().await;
        }
    }

    async fn settle(&self) {
        sleep(Duration::from_secs(3)).await;
    }

    fn frames(&self) -> Vec<u64> {
        self.told.lock().frames.clone()
    }

    fn counts(&self) -> RouteCounts {
        self.sender.counts()
    }
}

/// The direct way is preferred; what is lost with it comes by the broker, in order and once; and back again.
#[tokio::test(start_paused = true)]
async fn a_cut_link_costs_no_frame() {
    let mut pair = Pair::new();
    for _ in 0..10 {
        pair.send_surely().await;
    }
    pair.settle().await;
    assert_eq!(pair.counts(), RouteCounts { direct: 10, ..RouteCounts::default() });
    for _ in 0..10 {
        pair.send();
    }
    pair.line(Way::Direct).cut(4);
    for _ in 0..10 {
        pair.send_surely().await;
    }
    pair.settle().await;
    assert_eq!(pair.frames(), (0..30).collect::<Vec<_>>());
    let RouteCounts { broker, again, lost, changes, .. } = pair.counts();
    assert_eq!((broker, again, lost, changes), (14, 4, 0, 1));
    pair.line(Way::Direct).heal();
    for _ in 0..10 {
        pair.send_surely().await;
    }
    pair.settle().await;
    assert_eq!(pair.frames(), (0..40).collect::<Vec<_>>());
    assert_eq!(
        (pair.counts().changes, pair.told.lock().ends),
        (2, 0),
        "no end is told while one way is there"
    );
}

/// A node that neither way reaches is gone, which is told once; it can be spoken to again when one is back.
#[tokio::test(start_paused = true)]
async fn a_node_is_gone_when_neither_way_reaches_it() {
    let mut pair = Pair::new();
    pair.send_surely().await;
    pair.settle().await;
    pair.line(Way::Direct).cut(0);
    pair.settle().await;
    assert_eq!(pair.told.lock().ends, 0);
    pair.line(Way::Broker).cut(0);
    pair.settle().await;
    assert_eq!(pair.told.lock().ends, 1);
    assert_eq!(pair.sender.send(IDS[1], Bytes::new()), Err(TransportError::Unreachable { to: IDS[1] }));
    for way in [Way::Broker, Way::Direct] {
        pair.line(way).heal();
        pair.send_surely().await;
        pair.settle().await;
    }
    assert_eq!(pair.frames(), [0, 1, 2]);
    assert_eq!(pair.told.lock().ends, 1);
}

/// A node that knows of one way alone is never told of another.
#[tokio::test(start_paused = true)]
async fn one_way_alone_carries_frames_and_nothing_else() {
    for way in Way::BOTH {
        let mut pair = Pair::new();
        pair.line(way.other()).cut(0);
        for _ in 0..5 {
            pair.send_surely().await;
        }
        pair.settle().await;
        assert_eq!(pair.frames(), [0, 1, 2, 3, 4]);
        assert_eq!(pair.counts().changes, 0);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Send(usize),
    Cut(usize, usize),
    Heal(usize),
    /// Everyone reads for so many milliseconds.
    Run(u64),
    /// The receiver does not.
    Hang(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..8_usize).prop_map(Step::Send),
        2 => (0..2_usize, 0..6_usize).prop_map(|(way, lost)| Step::Cut(way, lost)),
        3 => (0..2_usize).prop_map(Step::Heal),
        3 => (0..400_u64).prop_map(Step::Run),
        1 => (0..3_000_u64).prop_map(Step::Hang),
    ]
}

async fn run(steps: &[Step]) -> (Vec<u64>, u64) {
    let mut pair = Pair::new();
    let reads = pair.reads.clone();
    let mut hung = None;
    for step in steps {
        match step {
            Step::Send(frames) => (0..*frames).for_each(|_| pair.send()),
            Step::Cut(way, lost) => pair.lines[*way].cut(*lost),
            Step::Heal(way) => pair.lines[*way].heal(),
            Step::Run(moment) => {
                hung = None;
                sleep(Duration::from_millis(*moment)).await;
            }
            Step::Hang(moment) => {
                if hung.is_none() {
                    hung = Some(reads.lock().await);
                }
                sleep(Duration::from_millis(*moment)).await;
            }
        }
    }
    drop(hung);
    pair.settle().await;
    pair.lines.iter().for_each(|line| line.heal());
    pair.send_surely().await;
    pair.settle().await;
    (pair.frames(), pair.sent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 }))]

    /// Whatever is cut and healed, frames arrive in order, each at most once, and a node that is reached is reached.
    #[test]
    fn frames_keep_their_order_whatever_is_cut(steps in proptest::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (frames, sent) = runtime.block_on(run(&steps));
        prop_assert!(frames.is_sorted_by(|one, next| one < next), "{frames:?}");
        prop_assert_eq!(frames.last().copied(), Some(sent - 1), "the last one arrives");
    }
}
