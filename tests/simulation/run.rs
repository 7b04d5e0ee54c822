//! One seed from beginning to end: a cluster at work, twenty seconds of trouble, then peace.

use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connectome::codecs::identity::{Suite, Suites};
use connectome::codecs::session::{Policy, Signatures};
use connectome::protocol::Dice;
use connectome::sim::{Sim, SimConfig, Trouble};
use connectome::{Agent, AgentSpec, Node, NodeOptions, Planted, RouterConfig};

use super::agents::{Counter, Ledger, Worker};
use super::checks;
use super::client::Client;
use super::witness::{PERIOD, Witness};

/// What an agent panics with when it is told to.
pub(super) const CRASH: &str = "crashed as it was told";

/// How long trouble lasts.
const TROUBLE: Duration = Duration::from_secs(20);

/// After so much virtual time without trouble all nodes know each other and their agents again.
const VIEWS_WITHIN: Duration = Duration::from_secs(10);

/// After so much all work has drained: what a node had been given when it died is given again after 60 seconds.
const DRAINED_WITHIN: Duration = Duration::from_secs(90);

/// What became of a seed.
pub(super) struct Outcome {
    pub(super) problems: Vec<String>,
    pub(super) log: String,
    pub(super) events: u64,
    pub(super) tasks: usize,
    pub(super) calls: u64,
    pub(super) sends: usize,
    pub(super) lives: u64,
}

/// Plays one seed.
pub(super) fn run(seed: u64) -> Outcome {
    run_with(seed, None)
}

/// Plays one seed with a bug.
pub(super) fn run_with(seed: u64, planted: Option<Planted>) -> Outcome {
    quiet_crashes();
    let witness = Witness::default();
    let mut sim = cluster(seed, planted, &witness);
    let mut problems = play(&mut sim, &witness).unwrap_or_else(|error| vec![error.to_string()]);
    problems.dedup();
    for problem in &problems {
        sim.note(format!("WRONG: {problem}"));
    }
    let lives = sim.names().iter().map(|name| sim.lives(name)).sum();
    let seen = witness.seen();
    Outcome {
        problems,
        log: sim.log(),
        events: sim.events(),
        tasks: seen.submitted.len(),
        calls: seen.calls,
        sends: seen.sent.values().map(Vec::len).sum(),
        lives,
    }
}

fn cluster(seed: u64, planted: Option<Planted>, witness: &Witness) -> Sim {
    let router = RouterConfig {
        task_lease: Duration::from_secs(2),
        task_attempt_max: Duration::from_secs(6),
        planted,
        sealing: sealing(seed),
        ..RouterConfig::default()
    };
    let node = NodeOptions { router, ..NodeOptions::default() };
    let tick = Duration::from_millis(5);
    let mut sim = Sim::new(SimConfig { seed, tick, node, ..SimConfig::default() });
    let places: Vec<String> = ["a", "b", "c", "d", "e"][..3 + Dice::new(seed).below(3) as usize]
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    for place in &places {
        declare(&mut sim, place, &places, witness);
    }
    sim
}

/// One seed in eight pays for all that a node does by default. What it costs to sign each message and to agree on secrets in two
/// ways is most of what a seed costs, and no decision depends on it.
fn sealing(seed: u64) -> Policy {
    let usual = RouterConfig::default().sealing;
    if seed.is_multiple_of(8) {
        return usual;
    }
    Policy { suites: Suites::of(&[Suite::Classic]), signatures: Signatures::Checkpoint, ..usual }
}

fn declare(sim: &mut Sim, place: &str, places: &[String], witness: &Witness) {
    let lives = Arc::new(AtomicU64::new(0));
    let (place, places, witness) = (place.to_owned(), places.to_owned(), witness.clone());
    sim.node(&place.clone(), move |node| {
        let life = lives.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{place}.{life}");
        let (place, witness) = (place.clone(), witness.clone());
        let client = Client {
            node: node.clone(),
            name: name.clone(),
            places: places.clone(),
            witness: witness.clone(),
        };
        async move {
            let (seen, at) = (witness.clone(), name.clone());
            let ledger = move || Ledger { notes: Vec::new(), witness: seen.clone(), place: at.clone() };
            node.spawn(&format!("ledger-{place}"), ledger.clone()).await?;
            let seen = witness.clone();
            let counter = move || Counter { total: 0, witness: seen.clone(), place: name.clone() };
            node.spawn(&format!("counter-{place}"), counter.clone()).await?;
            for name in &client.places {
                node.offer(&format!("shared-{name}"), ledger.clone()).await?;
            }
            tokio::spawn(keep(node.clone(), format!("ledger-{place}"), ledger));
            tokio::spawn(keep(node.clone(), format!("counter-{place}"), counter));
            let worker = move || Worker { witness: witness.clone() };
            node.spawn_with(AgentSpec::new(&format!("worker-{place}"), worker).capability("work")).await?;
            client.begin();
            Ok(())
        }
    });
}

/// What whoever set an agent up does when it was given up: waits out the period of its restarts, and starts it again. The
/// clients crash agents so often that some need more restarts than their intensity allows.
async fn keep<A: Agent>(node: Node, name: String, make: impl Fn() -> A + Clone + Send + Sync + 'static) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !node.agents().iter().any(|agent| agent.as_str() == name) {
            tokio::time::sleep(PERIOD).await;
            // The name may be taken for a moment still; then there is a next time.
            drop(node.spawn(&name, make.clone()).await);
        }
    }
}

fn play(sim: &mut Sim, witness: &Witness) -> Result<Vec<String>, connectome::sim::SimError> {
    sim.run_for(Duration::from_secs(5))?;
    sim.trouble_for(TROUBLE, &Trouble::default())?;
    witness.close();
    sim.run_until(VIEWS_WITHIN, |sim| checks::registries(sim).is_empty())?;
    let views = checks::registries(sim);
    if !views.is_empty() {
        return Ok(views);
    }
    let end = sim.elapsed() + DRAINED_WITHIN;
    loop {
        let problems = checks::problems(sim, witness);
        if problems.is_empty() || sim.elapsed() >= end {
            return Ok(problems);
        }
        sim.run_for(Duration::from_secs(2))?;
    }
}

/// A crash on purpose needs no backtrace; any other panic is told as ever.
fn quiet_crashes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload().downcast_ref::<String>().is_none_or(|text| text != CRASH) {
                tell(panic);
            }
        }));
    });
}
