//! What every transport promises (`port::Transport`): one body of cases, for each of them the same.
//!
//! A transport joins by implementing [`Network`] and adding a line to the end of this file. Three things the port leaves
//! open are settled here: a node has no path to itself (`send` to its own id is `Unreachable`, a broadcast does not come
//! back); broadcasts and sends from one node to another keep one order; after `close`, what had arrived and was not yet
//! received is gone.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connectome::codecs::NodeId;
use connectome::codecs::limits::FRAME_MAX;
use connectome::port::{Inbound, Transport, TransportError};
use tokio::time::timeout;

/// How a transport is had for a case.
trait Network {
    /// Nodes that all reach each other now, and that share nothing with any other cluster.
    fn cluster(size: usize) -> impl Future<Output = Vec<Member>> + Send;
}

/// A node of a cluster. Dropping it is its sudden end.
struct Member {
    id: NodeId,
    transport: Arc<dyn Transport>,
}

/// How long something that must happen may take: a network notices a silent death late.
const PATIENCE: Duration = Duration::from_secs(30);

/// A queue without room for this long stays full until somebody reads.
const STALL: Duration = Duration::from_millis(500);

/// Frames and bytes that one receiver who does not read may hold up, all queues and sockets on the way together.
const HELD_FRAMES_MAX: usize = 64 * 1024;
const HELD_BYTES_MAX: usize = 64 * FRAME_MAX;

const NOBODY: NodeId = NodeId([0xee; 32]);

impl Member {
    fn send(&self, to: &Member, frame: Bytes) -> Result<(), TransportError> {
        self.transport.send(to.id, frame)
    }

    /// Sends, waiting for room where there is none.
    async fn deliver(&self, to: &Member, frame: Bytes) {
        deliver(&*self.transport, to.id, frame).await;
    }

    /// The next thing that happens here.
    async fn event(&self) -> Option<Inbound> {
        timeout(PATIENCE, self.transport.receive())
            .await
            .expect("something happens in time")
    }

    /// The next frame, from whom it must be.
    async fn frame_from(&self, from: &Member) -> Bytes {
        match self.event().await {
            Some(Inbound::Frame { from: sender, frame }) if sender == from.id => frame,
            other => panic!("a frame from {:?} was due, not {other:?}", from.id),
        }
    }

    async fn ready(&self, to: NodeId) {
        timeout(PATIENCE, self.transport.ready(to))
            .await
            .expect("room, or the end of waiting, comes in time");
    }

    /// Waits until the others have noticed that this node is gone.
    async fn disconnected(&self, peer: NodeId) {
        assert_eq!(self.event().await, Some(Inbound::Disconnected { peer }));
    }

    /// Sends frames of a size, numbered from 0, until there is no room any more. How many were taken.
    async fn fill(&self, to: &Member, size: usize) -> u64 {
        let mut taken = 0;
        loop {
            match self.send(to, sized(taken, size)) {
                Ok(()) => taken += 1,
                Err(TransportError::Full { .. })
                    if timeout(STALL, self.transport.ready(to.id)).await.is_err() =>
                {
                    return taken;
                }
                Err(TransportError::Full { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            assert!(
                taken as usize <= HELD_FRAMES_MAX,
                "a receiver who does not read must make send refuse"
            );
            assert!(
                taken as usize * size <= HELD_BYTES_MAX,
                "a receiver who does not read must not make memory grow"
            );
        }
    }
}

async fn deliver(transport: &dyn Transport, to: NodeId, frame: Bytes) {
    loop {
        match transport.send(to, frame.clone()) {
            Ok(()) => return,
            Err(TransportError::Full { .. }) => {
                timeout(PATIENCE, transport.ready(to))
                    .await
                    .expect("room comes in time");
                // A queue may be full again at once; on one thread its reader must come to read.
                tokio::task::yield_now().await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

async fn pair<N: Network>() -> (Member, Member) {
    let [ada, bob] = members::<N, 2>().await;
    (ada, bob)
}

async fn members<N: Network, const SIZE: usize>() -> [Member; SIZE] {
    N::cluster(SIZE)
        .await
        .try_into()
        .unwrap_or_else(|_| panic!("a cluster of {SIZE} was asked for"))
}

/// A frame that says which one it is.
fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The same, at least eight bytes long.
fn sized(number: u64, size: usize) -> Bytes {
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(size.max(8), 0x5a);
    frame.into()
}

fn number(frame: &Bytes) -> u64 {
    u64::from_be_bytes(frame[..8].try_into().expect("a numbered frame has eight bytes"))
}

/// A frame of any size in which every byte tells its place.
fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

// Frames arrive whole, once, in order.

async fn a_frame_arrives_whole_with_its_sender_beside_it<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.send(&bob, pattern(1_000)).unwrap();
    assert_eq!(
        bob.event().await,
        Some(Inbound::Frame {
            from: ada.id,
            frame: pattern(1_000)
        })
    );
}

async fn an_empty_frame_is_a_frame<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.send(&bob, Bytes::new()).unwrap();
    ada.send(&bob, pattern(3)).unwrap();
    assert_eq!(bob.frame_from(&ada).await, Bytes::new());
    assert_eq!(bob.frame_from(&ada).await, pattern(3));
}

async fn frames_of_every_size_arrive_unchanged<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let around = [
        1,
        64,
        128,
        256,
        1_400,
        4_096,
        16_384,
        65_536,
        FRAME_MAX / 2,
        FRAME_MAX - 1,
    ];
    for size in around.into_iter().flat_map(|size| [size - 1, size, size + 1]) {
        ada.deliver(&bob, pattern(size)).await;
        let frame = bob.frame_from(&ada).await;
        assert!(
            frame == pattern(size),
            "a frame of {size} bytes came as {} other ones",
            frame.len()
        );
    }
}

async fn the_largest_frame_arrives_and_a_larger_one_is_refused<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let size = FRAME_MAX + 1;
    assert_eq!(
        ada.send(&bob, pattern(size)),
        Err(TransportError::TooLarge { size, max: FRAME_MAX })
    );
    ada.deliver(&bob, pattern(FRAME_MAX)).await;
    assert!(bob.frame_from(&ada).await == pattern(FRAME_MAX));
}

async fn a_broadcast_that_is_too_large_reaches_nobody_and_harms_nobody<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.broadcast(pattern(FRAME_MAX + 1));
    ada.transport.broadcast(numbered(1));
    assert_eq!(bob.frame_from(&ada).await, numbered(1));
}

async fn ten_thousand_frames_arrive_once_and_in_order<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let sending = async {
        for at in 0..10_000 {
            ada.deliver(&bob, numbered(at)).await;
        }
    };
    let receiving = async {
        for at in 0..10_000 {
            assert_eq!(number(&bob.frame_from(&ada).await), at);
        }
    };
    tokio::join!(sending, receiving);
}

async fn both_directions_keep_their_order_at_the_same_time<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let send = async |from: &Member, to: &Member| {
        for at in 0..5_000 {
            from.deliver(to, numbered(at)).await;
        }
    };
    let receive = async |at: &Member, from: &Member| {
        for due in 0..5_000 {
            assert_eq!(number(&at.frame_from(from).await), due);
        }
    };
    tokio::join!(
        send(&ada, &bob),
        send(&bob, &ada),
        receive(&ada, &bob),
        receive(&bob, &ada)
    );
}

async fn large_and_small_frames_keep_one_order<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let sizes = [FRAME_MAX, 8, 100_000, 8, 8, FRAME_MAX, 70_000, 8];
    let sending = async {
        for (at, size) in (0..).zip(sizes.repeat(5)) {
            ada.deliver(&bob, sized(at, size)).await;
        }
    };
    let receiving = async {
        for (at, size) in (0..).zip(sizes.repeat(5)) {
            let frame = bob.frame_from(&ada).await;
            assert_eq!((number(&frame), frame.len()), (at, size));
        }
    };
    tokio::join!(sending, receiving);
}

async fn equal_frames_are_different_frames<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for _ in 0..100 {
        ada.send(&bob, numbered(7)).unwrap();
    }
    ada.send(&bob, numbered(8)).unwrap();
    for _ in 0..100 {
        assert_eq!(number(&bob.frame_from(&ada).await), 7);
    }
    assert_eq!(number(&bob.frame_from(&ada).await), 8);
}

async fn many_senders_at_once_are_each_heard_once_and_in_order<N: Network>() {
    const TASKS: u64 = 16;
    const FRAMES: u64 = 200;
    let [bob, senders @ ..] = members::<N, 4>().await;
    for sender in &senders {
        for task in 0..TASKS {
            let (transport, to) = (sender.transport.clone(), bob.id);
            tokio::spawn(async move {
                for at in 0..FRAMES {
                    deliver(&*transport, to, numbered(task << 32 | at)).await;
                }
            });
        }
    }
    let mut heard: BTreeMap<(NodeId, u64), u64> = BTreeMap::new();
    for _ in 0..senders.len() as u64 * TASKS * FRAMES {
        let Some(Inbound::Frame { from, frame }) = bob.event().await else {
            panic!("only frames are due")
        };
        let (task, at) = (number(&frame) >> 32, number(&frame) & u64::from(u32::MAX));
        let due = heard.entry((from, task)).or_default();
        assert_eq!(at, *due);
        *due += 1;
    }
    assert!(heard.len() == senders.len() * TASKS as usize && heard.values().all(|count| *count == FRAMES));
}

async fn a_frame_comes_from_who_sent_it_and_not_from_who_it_says<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    eve.send(&bob, Bytes::copy_from_slice(ada.id.as_bytes())).unwrap();
    assert_eq!(bob.frame_from(&eve).await, ada.id.as_bytes()[..]);
}

async fn a_frame_reaches_only_the_node_it_is_for<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    ada.send(&bob, numbered(1)).unwrap();
    assert_eq!(number(&bob.frame_from(&ada).await), 1);
    ada.send(&eve, numbered(2)).unwrap();
    assert_eq!(number(&eve.frame_from(&ada).await), 2);
}

// Nobody waits for a slow receiver, and nothing grows.

async fn a_receiver_who_does_not_read_makes_send_refuse<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert!(ada.fill(&bob, 64).await > 0);
    match ada.send(&bob, numbered(0)) {
        Err(TransportError::Full { to, bound }) => {
            assert!(to == bob.id && (1..=HELD_FRAMES_MAX).contains(&bound))
        }
        other => panic!("{other:?}"),
    }
}

async fn large_frames_are_bounded_by_their_bytes<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert!(ada.fill(&bob, FRAME_MAX).await > 0);
    assert!(matches!(
        ada.send(&bob, sized(0, FRAME_MAX)),
        Err(TransportError::Full { .. })
    ));
}

async fn what_was_taken_arrives_and_what_was_refused_does_not<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let taken = ada.fill(&bob, 1_024).await;
    assert!(ada.send(&bob, numbered(u64::MAX)).is_err());
    for at in 0..taken {
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
    ada.deliver(&bob, numbered(taken)).await;
    assert_eq!(number(&bob.frame_from(&ada).await), taken);
}

async fn ready_waits_while_there_is_no_room_and_ends_when_there_is<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let taken = ada.fill(&bob, 1_024).await;
    assert!(timeout(STALL, ada.transport.ready(bob.id)).await.is_err());
    let reading = async {
        for at in 0..taken {
            assert_eq!(number(&bob.frame_from(&ada).await), at);
        }
    };
    tokio::join!(ada.ready(bob.id), reading);
    assert_eq!(ada.send(&bob, numbered(taken)), Ok(()));
}

async fn everyone_who_waits_for_room_is_told<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let taken = ada.fill(&bob, 1_024).await;
    let waiting: Vec<_> = (0..32)
        .map(|at| {
            let (transport, to) = (ada.transport.clone(), bob.id);
            tokio::spawn(async move { deliver(&*transport, to, numbered(taken + at)).await })
        })
        .collect();
    for _ in 0..taken + 32 {
        bob.frame_from(&ada).await;
    }
    for waiter in waiting {
        waiter.await.unwrap();
    }
}

async fn ready_ends_at_once_where_there_is_room_or_nobody<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for to in [bob.id, NOBODY, ada.id] {
        ada.ready(to).await;
    }
}

async fn a_full_queue_holds_up_no_other<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    ada.fill(&bob, 1_024).await;
    ada.send(&eve, numbered(1)).unwrap();
    assert_eq!(number(&eve.frame_from(&ada).await), 1);
    bob.send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&bob).await), 2);
}

async fn ready_ends_when_the_node_that_was_waited_for_is_gone<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.fill(&bob, 1_024).await;
    let to = bob.id;
    tokio::join!(ada.ready(to), async move { drop(bob) });
}

// A broadcast is for everyone who can take it.

async fn a_broadcast_reaches_all_others_and_does_not_come_back<N: Network>() {
    let [ada, others @ ..] = members::<N, 5>().await;
    ada.transport.broadcast(numbered(1));
    for other in &others {
        assert_eq!(number(&other.frame_from(&ada).await), 1);
    }
    others[0].send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&others[0]).await), 2);
}

async fn a_broadcast_passes_over_the_full_and_the_gone<N: Network>() {
    let [ada, bob, eve, gone] = members::<N, 4>().await;
    ada.fill(&bob, 1_024).await;
    drop(gone);
    ada.transport.broadcast(numbered(7));
    loop {
        match eve.event().await {
            Some(Inbound::Disconnected { .. }) => {}
            other => {
                return assert_eq!(
                    other,
                    Some(Inbound::Frame {
                        from: ada.id,
                        frame: numbered(7)
                    })
                );
            }
        }
    }
}

async fn broadcasts_and_sends_keep_one_order<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for at in 0..100 {
        match at % 2 {
            0 => ada.send(&bob, numbered(at)).unwrap(),
            _ => ada.transport.broadcast(numbered(at)),
        }
    }
    for at in 0..100 {
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
}

// Who is not there can't be reached.

async fn an_unknown_node_is_unreachable<N: Network>() {
    let (ada, _bob) = pair::<N>().await;
    assert_eq!(
        ada.transport.send(NOBODY, numbered(1)),
        Err(TransportError::Unreachable { to: NOBODY })
    );
    assert!(!ada.transport.reaches(NOBODY));
}

async fn a_node_has_no_path_to_itself<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert_eq!(
        ada.send(&ada, numbered(1)),
        Err(TransportError::Unreachable { to: ada.id })
    );
    assert!(!ada.transport.reaches(ada.id));
    bob.send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&bob).await), 2);
}

async fn a_node_that_ends_without_warning_is_told_behind_its_frames<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.deliver(&bob, numbered(1)).await;
    assert_eq!(number(&bob.frame_from(&ada).await), 1);
    let gone = ada.id;
    drop(ada);
    bob.disconnected(gone).await;
}

async fn a_node_that_is_gone_is_unreachable<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    let gone = ada.id;
    drop(ada);
    for other in [&bob, &eve] {
        other.disconnected(gone).await;
        assert_eq!(
            other.transport.send(gone, numbered(1)),
            Err(TransportError::Unreachable { to: gone })
        );
        assert!(!other.transport.reaches(gone));
        other.ready(gone).await;
    }
}

async fn the_end_of_one_node_is_nothing_to_the_others<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    let gone = ada.id;
    drop(ada);
    for (from, to) in [(&bob, &eve), (&eve, &bob)] {
        to.disconnected(gone).await;
        from.send(to, numbered(1)).unwrap();
        assert_eq!(number(&to.frame_from(from).await), 1);
    }
}

// Closing is an end with manners.

async fn what_was_sent_before_closing_arrives_before_the_farewell<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for at in 0..100 {
        ada.send(&bob, numbered(at)).unwrap();
    }
    ada.transport.close().await;
    for at in 0..100 {
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
    bob.disconnected(ada.id).await;
}

async fn a_closed_transport_receives_nothing_ever<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.close().await;
    assert!(bob.send(&ada, numbered(1)).is_ok() || !bob.transport.reaches(ada.id));
    for _ in 0..3 {
        assert_eq!(ada.event().await, None);
    }
}

async fn a_closed_transport_sends_nothing<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.close().await;
    assert_eq!(ada.send(&bob, numbered(1)), Err(TransportError::Closed));
    assert!(!ada.transport.reaches(bob.id));
    ada.transport.broadcast(numbered(2));
    ada.ready(bob.id).await;
    bob.disconnected(ada.id).await;
}

async fn closing_ends_a_receive_and_a_ready_that_wait<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.fill(&bob, 1_024).await;
    let closing = async {
        tokio::task::yield_now().await;
        ada.transport.close().await;
    };
    // Whether what waits in its queue leaves first is the transport's affair: nobody reads it here.
    let (received, (), ()) = tokio::join!(ada.event(), ada.ready(bob.id), closing);
    assert_eq!(received, None);
}

async fn closing_twice_and_from_many_tasks_is_closing_once<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    tokio::join!(
        ada.transport.close(),
        ada.transport.close(),
        ada.transport.close()
    );
    ada.transport.close().await;
    let gone = ada.id;
    drop(ada);
    bob.disconnected(gone).await;
    let end = timeout(STALL, bob.transport.receive()).await;
    assert!(end.is_err(), "an end is told once, not again as {end:?}");
}

// Dropped futures lose nothing.

async fn a_receive_that_is_given_up_loses_nothing<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let sending = async {
        for at in 0..1_000 {
            ada.deliver(&bob, numbered(at)).await;
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        let mut due = 0;
        while due < 1_000 {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                inbound = bob.transport.receive() => {
                    assert_eq!(inbound, Some(Inbound::Frame { from: ada.id, frame: numbered(due) }));
                    due += 1;
                }
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(sending, receiving) })
        .await
        .expect("all frames arrive in time");
}

async fn a_receive_that_was_given_up_leaves_the_next_one_awake<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for at in 0..100 {
        assert!(timeout(Duration::ZERO, bob.transport.receive()).await.is_err());
        ada.send(&bob, numbered(at)).unwrap();
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
}

async fn a_waiting_receiver_is_woken<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let sending = async {
        tokio::task::yield_now().await;
        ada.send(&bob, numbered(1)).unwrap();
    };
    let (frame, ()) = tokio::join!(bob.frame_from(&ada), sending);
    assert_eq!(number(&frame), 1);
}

/// Every case above, as a test of one transport.
macro_rules! transport_suite {
    ($transport:ident, $network:ty, $test:meta) => {
        transport_suite! { @cases $transport, $network, $test,
            a_frame_arrives_whole_with_its_sender_beside_it
            an_empty_frame_is_a_frame
            frames_of_every_size_arrive_unchanged
            the_largest_frame_arrives_and_a_larger_one_is_refused
            a_broadcast_that_is_too_large_reaches_nobody_and_harms_nobody
            ten_thousand_frames_arrive_once_and_in_order
            both_directions_keep_their_order_at_the_same_time
            large_and_small_frames_keep_one_order
            equal_frames_are_different_frames
            many_senders_at_once_are_each_heard_once_and_in_order
            a_frame_comes_from_who_sent_it_and_not_from_who_it_says
            a_frame_reaches_only_the_node_it_is_for
            a_receiver_who_does_not_read_makes_send_refuse
            large_frames_are_bounded_by_their_bytes
            what_was_taken_arrives_and_what_was_refused_does_not
            ready_waits_while_there_is_no_room_and_ends_when_there_is
            everyone_who_waits_for_room_is_told
            ready_ends_at_once_where_there_is_room_or_nobody
            a_full_queue_holds_up_no_other
            ready_ends_when_the_node_that_was_waited_for_is_gone
            a_broadcast_reaches_all_others_and_does_not_come_back
            a_broadcast_passes_over_the_full_and_the_gone
            broadcasts_and_sends_keep_one_order
            an_unknown_node_is_unreachable
            a_node_has_no_path_to_itself
            a_node_that_ends_without_warning_is_told_behind_its_frames
            a_node_that_is_gone_is_unreachable
            the_end_of_one_node_is_nothing_to_the_others
            what_was_sent_before_closing_arrives_before_the_farewell
            a_closed_transport_receives_nothing_ever
            a_closed_transport_sends_nothing
            closing_ends_a_receive_and_a_ready_that_wait
            closing_twice_and_from_many_tasks_is_closing_once
            a_receive_that_is_given_up_loses_nothing
            a_receive_that_was_given_up_leaves_the_next_one_awake
            a_waiting_receiver_is_woken
        }
    };
    (@cases $transport:ident, $network:ty, $test:meta, $($case:ident)*) => {
        mod $transport {
            $(
                #[$test]
                async fn $case() {
                    super::$case::<$network>().await;
                }
            )*
        }
    };
}

/// Nodes of one hub.
struct Local;

impl Network for Local {
    async fn cluster(size: usize) -> Vec<Member> {
        let hub = connectome::transport::local::Hub::new();
        let ids = (1..).map(|at| NodeId([at; 32])).take(size);
        ids.map(|id| Member {
            id,
            transport: Arc::new(hub.join(id).expect("each id is new")),
        })
        .collect()
    }
}

transport_suite! { local, super::Local, tokio::test(start_paused = true) }
transport_suite! { local_on_threads, super::Local, tokio::test(flavor = "multi_thread", worker_threads = 2) }
