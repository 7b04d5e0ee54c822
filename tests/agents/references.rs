//! Addresses and references: how an agent is found, and that a reference outlives what it refers to.

use std::collections::BTreeSet;

use connectome::prelude::*;

use super::probe::*;
use super::support::*;

/// Answers with a reference to itself, and its name.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "who", reply = Who)]
struct WhoAreYou;

#[derive(Serialize, Deserialize)]
struct Who {
    name: String,
    me: AgentRef,
}

struct Named;

impl Agent for Named {
    fn handles(table: &mut Table<Self>) {
        table.on::<WhoAreYou>();
    }
}

impl Handle<WhoAreYou> for Named {
    async fn handle(&mut self, _: WhoAreYou, ctx: &mut Context<'_>) -> Result<Who, HandlerError> {
        Ok(Who { name: ctx.name().to_string(), me: ctx.me() })
    }
}

/// A capability leads to everyone of this node who has it, and to other nodes when nobody here has.
#[tokio::test]
async fn a_capability_leads_to_everyone_who_has_it() {
    let (one, two) = pair().await;
    for (node, name) in [(&one, "a"), (&one, "b"), (&two, "c")] {
        node.spawn_with(AgentSpec::new(name, || Named).capability("tell")).await.unwrap();
    }
    knows(&one, "c").await;
    let able = one.agent("can:tell").unwrap();
    let mut heard = BTreeSet::new();
    for _ in 0..100 {
        heard.insert(able.call(WhoAreYou).await.unwrap().name);
    }
    assert!(heard.contains("a") && heard.contains("b"), "{heard:?}");
    one.stop_agent("a").await.unwrap();
    one.stop_agent("b").await.unwrap();
    for _ in 0..20 {
        assert_eq!(able.call(WhoAreYou).await.unwrap().name, "c");
    }
}

/// An id leads to its agent, here and from another node.
#[tokio::test]
async fn an_id_leads_to_its_agent() {
    let (one, two) = pair().await;
    one.spawn("agent", || Named).await.unwrap();
    knows(&two, "agent").await;
    let id = one.ports().keys.agent_id(&"agent".parse().unwrap()).unwrap();
    for node in [&one, &two] {
        let agent = node.agent(&Address::Id(id).to_string()).unwrap();
        assert_eq!(agent.call(WhoAreYou).await.unwrap().name, "agent");
    }
}

/// A reference in an answer is bound to the node that reads it, near and far.
#[tokio::test]
async fn a_reference_in_an_answer_is_bound() {
    let (one, two) = pair().await;
    one.spawn("agent", || Named).await.unwrap();
    knows(&two, "agent").await;
    for node in [&one, &two] {
        let who = node.agent("agent").unwrap().call(WhoAreYou).await.unwrap();
        assert_eq!(who.me.call(WhoAreYou).await.unwrap().name, "agent");
    }
}

/// A reference is valid over a restart, a stop and a new start under its name, and a move to another node.
#[tokio::test]
async fn a_reference_outlives_what_it_refers_to() {
    let (one, two) = pair().await;
    let agent = probe(&one, "agent").await;
    agent.call(Crash("boom".into())).await.unwrap_err();
    assert_eq!(agent.call(Add(1)).await.unwrap(), 1);

    one.stop_agent("agent").await.unwrap();
    assert!(matches!(agent.call(Add(2)).await, Err(CallError::NoAgent(_))));
    probe(&one, "agent").await;
    assert_eq!(agent.call(Add(3)).await.unwrap(), 3);

    knows(&two, "agent").await;
    one.stop_agent("agent").await.unwrap();
    until(|| two.router().remote_agents().is_empty()).await;
    probe(&two, "agent").await;
    knows(&one, "agent").await;
    assert_eq!(agent.call(Add(4)).await.unwrap(), 4);
    assert_eq!(two.agent("agent").unwrap().call(Seen).await.unwrap(), [4]);
}

/// A name is taken once in a cluster, and free again after its agent has stopped.
#[tokio::test]
async fn a_name_is_taken_once() {
    let (one, two) = pair().await;
    probe(&one, "agent").await;
    let again = one.spawn("agent", Plan::default().agent()).await.unwrap_err();
    assert!(again.to_string().contains("runs already"), "{again}");
    knows(&two, "agent").await;
    let elsewhere = two.spawn("agent", Plan::default().agent()).await.unwrap_err();
    assert!(elsewhere.to_string().contains("is taken"), "{elsewhere}");
    one.stop_agent("agent").await.unwrap();
    until(|| two.router().remote_agents().is_empty()).await;
    probe(&two, "agent").await;
}

/// Two nodes in one process share nothing: the same names, and other agents behind them.
#[tokio::test]
async fn two_nodes_share_nothing() {
    let (one, two) = (node().await, node().await);
    let (here, there) = (probe(&one, "agent").await, probe(&two, "agent").await);
    here.call(Add(1)).await.unwrap();
    there.call(Crash("only there".into())).await.unwrap_err();
    assert_eq!(here.call(Seen).await.unwrap(), [1]);
    assert_eq!(there.call(Seen).await.unwrap(), Vec::<u64>::new());
    assert!(one.dead_letters().is_empty());
    assert!(one.nodes().is_empty() && two.nodes().is_empty());
    two.stop().await;
    assert_eq!(here.call(Add(2)).await.unwrap(), 2);
    assert_eq!(one.accounts().handled, 3);
}
