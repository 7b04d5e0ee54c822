//! Crashes: what is lost, what is kept, who is told.

use connectome::prelude::*;
use connectome::{DownReason, Reason};

use super::support::*;

/// A crash loses the message that caused it and nothing else: what was queued is handled by the next incarnation.
#[tokio::test]
async fn the_queue_outlives_a_crash() {
    let node = node().await;
    let tester = node.spawn("tester", Tester::default).await.unwrap();
    let down = tokio::spawn({
        let tester = tester.clone();
        async move { tester.down().await }
    });
    tokio::task::yield_now().await;
    tester.cast(Add(1)).await.unwrap();
    tester.cast(Crash("on purpose".into())).await.unwrap();
    tester.cast(Add(2)).await.unwrap();
    assert_eq!(tester.call(Seen).await.unwrap(), [2]);
    let down = down.await.unwrap().unwrap();
    assert_eq!((down.incarnation, down.reason), (1, DownReason::Exit(Exit::Crashed("on purpose".into()))));
    let letters = node.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason, letters[0].cause.as_str()), (Reason::Crashed, "on purpose"));
    node.router().quiet().await;
    assert!(node.accounts().balance());
}

/// A caller is told that the agent crashed, and why.
#[tokio::test]
async fn a_caller_hears_of_the_crash() {
    let node = node().await;
    let tester = node.spawn("tester", Tester::default).await.unwrap();
    let error = tester.call(Crash("so that you know".into())).await.unwrap_err();
    assert!(matches!(&error, CallError::Crashed(why) if why == "so that you know"), "{error}");
    assert_eq!(tester.call(Add(1)).await.unwrap(), 1);
}
