//! A future that is dropped loses nothing, and one that waits is woken.

use std::time::Duration;

use connectome::port::Inbound;
use tokio::time::timeout;

use super::member::{Network, PATIENCE, number, numbered, pair};

pub(super) async fn a_receive_that_is_given_up_loses_nothing<N: Network>() {
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
    timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.expect("all frames arrive in time");
}

pub(super) async fn a_receive_that_was_given_up_leaves_the_next_one_awake<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    for at in 0..100 {
        assert!(timeout(Duration::ZERO, bob.transport.receive()).await.is_err());
        ada.send(&bob, numbered(at)).unwrap();
        assert_eq!(number(&bob.frame_from(&ada).await), at);
    }
}

pub(super) async fn a_waiting_receiver_is_woken<N: Network>() {
    let (ada, bob) = pair::<N>().await;
    let sending = async {
        tokio::task::yield_now().await;
        ada.send(&bob, numbered(1)).unwrap();
    };
    let (frame, ()) = tokio::join!(bob.frame_from(&ada), sending);
    assert_eq!(number(&frame), 1);
}
