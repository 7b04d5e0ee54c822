//! Casts, calls, deadlines, cycles, pipes and streams, near and far.

use std::time::Duration;

use connectome::codecs::message::Effect;
use connectome::prelude::*;

use super::support::*;

/// A call returns what the handler returned, and casts before it are handled before it.
#[tokio::test]
async fn casts_and_calls_keep_their_order() {
    let node = node().await;
    let tester = node.spawn("tester", Tester::default).await.unwrap();
    for n in 1..=100 {
        tester.cast(Add(n)).await.unwrap();
    }
    assert_eq!(tester.call(Seen).await.unwrap(), (1..=100).collect::<Vec<_>>());
    node.router().quiet().await;
    assert!(node.accounts().balance());
    assert_eq!(node.accounts().handled, 101);
}

/// The same calls work between nodes, references travel inside messages, and items arrive in order.
#[tokio::test]
async fn everything_works_between_nodes() {
    let (cluster, one, two) = two_nodes().await;
    one.spawn("far", Tester::default).await.unwrap();
    two.spawn("near", Tester::default).await.unwrap();
    knows(&two, "far").await;
    knows(&one, "near").await;
    let far = two.agent("far").unwrap();
    assert_eq!(far.call(Add(5)).await.unwrap(), 5);
    assert_eq!(far.call(Later(7)).await.unwrap(), 7);
    let relay = Relay { to: two.agent("near").unwrap(), amount: 3 };
    assert_eq!(far.call(relay).await.unwrap(), 3);
    let mut numbers = far.stream(CountTo(200)).await.unwrap();
    let mut heard = Vec::new();
    while let Some(number) = numbers.next().await.unwrap() {
        heard.push(number);
    }
    assert_eq!(heard, (1..=200).collect::<Vec<_>>());
    assert_eq!(numbers.reply(), Some(200));
    cluster.stop().await;
}

/// A call that would wait for itself is refused at once, on one node and over two.
#[tokio::test]
async fn a_cycle_is_refused() {
    let (cluster, one, two) = two_nodes().await;
    let a = one.spawn("a", Tester::default).await.unwrap();
    let b = one.spawn("b", Tester::default).await.unwrap();
    let error = a.call(Ring(b)).await.unwrap_err();
    assert!(error.to_string().contains("a -> b -> a"), "{error}");
    two.spawn("c", Tester::default).await.unwrap();
    knows(&one, "c").await;
    knows(&two, "a").await;
    let error = a.call(Ring(one.agent("c").unwrap())).await.unwrap_err();
    assert!(error.to_string().contains("a -> c -> a"), "{error}");
    cluster.stop().await;
}

/// A call whose turn never came certainly had no effect; one whose handler had begun may have had.
#[tokio::test]
async fn a_deadline_says_whether_it_may_have_happened() {
    let node = node().await;
    let tester = node.spawn("tester", Tester::default).await.unwrap();
    let hung = tester.clone();
    let hang = tokio::spawn(async move { hung.call_within(Duration::from_millis(300), Hang).await });
    tokio::task::yield_now().await;
    let late = tester.call_within(Duration::from_millis(50), Add(1)).await.unwrap_err();
    assert!(matches!(late, CallError::NotStarted(_)), "{late}");
    assert_eq!(late.effect(), Effect::None);
    let hung = hang.await.unwrap().unwrap_err();
    assert!(matches!(hung, CallError::TimedOut(_)), "{hung}");
    assert_eq!(hung.effect(), Effect::Possible);
}
