//! What only the local transport promises. All else is in `tests/conformance/transport.rs`.

use std::time::Duration;

use super::*;

const ADA: NodeId = NodeId([1; 32]);
const BOB: NodeId = NodeId([2; 32]);

fn frame(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}

fn pair() -> (Hub, LocalTransport, LocalTransport) {
    let hub = Hub::new();
    let (ada, bob) = (hub.join(ADA).unwrap(), hub.join(BOB).unwrap());
    (hub, ada, bob)
}

#[tokio::test]
async fn a_second_node_with_the_same_key_is_refused_until_the_first_is_gone() {
    let (hub, ada, _bob) = pair();
    assert_eq!(hub.join(ADA).unwrap_err(), JoinError { node: ADA });
    drop(ada);
    assert!(hub.join(ADA).is_ok());
}

#[tokio::test]
async fn the_old_transport_of_a_key_cannot_end_the_new_one() {
    let (hub, old, bob) = pair();
    hub.cut(ADA);
    let new = hub.join(ADA).unwrap();
    drop(old);
    assert_eq!(hub.nodes(), [ADA, BOB]);
    new.send(BOB, frame(1)).unwrap();
    assert_eq!(bob.receive().await, Some(Inbound::Disconnected { peer: ADA }));
    assert_eq!(bob.receive().await, Some(Inbound::Frame { from: ADA, frame: frame(1) }));
}

#[tokio::test]
async fn a_cut_node_is_closed_and_the_others_are_told() {
    let (hub, ada, bob) = pair();
    hub.cut(ADA);
    hub.cut(ADA);
    assert_eq!(ada.receive().await, None);
    assert_eq!(ada.send(BOB, frame(1)), Err(TransportError::Closed));
    assert_eq!(bob.receive().await, Some(Inbound::Disconnected { peer: ADA }));
    assert_eq!(hub.nodes(), [BOB]);
}

#[tokio::test]
async fn the_bound_is_1_024_frames_from_each_sender() {
    let (hub, ada, bob) = pair();
    let eve = hub.join(NodeId([3; 32])).unwrap();
    for sender in [&ada, &eve] {
        assert!((0..QUEUE_FRAMES_MAX).all(|_| sender.send(BOB, frame(1)).is_ok()));
        let full = TransportError::Full { to: BOB, bound: QUEUE_FRAMES_MAX };
        assert_eq!(sender.send(BOB, frame(0)), Err(full));
    }
    drop(bob);
}

#[tokio::test]
async fn the_bound_is_8_mib_of_large_frames() {
    let (_hub, ada, bob) = pair();
    assert!((0..8).all(|_| ada.send(BOB, frame(FRAME_MAX)).is_ok()));
    assert_eq!(ada.send(BOB, frame(0)), Err(TransportError::Full { to: BOB, bound: 8 }));
    bob.receive().await.unwrap();
    ada.ready(BOB).await;
    assert_eq!(ada.send(BOB, frame(1)), Ok(()));
}

#[tokio::test]
async fn a_peer_that_comes_and_goes_while_nobody_reads_is_told_once() {
    let (hub, ada, bob) = pair();
    drop(ada);
    for _ in 0..10_000 {
        drop(hub.join(ADA).unwrap());
    }
    assert_eq!(bob.receive().await, Some(Inbound::Disconnected { peer: ADA }));
    let ada = hub.join(ADA).unwrap();
    ada.send(BOB, frame(1)).unwrap();
    assert_eq!(bob.receive().await, Some(Inbound::Frame { from: ADA, frame: frame(1) }));
}

#[tokio::test]
async fn a_reader_that_always_finds_frames_lets_other_tasks_run() {
    let (_hub, ada, bob) = pair();
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let reader = tokio::spawn(async move {
        while stopped.try_recv().is_err() {
            ada.send(BOB, frame(1)).unwrap();
            bob.receive().await.unwrap();
        }
    });
    tokio::task::yield_now().await;
    stop.send(()).unwrap();
    reader.await.unwrap();
}

#[test]
fn dropping_the_runtime_of_a_node_tells_the_nodes_on_other_runtimes() {
    let (_hub, ada, bob) = pair();
    let (ran, runs) = std::sync::mpsc::channel();
    let node = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    node.spawn(async move {
        ada.send(BOB, frame(3)).unwrap();
        ran.send(()).unwrap();
        ada.receive().await
    });
    runs.recv().unwrap();
    node.shutdown_timeout(Duration::from_secs(10));

    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(async {
        assert_eq!(bob.receive().await, Some(Inbound::Frame { from: ADA, frame: frame(3) }));
        assert_eq!(bob.receive().await, Some(Inbound::Disconnected { peer: ADA }));
    });
}
