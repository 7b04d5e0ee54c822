//! Waiting for an agent: it is found as soon as it is there, wherever that is.

use connectome::prelude::*;

use super::support::*;

/// Whoever waits before an agent has come finds it once it has: by name and by capability, near and far.
#[tokio::test]
async fn who_waits_is_told_of_an_arrival() {
    let (cluster, one, two) = two_nodes().await;
    let waiting: Vec<_> = [&one, &two]
        .into_iter()
        .flat_map(|node| ["adder", "can:add"].map(|address| (node.clone(), address)))
        .map(|(node, address)| tokio::spawn(async move { node.wait_for(address).await }))
        .collect();
    tokio::task::yield_now().await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()), "nobody has come");
    one.spawn_with(AgentSpec::new("adder", Tester::default).capability("add")).await.unwrap();
    for (turn, waiting) in (1..).zip(waiting) {
        let adder = waiting.await.unwrap().unwrap();
        assert_eq!(adder.call(Add(1)).await.unwrap(), turn);
    }
    cluster.stop().await;
}

/// What is no address is refused at once.
#[tokio::test]
async fn what_is_no_address_is_refused() {
    let node = node().await;
    assert!(node.wait_for("no address").await.is_err());
    node.stop().await;
}
