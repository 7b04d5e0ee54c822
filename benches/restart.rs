//! From a crash to the next answer: how long a caller notices that its agent died.

mod ours;
mod ractor;
mod task;

use std::rc::Rc;
use std::time::Instant;

use tokio::runtime::Runtime;

use crate::harness::{Group, Unit, percentile};
use crate::runtimes::{run, threads};

/// Crashes of one turn, each of another actor: the first restart is immediate, later ones are spaced out on purpose.
const CRASHES: usize = 200;

const NOTE: &str = "\
Timed from the message that panics to the next answer, once per actor. By hand: a ractor supervisor that publishes the
  next reference; a task that is spawned again over the same channel. Both know one child, and nothing of back-off.";

/// Something that comes back after a panic.
trait Phoenix: Sized + Send + Sync + 'static {
    const NAME: &'static str;

    /// What several of them live in.
    type Nest: Send;

    fn nest() -> impl Future<Output = Self::Nest> + Send;

    fn hatch(nest: &mut Self::Nest, number: usize) -> impl Future<Output = Self> + Send;

    /// Panics, and asks until there is an answer.
    fn crash_and_ask(&mut self) -> impl Future<Output = u64> + Send;

    fn clear(nest: Self::Nest) -> impl Future<Output = ()> + Send;
}

pub(crate) fn groups() -> Vec<Group> {
    let runtime = Rc::new(threads());
    [50, 99].map(|percent| group(&runtime, percent)).into()
}

fn group(runtime: &Rc<Runtime>, percent: usize) -> Group {
    Group::new(format!("crash to the next answer, p{percent}"), Unit::Nanoseconds, NOTE)
        .way(ours::Ours::NAME, crashes::<ours::Ours>(runtime, percent))
        .way(ractor::Ractor::NAME, crashes::<ractor::Ractor>(runtime, percent))
        .way(task::Task::NAME, crashes::<task::Task>(runtime, percent))
}

fn crashes<P: Phoenix>(runtime: &Rc<Runtime>, percent: usize) -> impl FnMut() -> f64 + 'static {
    let runtime = runtime.clone();
    move || percentile(&run(&runtime, crash_each::<P>()), percent)
}

async fn crash_each<P: Phoenix>() -> Vec<f64> {
    let mut nest = P::nest().await;
    let mut times = Vec::with_capacity(CRASHES);
    for number in 0..CRASHES {
        let mut phoenix = P::hatch(&mut nest, number).await;
        let began = Instant::now();
        phoenix.crash_and_ask().await;
        times.push(began.elapsed().as_nanos() as f64);
    }
    P::clear(nest).await;
    times.sort_by(f64::total_cmp);
    times
}
