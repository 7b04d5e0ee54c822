//! Streams for others, beside the links: registered by name, opened, listed, closed, and ended when nothing moves.

use std::time::Duration;

use connectome::transport::libp2p::{IDLE_DEFAULT, PeerStreamError};

use super::support::{pair, soon, until};

/// Bytes go both ways on a stream that was opened by name, and both ends see whose it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_opened_by_name() {
    let (ada, bob) = pair().await;
    let mut came = ada.register("/echo/1", IDLE_DEFAULT).unwrap();
    let mut there = bob.open_stream(ada.node_id(), "/echo/1").await.unwrap();
    there.write(b"hello").await.unwrap();
    let mut here = soon(came.next()).await.unwrap();
    assert_eq!((here.peer(), here.protocol()), (bob.node_id(), "/echo/1"));
    let mut space = [0; 64];
    let length = here.read(&mut space).await.unwrap();
    here.write(&space[..length]).await.unwrap();
    assert_eq!(there.read(&mut space).await.unwrap(), 5);
    there.finish().await.unwrap();
    assert_eq!(here.read(&mut space).await.unwrap(), 0, "the other side writes no more");
}

/// A name that nobody registered, one that is taken, and one that is none are refused with what would be right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_checked() {
    let (ada, bob) = pair().await;
    let (peer, name) = (ada.node_id(), "/nobody/1".to_owned());
    let refused = bob.open_stream(peer, &name).await.unwrap_err();
    assert_eq!(refused, PeerStreamError::Unsupported { peer, name });
    for name in ["", "echo", "/a\nb", &"/long".repeat(100)] {
        assert!(matches!(ada.register(name, IDLE_DEFAULT), Err(PeerStreamError::Name { .. })), "{name:?}");
    }
    let registered = ada.register("/echo/1", IDLE_DEFAULT).unwrap();
    assert!(matches!(ada.register("/echo/1", IDLE_DEFAULT), Err(PeerStreamError::Taken { .. })));
    assert!(matches!(ada.register("/connectome/link/1", IDLE_DEFAULT), Err(PeerStreamError::Taken { .. })));
    drop(registered);
    drop(ada.register("/echo/1", IDLE_DEFAULT).unwrap());
}

/// Streams are listed at both ends, and closing one here wakes who reads it here and tells who reads it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_listed_and_closed() {
    let (ada, bob) = pair().await;
    let mut came = ada.register("/echo/1", IDLE_DEFAULT).unwrap();
    let mut there = bob.open_stream(ada.node_id(), "/echo/1").await.unwrap();
    there.write(b"x").await.unwrap();
    let mut here = soon(came.next()).await.unwrap();
    let rows = ada.streams();
    let [row] = rows.as_slice() else { panic!("one is open: {rows:?}") };
    assert!(row.inbound && row.peer == bob.node_id() && row.protocol == "/echo/1" && row.id == here.id());
    assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 1);
    let reading = tokio::spawn(async move { here.read(&mut [0; 8]).await });
    tokio::task::yield_now().await;
    assert!(ada.close_stream(row.id) && !ada.close_stream(row.id));
    assert!(soon(reading).await.unwrap().is_err());
    assert!(matches!(soon(there.read(&mut [0; 8])).await, Ok(0) | Err(_)));
    assert_eq!(ada.streams(), []);
}

/// A stream on which nothing moves is closed; one on which something does is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_is_closed() {
    let (ada, bob) = pair().await;
    let mut came = ada.register("/idle/1", Duration::from_secs(1)).unwrap();
    let mut idle = bob.open_stream(ada.node_id(), "/idle/1").await.unwrap();
    let mut busy = bob.open_stream(ada.node_id(), "/idle/1").await.unwrap();
    idle.write(b"x").await.unwrap();
    busy.write(b"x").await.unwrap();
    let mut held = [soon(came.next()).await.unwrap(), soon(came.next()).await.unwrap()];
    until(async || {
        busy.write(b"y").await.unwrap();
        for stream in &mut held {
            drop(tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 1_024])).await);
        }
        ada.streams().len() == 1
    })
    .await;
    busy.write(b"z").await.unwrap();
    assert!(matches!(soon(idle.read(&mut [0; 8])).await, Ok(0) | Err(_)));
}
