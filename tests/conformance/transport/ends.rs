//! Who is not there can't be reached; whose end has come is told; closing is an end with manners.

use connectome::port::TransportError;
use tokio::time::timeout;

use super::member::{NOBODY, Network, STALL, members, number, numbered, pair};

pub(super) async fn an_unknown_node_is_unreachable<N: Network>() {
    let (ada, _bob) = pair::<N>().await;
    assert_eq!(ada.transport.send(NOBODY, numbered(1)), Err(TransportError::Unreachable { to: NOBODY }));
    assert!(!ada.transport.reaches(NOBODY));
}

pub(super) async fn a_node_has_no_path_to_itself<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    assert_eq!(ada.send(&ada, numbered(1)), Err(TransportError::Unreachable { to: ada.id }));
    assert!(!ada.transport.reaches(ada.id));
    bob.send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&bob).await), 2);
}

pub(super) async fn a_node_that_ends_without_warning_is_told_behind_its_frames<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.deliver(&bob, numbered(1)).await;
    assert_eq!(number(&bob.frame_from(&ada).await), 1);
    let gone = ada.id;
    drop(ada);
    bob.disconnected(gone).await;
}

pub(super) async fn a_node_that_is_gone_is_unreachable<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    let gone = ada.id;
    drop(ada);
    for other in [&bob, &eve] {
        other.disconnected(gone).await;
        assert_eq!(other.transport.send(gone, numbered(1)), Err(TransportError::Unreachable { to: gone }));
        assert!(!other.transport.reaches(gone));
        other.ready(gone).await;
    }
}

pub(super) async fn the_end_of_one_node_is_nothing_to_the_others<N: Network>() {
    let [ada, bob, eve] = members::<N, 3>().await;
    let gone = ada.id;
    drop(ada);
    for (from, to) in [(&bob, &eve), (&eve, &bob)] {
        to.disconnected(gone).await;
        from.send(to, numbered(1)).unwrap();
        assert_eq!(number(&to.frame_from(from).await), 1);
    }
}

pub(super) async fn what_was_sent_before_closing_arrives_before_the_farewell<N: Network>() {
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

pub(super) async fn a_closed_transport_receives_nothing_ever<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.close().await;
    assert!(bob.send(&ada, numbered(1)).is_ok() || !bob.transport.reaches(ada.id));
    for _ in 0..3 {
        assert_eq!(ada.event().await, None);
    }
}

pub(super) async fn a_closed_transport_sends_nothing<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.close().await;
    assert_eq!(ada.send(&bob, numbered(1)), Err(TransportError::Closed));
    assert!(!ada.transport.reaches(bob.id));
    ada.transport.broadcast(numbered(2));
    ada.ready(bob.id).await;
    bob.disconnected(ada.id).await;
}

pub(super) async fn closing_ends_a_receive_and_a_ready_that_wait<N: Network>() {
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

pub(super) async fn closing_twice_and_from_many_tasks_is_closing_once<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    tokio::join!(ada.transport.close(), ada.transport.close(), ada.transport.close());
    ada.transport.close().await;
    let gone = ada.id;
    drop(ada);
    bob.disconnected(gone).await;
    let end = timeout(STALL, bob.transport.receive()).await;
    assert!(end.is_err(), "an end is told once, not again as {end:?}");
}
