//! Frames arrive whole, once, in order, from who sent them.

use std::collections::BTreeMap;

use bytes::Bytes;
use connectome::codecs::NodeId;
use connectome::codecs::limits::FRAME_MAX;
use connectome::port::{Inbound, TransportError};

use super::member::{Member, Network, deliver, members, number, numbered, pair, pattern, sized};

pub(super) async fn a_frame_arrives_whole_with_its_sender_beside_it<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.send(&bob, pattern(1_000)).unwrap();
    assert_eq!(bob.event().await, Some(Inbound::Frame { from: ada.id, frame: pattern(1_000) }));
}

pub(super) async fn an_empty_frame_is_a_frame<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.send(&bob, Bytes::new()).unwrap();
    ada.send(&bob, pattern(3)).unwrap();
    assert_eq!(bob.frame_from(&ada).await, Bytes::new());
    assert_eq!(bob.frame_from(&ada).await, pattern(3));
}

pub(super) async fn frames_of_every_size_arrive_unchanged<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let around = [1, 64, 128, 256, 1_400, 4_096, 16_384, 65_536, FRAME_MAX / 2, FRAME_MAX - 1];
    for size in around.into_iter().flat_map(|size| [size - 1, size, size + 1]) {
        ada.deliver(&bob, pattern(size)).await;
        let frame = bob.frame_from(&ada).await;
        assert!(frame == pattern(size), "a frame of {size} bytes came as {} other ones", frame.len());
    }
}

pub(super) async fn the_largest_frame_arrives_and_a_larger_one_is_refused<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let size = FRAME_MAX + 1;
    assert_eq!(ada.send(&bob, pattern(size)), Err(TransportError::TooLarge { size, max: FRAME_MAX }));
    ada.deliver(&bob, pattern(FRAME_MAX)).await;
    assert!(bob.frame_from(&ada).await == pattern(FRAME_MAX));
}

pub(super) async fn ten_thousand_frames_arrive_once_and_in_order<N: Network>() {
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

pub(super) async fn both_directions_keep_their_order_at_the_same_time<N: Network>() {
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
    tokio::join!(send(&ada, &bob), send(&bob, &ada), receive(&ada, &bob), receive(&bob, &ada));
}

pub(super) async fn large_and_small_frames_keep_one_order<N: Network>() {
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

pub(super) async fn equal_frames_are_different_frames<N: Network>() {
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

pub(super) async fn many_senders_at_once_are_each_heard_once_and_in_order<N: Network>() {
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
        let Some(Inbound::Frame { from, frame }) = bob.event().await else { panic!("only frames are due") };
        let (task, at) = (number(&frame) >> 32, number(&frame) & u64::from(u32::MAX));
        let due = heard.entry((from, task)).or_default();
        assert_eq!(at, *due);
        *due += 1;
    }
    assert!(heard.len() == senders.len() * TASKS as usize && heard.values().all(|count| *count == FRAMES));
}

pub(super) async fn a_frame_comes_from_who_sent_it_and_not_from_who_it_says<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    eve.send(&bob, Bytes::copy_from_slice(ada.id.as_bytes())).unwrap();
    assert_eq!(bob.frame_from(&eve).await, ada.id.as_bytes()[..]);
}

pub(super) async fn a_frame_reaches_only_the_node_it_is_for<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    ada.send(&bob, numbered(1)).unwrap();
    assert_eq!(number(&bob.frame_from(&ada).await), 1);
    ada.send(&eve, numbered(2)).unwrap();
    assert_eq!(number(&eve.frame_from(&ada).await), 2);
}
