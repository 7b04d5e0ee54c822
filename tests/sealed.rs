//! What is sealed: whoever carries or keeps what agents say learns where it goes and how large it is, and nothing else.
//!
//! `canary` and `carried` look for what agents said wherever it could have been left; `strangers` are nodes with another root
//! key; `accepted` is about whom one talks to; `revoked` about keys that were taken back, and about what a signature proves;
//! `rollback` is a store that goes back in time; `foreign` is an agent in another language; `shared` is about signatures for
//! many; `cost` measures.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod accepted;
mod canary;
mod carried;
mod cost;
mod foreign;
mod over_nats;
mod revoked;
mod rollback;
mod search;
mod shared;
mod strangers;

use std::time::Duration;

use tokio::time::{interval, timeout};

/// How long something that must happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at whether it has.
const PACE: Duration = Duration::from_millis(20);

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut pace = interval(PACE);
    let becomes_so = async {
        while !is_so().await {
            pace.tick().await;
        }
    };
    timeout(PATIENCE, becomes_so).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}
