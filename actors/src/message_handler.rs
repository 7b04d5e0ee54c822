//! The message handler: takes what the transport brings and hands it to the router, in the order it came.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::port::{Inbound, Transport};
use crate::router::Router;
use crate::service::Service;

/// Frames taken in one go before other tasks get their turn: a flood must not starve the agents it is for.
const TURN: usize = 64;

/// Frames that a stopping node still answers: several times what a transport holds for it.
const LAST_MAX: usize = 65_536;

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
                () = stop.cancelled() => break,
                inbound = self.transport.receive() => inbound,
            };
            let Some(inbound) = inbound else { return Ok(()) };
            self.take(inbound);
            taken += 1;
            if taken % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.take_the_rest();
        Ok(())
    }
}

impl MessageHandler {
    fn take(&self, inbound: Inbound) {
        match inbound {
            Inbound::Frame { from, frame } => self.router.receive(from, frame),
            Inbound::Gap { from, frames } => tracing::warn!(%from, ?frames, "frames were lost on the way"),
            Inbound::Disconnected { peer } => self.router.disconnected(peer),
        }
    }

    /// Whoever has called this node before it said goodbye is told that it stops.
    fn take_the_rest(&self) {
        for _ in 0..LAST_MAX {
            match self.transport.receive().now_or_never() {
                Some(Some(inbound)) => self.take(inbound),
                Some(None) | None => return,
            }
        }
    }
}
