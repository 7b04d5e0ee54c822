//! Signatures are shared by what leaves together.

use connectome::prelude::*;
use connectome::{LocalCluster, NodeOptions};

/// Messages of one turn.
const CASTS: u64 = 2_000;

/// Counts what it is told.
#[derive(Default)]
struct Counter(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "count")]
struct Count(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "counted", reply = u64)]
struct Counted;

impl Agent for Counter {
    fn handles(table: &mut Table<Self>) {
        table.on::<Count>();
        table.on::<Counted>();
    }
}

impl Handle<Count> for Counter {
    async fn handle(&mut self, Count(number): Count, _: &mut Context<'_>) -> Result<(), HandlerError> {
        assert_eq!(number, self.0, "in order");
        self.0 += 1;
        Ok(())
    }
}

impl Handle<Counted> for Counter {
    async fn handle(&mut self, _: Counted, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(self.0)
    }
}

/// Casts that follow one another share signatures, arrive in order, and none is missing.
#[tokio::test]
async fn casts_that_follow_one_another_share_signatures() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let (one, two) = (cluster.start("one").await.unwrap(), cluster.start("two").await.unwrap());
    one.spawn("counter", Counter::default).await.unwrap();
    let far = two.wait_for("counter").await.unwrap();
    assert_eq!(far.call(Counted).await.unwrap(), 0);
    let before = two.router().seal_counts();
    for number in 0..CASTS {
        far.cast(Count(number)).await.unwrap();
    }
    assert_eq!(far.call(Counted).await.unwrap(), CASTS);
    let after = two.router().seal_counts();
    let [sealed, signatures] = [after.sealed - before.sealed, after.signatures - before.signatures];
    assert!(sealed > CASTS && signatures * 16 < CASTS, "{signatures} signatures for {sealed} messages");
    cluster.stop().await;
}
