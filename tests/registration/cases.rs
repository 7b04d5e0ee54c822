//! What holds of registration on nodes over any store; the nodes know each other.

use std::time::Duration;

use connectome::AgentSpec;
use connectome::codecs::registration::{Presence, Refusal, RefusalCode, Registration};
use connectome::port::Expect;
use connectome::prelude::*;
use connectome_codecs::{AgentName, NodeId, UnixMillis};
use tokio::time::Instant;

use super::support::{Idler, Stranger, bucket, keys_of, name, refusals, say, until, until_keys};

const NAMESPACE: &str = "connectome";

pub(crate) async fn registered(nodes: &[Node]) {
    let spec = AgentSpec::new("painter", || Idler).capability("paint").role("artist").version("2.1");
    nodes[0].spawn_with(spec).await.unwrap();
    for node in nodes {
        let stands = node.registered(&name("painter")).await.unwrap();
        assert_eq!((stands.node, stands.incarnation), (nodes[0].id(), nodes[0].router().incarnation()));
        assert_eq!((stands.agent.role.as_deref(), stands.agent.version.as_str()), (Some("artist"), "2.1"));
        assert_eq!(stands.agent.capabilities, ["paint"]);
        let id = nodes[0].ports().keys.agent_id(&name("painter")).unwrap();
        assert_eq!((stands.agent.id, &stands.presence), (Some(id), &Presence::Node));
    }
    assert_eq!(nodes[0].registration_counts().confirmed, 1);
    // Whoever decided counts it once the entry is written, which the others see first.
    let admitted = || nodes.iter().map(|node| node.registration_counts().admitted).sum::<u64>();
    until(|| admitted() >= 1).await;
    assert_eq!(admitted(), 1, "one registrar has decided");
}

pub(crate) async fn foreign(nodes: &[Node]) {
    let stranger = Stranger::new(NAMESPACE);
    let now = || nodes[0].router().now();
    let first = stranger.record("guest", now());
    say(&nodes[0], "registered", "guest", stranger.signed(&first)).await;
    for node in nodes {
        assert_eq!(*node.registered(&name("guest")).await.unwrap(), first);
        until(|| node.router().remote_agents() == [(name("guest"), stranger.id())]).await;
    }
    assert!(nodes[1].spawn("guest", || Idler).await.is_err(), "its name is taken");
    let later = Registration { issued: UnixMillis(first.issued.0 + 1), ..first.clone() };
    say(&nodes[0], "heartbeat", "guest", stranger.signed(&later)).await;
    until(|| nodes.iter().all(|node| node.registrations().iter().all(|known| **known == later))).await;
    let end = Registration { issued: UnixMillis(later.issued.0 + 1), ..later };
    say(&nodes[0], "unregistered", "guest", stranger.signed_end(&end)).await;
    until(|| nodes.iter().all(|node| node.registrations().is_empty())).await;
    until(|| nodes.iter().all(|node| node.router().remote_agents().is_empty())).await;
}

pub(crate) async fn forged(nodes: &[Node]) {
    let (stranger, other) = (Stranger::new(NAMESPACE), Stranger::new(NAMESPACE));
    let elsewhere = Stranger::new("another-cluster");
    let now = nodes[0].router().now();
    let record = stranger.record("guest", now);
    let old = stranger.record("guest", UnixMillis(now.0 - 600_000));
    let wrong = [
        (RefusalCode::Forged, other.signed(&record)),
        (RefusalCode::Forged, elsewhere.signed(&elsewhere.record("guest", now))),
        (RefusalCode::Forged, stranger.signed_end(&record)),
        (RefusalCode::Foreign, stranger.signed(&stranger.record("somebody", now))),
        (RefusalCode::Stale, stranger.signed(&old)),
        (RefusalCode::Oversized, vec![0; 5_000]),
        (RefusalCode::Malformed, b"hello".to_vec()),
    ];
    let mut refused = refusals(&nodes[0]).await;
    for (code, body) in wrong.clone() {
        say(&nodes[0], "registered", "guest", body).await;
        let said = refused.next().await;
        assert_eq!((said.code, said.agent), (code, name("guest")), "{}", said.detail);
    }
    say(&nodes[0], "heartbeat", "guest", stranger.signed(&record)).await;
    assert_eq!(refused.next().await.code, RefusalCode::NotRegistered);
    assert!(keys_of(&*nodes[0].ports().streams).await.is_empty());
    written_past_the_registrar(nodes, wrong.map(|(_, body)| body)).await;
}

/// Whoever writes into the bucket itself is not believed either.
async fn written_past_the_registrar(nodes: &[Node], wrong: [Vec<u8>; 7]) {
    let bucket = bucket(&*nodes[0].ports().streams).await;
    for body in wrong {
        let before: Vec<_> = nodes.iter().map(unbelieved).collect();
        bucket.put("guest", body.into(), Expect::Any, None).await.unwrap();
        until(|| nodes.iter().zip(&before).all(|(node, before)| unbelieved(node) > *before)).await;
    }
    assert!(nodes.iter().all(|node| node.registrations().is_empty()));
    // What can't be believed has no rights: the name is free.
    nodes[1].spawn("guest", || Idler).await.unwrap();
    for node in nodes {
        assert_eq!(node.registered(&name("guest")).await.unwrap().node, nodes[1].id());
    }
}

fn unbelieved(node: &Node) -> u64 {
    let counts = node.registration_counts();
    counts.forged + counts.foreign + counts.stale + counts.oversized + counts.malformed
}

pub(crate) async fn taken(nodes: &[Node]) {
    let stranger = Stranger::new(NAMESPACE);
    nodes[0].spawn("desk", || Idler).await.unwrap();
    nodes[1].registered(&name("desk")).await.unwrap();
    let mut refused = refusals(&nodes[0]).await;
    let record = stranger.record("desk", nodes[0].router().now());
    say(&nodes[0], "registered", "desk", stranger.signed(&record)).await;
    let said = refused.next().await;
    assert_eq!((&said.code, said.holder), (&RefusalCode::NameTaken, Some(nodes[0].id())), "{}", said.detail);
    assert_eq!((said.node, said.issued), (Some(stranger.id()), Some(record.issued)));
    nodes_refusal(nodes, &stranger).await;
}

/// A node's agent whose name was registered in the same moment hears why it is not, is not found by others, and has the
/// name when its holder has given it back.
async fn nodes_refusal(nodes: &[Node], stranger: &Stranger) {
    let record = stranger.record("lamp", nodes[0].router().now());
    // Nobody is told of it: it stands in the bucket before the watches have brought it here.
    let bucket = bucket(&*nodes[0].ports().streams).await;
    let putting = bucket.put("lamp", stranger.signed(&record).into(), Expect::Absent, None);
    let (put, spawned) = tokio::join!(putting, nodes[1].spawn("lamp", || Idler));
    put.unwrap();
    if spawned.is_ok() {
        let refusal: Refusal = nodes[1].registered(&name("lamp")).await.unwrap_err();
        assert_eq!((refusal.code, refusal.holder), (RefusalCode::NameTaken, Some(stranger.id())));
        let is_mine = |(agent, at): &(AgentName, NodeId)| agent.as_str() == "lamp" && *at == nodes[1].id();
        until(|| !nodes[2].router().remote_agents().iter().any(is_mine)).await;
        let end = Registration { issued: UnixMillis(record.issued.0 + 1), ..record };
        say(&nodes[0], "unregistered", "lamp", stranger.signed_end(&end)).await;
        let stands =
            |known: &Registration| known.agent.name.as_str() == "lamp" && known.node == nodes[1].id();
        until(|| nodes.iter().all(|node| node.registrations().iter().any(|known| stands(known)))).await;
        assert!(nodes[1].registered(&name("lamp")).await.is_ok());
        until(|| nodes[2].router().remote_agents().contains(&(name("lamp"), nodes[1].id()))).await;
    }
}

pub(crate) async fn stopped(nodes: &[Node]) {
    for n in 0..30 {
        nodes[n % 2].spawn(&format!("agent-{n}"), || Idler).await.unwrap();
    }
    until(|| nodes.iter().all(|node| node.registrations().len() == 30)).await;
    let began = Instant::now();
    nodes[0].stop_agent("agent-0").await.unwrap();
    until(|| nodes.iter().all(|node| node.registrations().len() == 29)).await;
    println!("an agent that stopped was gone everywhere after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let began = Instant::now();
    nodes[0].stop().await;
    let took = began.elapsed();
    until(|| nodes[1..].iter().all(|node| node.registrations().len() == 15)).await;
    until(|| nodes[1..].iter().all(|node| node.nodes().len() == 1)).await;
    println!("those of a node that stopped, {:?} after it began, {took:?} of it the stop", began.elapsed());
    assert!(began.elapsed() - took < Duration::from_secs(1), "{:?} after {took:?}", began.elapsed());
    assert_eq!(keys_of(&*nodes[1].ports().streams).await.len(), 15);
}

pub(crate) async fn short_lives(nodes: &[Node]) {
    for n in 0..100 {
        let agent = format!("moth-{n}");
        nodes[0].spawn(&agent, || Idler).await.unwrap();
        if n % 10 == 0 {
            // This one was asked for when it goes; most are not.
            let asked = nodes[0].registration_counts().published;
            until(|| nodes[0].registration_counts().published > asked).await;
        }
        nodes[0].stop_agent(&agent).await.unwrap();
    }
    // What is registered after them is seen after them.
    nodes[0].spawn("last", || Idler).await.unwrap();
    nodes[1].registered(&name("last")).await.unwrap();
    until_keys(&*nodes[0].ports().streams, |keys| keys == ["last"]).await;
    until(|| nodes.iter().all(|node| node.registrations().len() == 1)).await;
}
