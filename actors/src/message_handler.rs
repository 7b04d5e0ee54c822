//! The message handler: takes what the transport brings and hands it to the router, in the order it came.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::port::{Inbound, Transport};
use crate::router::Router;
use crate::service::Service;

/// Frames taken in one go before other tasks get their turn: a flood must not starve the agents it is for.
const TURN: usize = 64;

/// Empties the transport.
pub(crate) struct MessageHandler {
    pub(crate) router: Router,
    pub(crate) transport: Arc<dyn Transport>,
}

impl Service for MessageHandler {
    async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let mut taken = 0;
        loop {
            let inbound = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                inbound = self.transport.receive() => inbound,
            };
            match inbound {
                Some(Inbound::Frame { from, frame }) => self.router.receive(from, frame),
                Some(Inbound::Gap { from, frames }) => {
                    tracing::warn!(%from, ?frames, "frames were lost on the way")
                }
                Some(Inbound::Disconnected { peer }) => self.router.disconnected(peer),
                None => return Ok(()),
            }
            taken += 1;
            if taken % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}
