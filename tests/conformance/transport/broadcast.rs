//! A broadcast is for everyone who can take it.

use connectome::codecs::limits::FRAME_MAX;
use connectome::port::Inbound;

use super::member::{Network, members, number, numbered, pair, pattern};

pub(super) async fn a_broadcast_reaches_all_others_and_does_not_come_back<N: Network>() {
    let [ada, others @ ..] = members::<N, 5>().await;
    ada.transport.broadcast(numbered(1));
    for other in &others {
        assert_eq!(number(&other.frame_from(&ada).await), 1);
    }
    others[0].send(&ada, numbered(2)).unwrap();
    assert_eq!(number(&ada.frame_from(&others[0]).await), 2);
}

pub(super) async fn a_broadcast_passes_over_the_full_and_the_gone<N: Network>() {
    let [ada, bob, eve, gone] = members::<N, 4>().await;
    ada.fill(&bob, 1_024).await;
    drop(gone);
    ada.transport.broadcast(numbered(7));
    loop {
        match eve.event().await {
            Some(Inbound::Disconnected { .. }) => {}
            other => {
                return assert_eq!(other, Some(Inbound::Frame { from: ada.id, frame: numbered(7) }));
            }
        }
    }
}

pub(super) async fn broadcasts_and_sends_keep_one_order<N: Network>() {
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

pub(super) async fn a_broadcast_that_is_too_large_reaches_nobody_and_harms_nobody<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    ada.transport.broadcast(pattern(FRAME_MAX + 1));
    ada.transport.broadcast(numbered(1));
    assert_eq!(bob.frame_from(&ada).await, numbered(1));
}
