//! Many seeds, on as many threads as there are processors: a simulation is one thread and shares nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::run::{Outcome, run};

/// Seeds that are tried unless `SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

fn wanted(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Whatever happens to nodes, network and store: what was promised holds in the end.
#[test]
fn promises_hold_under_every_seed() {
    if let Some(seed) = wanted("SIM_SEED") {
        return replay(seed);
    }
    let (began, seeds) = (Instant::now(), wanted("SIM_SEEDS").unwrap_or(SEEDS));
    let first = wanted("SIM_FROM").unwrap_or(1);
    let outcomes = in_parallel(first..first + seeds);
    let events: u64 = outcomes.iter().map(|(_, outcome)| outcome.events).sum();
    let lives: u64 = outcomes.iter().map(|(_, outcome)| outcome.lives).sum();
    let tasks: usize = outcomes.iter().map(|(_, outcome)| outcome.tasks).sum();
    let sends: usize = outcomes.iter().map(|(_, outcome)| outcome.sends).sum();
    let calls: u64 = outcomes.iter().map(|(_, outcome)| outcome.calls).sum();
    let took = began.elapsed().as_secs_f64();
    println!("{seeds} seeds in {took:.1} s, {:.1} a second", seeds as f64 / took);
    println!("{events} events, {lives} lives of nodes, {tasks} tasks, {sends} sends, {calls} calls");
    let failed: Vec<_> = outcomes.iter().filter(|(_, outcome)| !outcome.problems.is_empty()).collect();
    for (seed, outcome) in &failed {
        println!("seed {seed}: {}", outcome.problems.join("\n    "));
        println!(
            "  replay with: SIM_SEED={seed} cargo test -p connectome-tests simulation::seeds -- --nocapture"
        );
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds failed", failed.len());
}

fn replay(seed: u64) {
    let outcome = run(seed);
    println!("{}", outcome.log);
    assert!(outcome.problems.is_empty(), "seed {seed}:\n    {}", outcome.problems.join("\n    "));
}

/// Plays seeds on all processors.
fn in_parallel(seeds: std::ops::Range<u64>) -> Vec<(u64, Outcome)> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end);
        let lean = |seed| (seed, Outcome { log: String::new(), ..run(seed) });
        std::iter::from_fn(take).map(lean).collect::<Vec<_>>()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("a run reports, it does not panic"))
            .collect()
    });
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes
}
