//! Configured addresses that do not say who is there: dialled until somebody is, and again when that node is away.

use std::sync::Arc;

use futures_util::future::join_all;
use libp2p::Multiaddr;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::life::Backoff;
use super::link::MEET_MAX;
use super::net::{Net, NotDialled, Order};

/// Keeps all of them until the transport is closed.
pub(super) async fn keep(net: Arc<Net>, seeds: Vec<Multiaddr>) -> Result<(), String> {
    let all = join_all(seeds.into_iter().enumerate().map(|(at, seed)| keep_one(&net, at as u64, seed)));
    tokio::select! {
        biased;
        _ = all => net.closed.cancelled().await,
        () = net.closed.cancelled() => {}
    }
    Ok(())
}

async fn keep_one(net: &Arc<Net>, at: u64, seed: Multiaddr) {
    let mut backoff = Backoff::new(net.incarnation ^ at);
    loop {
        backoff.wait().await;
        let (reply, dialled) = oneshot::channel();
        net.order(Order::Dial { peer: None, addresses: vec![seed.clone()], reply }).await;
        match dialled.await {
            Ok(Ok(peer)) => match net.meet_peer(&peer) {
                Some(peer) => {
                    peer.learn(seed.clone(), false);
                    // Whoever opens the link takes its time; after that, the node is there until its link ends.
                    drop(timeout(MEET_MAX, peer.up()).await);
                    if peer.is_up() {
                        backoff.succeeded();
                        peer.down().await;
                    }
                }
                None => tracing::debug!(%seed, %peer, "somebody is there who may not be linked with"),
            },
            Ok(Err(NotDialled::Ourselves)) => return,
            Ok(Err(NotDialled::Failed(problem))) => tracing::debug!(%seed, problem, "nobody was reached"),
            // The transport is closed.
            Err(_) => return,
        }
        backoff.failed();
    }
}
