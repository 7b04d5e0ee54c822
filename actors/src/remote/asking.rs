//! What the machinery of one node asks that of another one: asked until it is answered, so that nothing of it is a dead letter.

use std::time::Duration;

use bytes::Bytes;
use connectome_codecs::message::Response;
use connectome_codecs::{CorrelationId, Envelope, Kind, NodeId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::wire_error;
use crate::deadline;
use crate::error::CallError;
use crate::router::Router;

impl Router {
    /// Sends a request and waits for its answer. One that was not sent is asked again by whoever asks.
    pub(crate) async fn ask_quietly(
        &self,
        node: NodeId,
        request: Envelope,
        within: Duration,
    ) -> Result<Bytes, CallError> {
        let started = Instant::now();
        let (end, answer) = oneshot::channel();
        let call = self.open_call(&request, node, within, None, end)?;
        let busy = self.inner().remote.in_flight(node) > 1;
        let frame = self.frame(node, request)?;
        let sent = self.inner().peers.send(node, frame, deadline::after(within), busy).await;
        sent.map_err(|error| CallError::NotSent(error.to_string()))?;
        call.wait(started, within, answer).await
    }

    /// Answers what the machinery of another node has asked for.
    pub(crate) fn respond_to(
        &self,
        node: NodeId,
        correlation: CorrelationId,
        result: Result<Bytes, CallError>,
    ) {
        let envelope = match result {
            Ok(result) => self.about(node, correlation, Kind::Response, &Response::whole(result)),
            Err(error) => self.about(node, correlation, Kind::Error, &wire_error(&error)),
        };
        if let Err(error) = envelope.and_then(|envelope| Ok(self.transmit_later(node, envelope)?)) {
            tracing::error!(%error, "an answer could not be encoded");
        }
    }
}
