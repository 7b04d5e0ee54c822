//! Nobody waits for a slow receiver, and nothing grows.

use connectome::codecs::limits::FRAME_MAX;
use connectome::port::TransportError;
use tokio::time::timeout;

use super::member::{
    HELD_FRAMES_MAX, NOBODY, Network, STALL, deliver, members, number, numbered, pair, sized,
};

pub(super) async fn a_receiver_who_does_not_read_makes_send_refuse<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert!(ada.fill(&bob, 64).await > 0);
    match ada.send(&bob, numbered(0)) {
        Err(TransportError::Full { to, bound }) => {
            assert!(to == bob.id && (1..=HELD_FRAMES_MAX).contains(&bound))
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn large_frames_are_bounded_by_their_bytes<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert!(ada.fill(&bob, FRAME_MAX).await > 0);
    assert!(matches!(ada.send(&bob, sized(0, FRAME_MAX)), Err(TransportError::Full { .. })));
}

pub(super) async fn what_was_taken_arrives_and_what_was_refused_does_not<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let taken = ada.fill(&bob, 1_024).await;
    assert!(ada.send(&bob, numbered(u64::MAX)).is_err());
    for at in 0..taken {
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
    ada.deliver(&bob, numbered(taken)).await;
    assert_eq!(number(&bob.frame_from(&ada).await), taken);
}

pub(super) async fn ready_waits_while_there_is_no_room_and_ends_when_there_is<N: Network>() {
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

pub(super) async fn everyone_who_waits_for_room_is_told<N: Network>() {
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

pub(super) async fn ready_ends_at_once_where_there_is_room_or_nobody<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for to in [bob.id, NOBODY, ada.id] {
        ada.ready(to).await;
    }
}

pub(super) async fn a_full_queue_holds_up_no_other<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    ada.fill(&bob, 1_024).await;
    ada.send(&eve, numbered(1)).unwrap();
    assert_eq!(number(&eve.frame_from(&ada).await), 1);
    bob.send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&bob).await), 2);
}

pub(super) async fn ready_ends_when_the_node_that_was_waited_for_is_gone<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.fill(&bob, 1_024).await;
    let to = bob.id;
    tokio::join!(ada.ready(to), async move { drop(bob) });
}
