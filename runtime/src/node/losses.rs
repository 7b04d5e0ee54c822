//! What the store has lost, told as an event: whoever reads the cluster's events hears that something is gone.

use connectome_codecs::Fact;
use connectome_codecs::event::ErrorOccurred;
use connectome_codecs::message::{Blame, Effect, Error, ErrorCode};
use tokio::sync::watch;

use super::Node;
use crate::streams::jetstream::Losses;

/// Tells of each loss until the node has ended.
pub(super) async fn tell(node: Node, mut losses: watch::Receiver<Losses>) {
    let mut told = Losses::new();
    loop {
        tokio::select! {
            biased;
            () = node.ended() => return,
            changed = losses.changed() => if changed.is_err() { return },
        }
        let lost = losses.borrow_and_update().clone();
        for (name, _) in lost.iter().filter(|(name, times)| told.get(*name) != Some(times)) {
            node.announce(Fact::ErrorOccurred(error(name))).await;
        }
        told = lost;
    }
}

fn error(name: &str) -> ErrorOccurred {
    let text = format!(
        "the NATS server has lost {name}: what it held is gone; it was made again, empty. Look whether its store_dir is on a \
         disk that lasts"
    );
    let error = Error::new(ErrorCode::UNAVAILABLE, Blame::Environment, Effect::Possible, &text);
    ErrorOccurred { error, agent: None, message: None }
}
