//! The two kinds of runtime that actors are run on.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime that has several: what a small machine has, and the same on every other.
const WORKERS: usize = 2;

/// What a deadline is where the peer can have one: ours is 5 s too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Both kinds, each with its name.
pub(crate) fn both() -> [(&'static str, Rc<Runtime>); 2] {
    [("2 threads", Rc::new(threads())), ("1 thread", Rc::new(one_thread()))]
}

pub(crate) fn threads() -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.expect("the machine gives a process its threads")
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the machine gives a process its timers")
}

/// Runs a future as a task: on the threads of the runtime, where actors run too, and not beside them.
pub(crate) fn run<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(async move { tokio::spawn(work).await.expect("nothing that is measured here panics") })
}
