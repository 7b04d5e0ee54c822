//! A store that goes back in time: whoever has seen the newer state does not believe the older one.

use connectome::port::{BucketConfig, Expect, Storage};
use connectome::prelude::*;
use connectome::{AGENT_MESSAGES, Bytes, LocalCluster, NodeOptions};

use super::until;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "count", reply = ())]
struct Count;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "counted", reply = u64)]
struct Counted;

/// Counts.
#[derive(Default)]
struct Counter(u64);

impl Agent for Counter {
    const KEEPS_STATE: bool = true;

    fn handles(table: &mut Table<Self>) {
        table.on::<Count>();
        table.on::<Counted>();
    }

    fn save(&self) -> Bytes {
        connectome::codecs::wire::encode(&self.0).unwrap()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), HandlerError> {
        self.0 = connectome::codecs::wire::decode(state)?;
        Ok(())
    }
}

impl Handle<Count> for Counter {
    async fn handle(&mut self, _: Count, _: &mut Context<'_>) -> Result<(), HandlerError> {
        self.0 += 1;
        Ok(())
    }
}

impl Handle<Counted> for Counter {
    async fn handle(&mut self, _: Counted, _: &mut Context<'_>) -> Result<u64, HandlerError> {
        Ok(self.0)
    }
}

/// A state that is set back is refused by the process that has seen the newer one, with what would be right; a process that
/// has not takes it.
#[tokio::test]
async fn an_older_state_is_refused() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let one = cluster.start("one").await.unwrap();
    let config = BucketConfig { name: connectome_actors::STATES.into(), ttl: None, storage: Storage::File };
    let states = cluster.store().bucket(config).await.unwrap();
    let state = async || states.get("counter").await.unwrap().and_then(|entry| entry.value);
    let counter = one.spawn("counter", Counter::default).await.unwrap();
    counter.send(Count).await.unwrap();
    let waiting = async || cluster.store().stream_info(AGENT_MESSAGES).await.unwrap().messages;
    // It leaves the stream once a kept state covers it.
    until("it is kept", async || waiting().await == 0).await;
    let older = state().await.unwrap();
    counter.send(Count).await.unwrap();
    until("it is kept again", async || waiting().await == 0 && state().await.as_ref() != Some(&older)).await;
    one.stop_agent("counter").await.unwrap();

    states.put("counter", older, Expect::Any, None).await.unwrap();
    let error = one.spawn("counter", Counter::default).await.unwrap_err().to_string();
    assert!(error.contains("went back in time") && error.contains("restore the newer one"), "{error}");
    assert!(one.sealing_counts().rolled_back > 0);

    let two = cluster.start("two").await.unwrap();
    let counter = two.spawn("counter", Counter::default).await.unwrap();
    assert_eq!(counter.call(Counted).await.unwrap(), 1);
    cluster.stop().await;
}
