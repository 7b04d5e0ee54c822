//! `accepted = handled + dead-lettered + pending`: under everything at once, from a seed that a failure prints.

use std::time::Duration;

use connectome::prelude::*;
use connectome::{Accounts, Reason};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::probe::*;
use super::support::*;

/// Agents that the storm is about.
const AGENTS: u64 = 6;

/// Senders, each with as many messages.
const SENDERS: u64 = 8;
const MESSAGES: u64 = 100;

/// One message of a kind that the dice choose, for whoever they choose.
async fn one_message(node: &Node, dice: &mut StdRng) {
    let Ok(agent) = node.agent(&format!("agent-{}", dice.random_range(0..AGENTS))) else {
        return;
    };
    let within = Duration::from_micros(dice.random_range(0..3_000));
    match dice.random_range(0..100) {
        0..40 => drop(agent.cast(Add(1)).await),
        40..60 => drop(agent.call_within(within, Add(1)).await),
        60..65 => drop(agent.cast(Crash("in the storm".into())).await),
        65..70 => drop(agent.call_within(within, Crash("in the storm".into())).await),
        70..80 => {
            let pipes = work(|ctx| {
                Box::pin(async move {
                    ctx.pipe(async {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        Ok(0)
                    })
                })
            });
            drop(agent.call_within(within, pipes).await);
        }
        80..85 => {
            let panics = work(|ctx| Box::pin(async move { ctx.pipe(async { panic!("in a pipe") }) }));
            drop(agent.call_within(within, panics).await);
        }
        85..90 => {
            let slow = work(|_| {
                Box::pin(async {
                    tokio::time::sleep(Duration::from_micros(500)).await;
                    Err(HandlerError::new("no"))
                })
            });
            drop(agent.call_within(within, slow).await);
        }
        90..95 => {
            // A caller that goes away.
            let call = agent.call_within(Duration::from_secs(5), Add(1));
            drop(tokio::time::timeout(within, call).await);
        }
        _ => {
            let again = work(|ctx| Box::pin(async move { Ok(ctx.me().cast(Add(1)).await.map(|()| 0)?) }));
            drop(agent.call_within(within, again).await);
        }
    }
}

async fn start(node: &Node, number: u64) {
    let overflow = [Overflow::Block, Overflow::Fail, Overflow::DropOldest][(number % 3) as usize];
    let mailbox = MailboxConfig { capacity: 4, overflow, ..MailboxConfig::default() };
    let spec = AgentSpec::new(&format!("agent-{number}"), Plan::default().agent()).mailbox(mailbox);
    // It may run already, or be about to stop.
    node.spawn_with(spec).await.ok();
}

/// Stops agents and starts them again, while others crash more often than they may.
async fn stops_and_starts(node: Node, mut dice: StdRng) {
    for _ in 0..60 {
        let number = dice.random_range(0..AGENTS);
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..2_000))).await;
        if dice.random_bool(0.3) {
            node.stop_agent(&format!("agent-{number}")).await.ok();
        }
        start(&node, number).await;
    }
}

fn check(node: &Node, seed: u64) -> Accounts {
    let accounts = node.accounts();
    assert!(accounts.balance(), "seed {seed}: {accounts:?}");
    // A number that went below zero would be nearer to 2⁶⁴ than to anything that was sent.
    let most = 10 * SENDERS * MESSAGES;
    let Accounts { accepted, handled, dead_lettered, pending, .. } = accounts;
    assert!(
        [accepted, handled, dead_lettered, pending].iter().all(|count| *count < most),
        "seed {seed}: {accounts:?}"
    );
    accounts
}

/// One message from another node, of a kind that the dice choose.
async fn one_far_message(node: &Node, dice: &mut StdRng) {
    let Ok(agent) = node.agent(&format!("tester-{}", dice.random_range(0..2))) else {
        return;
    };
    let within = Duration::from_micros(dice.random_range(0..5_000));
    match dice.random_range(0..100) {
        0..30 => drop(agent.cast(Add(1)).await),
        30..60 => drop(agent.call_within(within, Add(1)).await),
        60..65 => drop(agent.call_within(within, Crash("in the storm".into())).await),
        65..75 => drop(agent.call_within(within, Later(1)).await),
        75..80 => drop(tokio::time::timeout(within, agent.call(Hang)).await),
        _ => {
            let Ok(mut numbers) = agent.stream_within(within, CountTo(100)).await else {
                return;
            };
            // Some readers go away in the middle.
            for _ in 0..dice.random_range(0..150) {
                if !matches!(numbers.next().await, Ok(Some(_))) {
                    return;
                }
            }
        }
    }
}

/// Nothing is pending once it is quiet, everything that was given up has a letter, and a stop changes neither.
async fn settle(node: &Node, seed: u64) {
    let quiet = tokio::time::timeout(Duration::from_secs(30), node.router().quiet()).await;
    assert!(quiet.is_ok(), "seed {seed}: never quiet: {:?}", node.accounts());
    let accounts = check(node, seed);
    assert_eq!(accounts.pending, 0, "seed {seed}");
    let letters = node.router().dead_letter_counts();
    let never_accepted = letters.get(&Reason::NoAgent).copied().unwrap_or_default();
    let letters: u64 = letters.values().sum();
    assert!(
        letters - never_accepted >= accounts.dead_lettered,
        "seed {seed}: {letters} letters, {accounts:?}"
    );
    node.stop().await;
    assert_eq!(check(node, seed).pending, 0, "seed {seed}");
}

async fn storm(seed: u64) {
    let node = node().await;
    for number in 0..AGENTS {
        start(&node, number).await;
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(stops_and_starts(node.clone(), StdRng::seed_from_u64(seed)));
    for sender in 0..SENDERS {
        let (node, mut dice) = (node.clone(), StdRng::seed_from_u64(seed * 1_000 + sender));
        tasks.spawn(async move {
            for _ in 0..MESSAGES {
                one_message(&node, &mut dice).await;
                check(&node, seed);
            }
        });
    }
    tasks.join_all().await;
    settle(&node, seed).await;
}

async fn storm_between_nodes(seed: u64) {
    let (one, two) = pair().await;
    for (number, overflow) in [Overflow::Block, Overflow::DropOldest].into_iter().enumerate() {
        let mailbox = MailboxConfig { capacity: 4, overflow, ..MailboxConfig::default() };
        let spec = AgentSpec::new(&format!("tester-{number}"), Tester::default).mailbox(mailbox);
        one.spawn_with(spec.stop_within(StopWithin::Kill)).await.unwrap();
        knows(&two, &format!("tester-{number}")).await;
    }
    let mut tasks = JoinSet::new();
    for sender in 0..SENDERS {
        let (one, two, mut dice) = (one.clone(), two.clone(), StdRng::seed_from_u64(seed * 1_000 + sender));
        tasks.spawn(async move {
            for _ in 0..MESSAGES / 2 {
                one_far_message(&two, &mut dice).await;
                check(&one, seed);
            }
        });
    }
    // A handler that hangs is freed by a stop and a start.
    let freed = one.clone();
    tasks.spawn(async move {
        for n in 0..40 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let name = format!("tester-{}", n % 2);
            freed.stop_agent(&name).await.ok();
            let spec = AgentSpec::new(&name, Tester::default).stop_within(StopWithin::Kill);
            freed.spawn_with(spec).await.ok();
        }
    });
    tasks.join_all().await;
    // Whoever still hangs has nobody waiting for it.
    for name in ["tester-0", "tester-1"] {
        one.stop_agent(name).await.ok();
    }
    settle(&one, seed).await;
    settle(&two, seed).await;
}

fn seeds() -> Vec<u64> {
    match std::env::var("CONNECTOME_SEED") {
        Ok(seed) => vec![seed.parse().expect("CONNECTOME_SEED is a number")],
        Err(_) => (1..=4).collect(),
    }
}

/// The accounts balance at every moment of a storm of crashes, deadlines, displacements, stops and starts, and nothing
/// is pending once it is quiet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_balance_in_a_storm() {
    for seed in seeds() {
        storm(seed).await;
    }
}

/// The same between two nodes, with streams whose readers go away and handlers that hang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_accounts_balance_between_nodes() {
    for seed in seeds() {
        storm_between_nodes(seed).await;
    }
}
