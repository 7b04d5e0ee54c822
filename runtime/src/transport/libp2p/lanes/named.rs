//! Which protocols are spoken, and a stream that has agreed on one of them.

use std::convert::Infallible;
use std::future::{Ready, ready};

use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade};
use libp2p::swarm::{Stream, StreamProtocol};
use parking_lot::RwLock;

/// The names of the protocols that are spoken.
#[derive(Debug, Default)]
pub(in super::super) struct Protocols(RwLock<Vec<StreamProtocol>>);

impl Protocols {
    /// Speaks a protocol from now on, also on connections that stand. `false`: it is spoken already.
    pub(in super::super) fn add(&self, protocol: StreamProtocol) -> bool {
        let mut spoken = self.0.write();
        let is_new = !spoken.contains(&protocol);
        if is_new {
            spoken.push(protocol);
        }
        is_new
    }

    /// Speaks it no more.
    pub(in super::super) fn remove(&self, protocol: &StreamProtocol) {
        self.0.write().retain(|spoken| spoken != protocol);
    }

    pub(super) fn all(&self) -> Vec<StreamProtocol> {
        self.0.read().clone()
    }
}

/// Agrees on one of these.
#[derive(Debug)]
pub(in super::super) struct Named(pub(super) Vec<StreamProtocol>);

impl UpgradeInfo for Named {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Named {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Named {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
