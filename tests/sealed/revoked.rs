//! Keys that were taken back, and what a signature proves.

use connectome::codecs::signature::Evidence;
use connectome::codecs::{AgentId, Refusal};
use connectome::prelude::*;
use connectome::{Bytes, LocalCluster, Node, NodeOptions};

use super::until;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "note", reply = Option<Bytes>)]
struct Note(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "noted", reply = Vec<(u64, Option<Bytes>)>)]
struct Noted;

/// Tells somebody, as itself.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "tell", reply = ())]
struct Tell(u64);

/// Keeps what it is told, with what proves it.
#[derive(Default)]
struct Clerk(Vec<(u64, Option<Bytes>)>);

impl Agent for Clerk {
    fn handles(table: &mut Table<Self>) {
        table.on::<Note>();
        table.on::<Noted>();
        table.on::<Tell>();
    }
}

impl Handle<Note> for Clerk {
    async fn handle(&mut self, note: Note, ctx: &mut Context<'_>) -> Result<Option<Bytes>, HandlerError> {
        let evidence = ctx.evidence().map(|evidence| Bytes::from(evidence.encode()));
        self.0.push((note.0, evidence.clone()));
        Ok(evidence)
    }
}

impl Handle<Noted> for Clerk {
    async fn handle(
        &mut self,
        _: Noted,
        _: &mut Context<'_>,
    ) -> Result<Vec<(u64, Option<Bytes>)>, HandlerError> {
        Ok(self.0.clone())
    }
}

impl Handle<Tell> for Clerk {
    async fn handle(&mut self, tell: Tell, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        ctx.agent("clerk")?.send(Note(tell.0)).await?;
        Ok(())
    }
}

async fn serial_of(node: &Node, agent: &str) -> u64 {
    let id = node.router().agent_id(&agent.parse().unwrap()).unwrap();
    let published = node.router().published_keys(id).await.unwrap().unwrap();
    published.bundle.certificate().claims().serial
}

/// After an agent's keys were taken back its mail goes on under others: whoever had a session with the old ones begins a new
/// one, without a new start of anybody.
#[tokio::test]
async fn mail_goes_on_under_other_keys() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let (here, there) = (cluster.start("here").await.unwrap(), cluster.start("there").await.unwrap());
    let clerk = here.spawn("clerk", Clerk::default).await.unwrap();
    let told = async |number| {
        let noted = clerk.call(Noted).await.unwrap();
        noted.iter().any(|(noted, _)| *noted == number)
    };
    there.agent("clerk").unwrap().send(Note(0)).await.unwrap();
    until("the first one is read", async || told(0).await).await;
    let before = serial_of(&here, "clerk").await;

    let name = "clerk".parse().unwrap();
    let published = here.router().revoke_keys(&name, &[]).await.unwrap();
    assert!(published.log.unwrap().is_revoked(before));
    assert_ne!(serial_of(&there, "clerk").await, before);
    // One that left before its node had heard of it was sealed to what was taken back, and is a dead letter.
    let mut number = 0;
    until("one arrives again", async || {
        number += 1;
        there.agent("clerk").unwrap().send(Note(number)).await.unwrap();
        told(number).await
    })
    .await;
    let after = number + 1;
    there.agent("clerk").unwrap().send(Note(after)).await.unwrap();
    until("the next one is read", async || told(after).await).await;
    cluster.stop().await;
}

/// Two nodes go on talking after one has taken back what it speaks with.
#[tokio::test]
async fn a_node_goes_on_with_another_instance() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let (here, there) = (cluster.start("here").await.unwrap(), cluster.start("there").await.unwrap());
    here.spawn("clerk", Clerk::default).await.unwrap();
    let clerk = there.agent("clerk").unwrap();
    until("they talk", async || clerk.call(Note(0)).await.is_ok()).await;
    let (_, serial) = certificate_of(&clerk.call(Note(1)).await.unwrap().unwrap());

    there.router().revoke_own_keys(&[serial]).await.unwrap();
    until("another instance talks", async || {
        let answer = clerk.call(Note(2)).await;
        answer.is_ok_and(|evidence| certificate_of(&evidence.unwrap()).1 != serial)
    })
    .await;
    cluster.stop().await;
}

fn certificate_of(evidence: &[u8]) -> (AgentId, u64) {
    let proved = Evidence::decode(evidence).unwrap().verify(&std::collections::BTreeMap::new()).unwrap();
    (proved.agent, proved.serial)
}

/// What a durable message carries proves its sender to a third party, what came from another node proves that node, and a
/// changed byte proves nothing.
#[tokio::test]
async fn a_signature_proves_who_said_it() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let (here, there) = (cluster.start("here").await.unwrap(), cluster.start("there").await.unwrap());
    let clerk = here.spawn("clerk", Clerk::default).await.unwrap();
    assert_eq!(clerk.call(Note(1)).await.unwrap(), None, "nothing is signed within a node");

    let author = there.spawn("author", Clerk::default).await.unwrap();
    author.call(Tell(2)).await.unwrap();
    let mut evidence = None;
    until("it is read", async || {
        let noted = clerk.call(Noted).await.unwrap();
        evidence = noted.into_iter().find(|(noted, _)| *noted == 2).and_then(|(_, evidence)| evidence);
        evidence.is_some()
    })
    .await;
    let evidence = evidence.unwrap();
    let authors = there.router().agent_id(&"author".parse().unwrap()).unwrap();
    assert_eq!(certificate_of(&evidence).0, authors);
    for at in 0..evidence.len() {
        let mut changed = evidence.to_vec();
        changed[at] ^= 1;
        let proved = Evidence::decode(&changed)
            .and_then(|evidence| evidence.verify(&std::collections::BTreeMap::new()));
        assert!(proved.is_err(), "byte {at} was changed: {proved:?}");
    }

    let remote = there.agent("clerk").unwrap();
    let mut evidence = None;
    until("the other node knows of it", async || {
        evidence = remote.call(Note(3)).await.ok().flatten();
        evidence.is_some()
    })
    .await;
    let evidence = evidence.unwrap();
    assert_eq!(certificate_of(&evidence).0, AgentId(*there.router().node_id().as_bytes()));
    cluster.stop().await;
}

/// A certificate that its agent has taken back proves nothing to whoever knows its log.
#[tokio::test]
async fn what_was_taken_back_proves_nothing() {
    let cluster = LocalCluster::in_memory(NodeOptions::default()).unwrap();
    let (here, there) = (cluster.start("here").await.unwrap(), cluster.start("there").await.unwrap());
    here.spawn("clerk", Clerk::default).await.unwrap();
    let remote = there.agent("clerk").unwrap();
    until("they talk", async || remote.call(Note(0)).await.is_ok()).await;
    let evidence = remote.call(Note(1)).await.unwrap().unwrap();
    let (id, serial) = certificate_of(&evidence);
    let log = there.router().revoke_own_keys(&[serial]).await.unwrap();
    let known = std::collections::BTreeMap::from([(id, log)]);
    let refused = Evidence::decode(&evidence).unwrap().verify(&known);
    assert_eq!(refused.map(|proved| proved.agent), Err(Refusal::Revoked));
    cluster.stop().await;
}
