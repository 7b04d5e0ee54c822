//! Tasks over three processes that are killed and stopped at random: none is lost, none is completed twice, and a worker
//! that comes too late is refused and counted.
//!
//! `CHAOS=full cargo test -p connectome-tests chaos::tasks -- --nocapture --test-threads 1`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use connectome::codecs::{TaskRecord, TaskState, UnixMillis};
use connectome::prelude::*;
use connectome::{TaskCounts, tasks_bucket};
use futures_util::{StreamExt, stream};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::ledger::{Ledger, Speaker};
use super::office::PLACES;
use super::process::{Orders, Process};
use super::work::{CAN, Count, Run, Tally, WORKS, foreman, working};
use super::{TRY, dice, in_the_end, is_full, until};
use crate::support::nats::NatsServer;

/// How hard it is.
struct Plan {
    tasks: u64,
    kills: usize,
    stops: usize,
}

const SHORT: Plan = Plan { tasks: 600, kills: 6, stops: 4 };
const FULL: Plan = Plan { tasks: 10_000, kills: 60, stops: 30 };

/// Workers of each process.
const WORKERS: usize = 4;

/// Tasks that are waited for at a time.
const IN_FLIGHT: usize = 128;

/// More than one task is ever begun, whatever kills do: none fails for good.
const ATTEMPTS: u32 = 1_000;

/// How often progress is told.
const TELLINGS: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_is_lost_and_none_completed_twice() {
    let Plan { tasks, kills, stops } = if is_full() { FULL } else { SHORT };
    let mut dice = dice();
    let server = NatsServer::start();
    let mut shop = Shop::open(&server.url()).await;
    let began = Instant::now();

    // The first one's worker stops its process when it is done: others do it again, and it is refused.
    let first = shop.submit(tasks, true).await;
    shop.comes_too_late(tasks, first).await;

    let (done, progress) = watch::channel(0);
    let all = tokio::spawn(results(shop.node.clone(), tasks, done));
    let chaos = plan(&mut dice, tasks, kills, stops);
    shop.go_through(chaos, tasks, progress, began).await;
    let results = in_the_end("all tasks end", all).await.unwrap();
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{tasks} tasks in {seconds:.1} s, {:.0} a second; {kills} kills, {stops} stops",
        tasks as f64 / seconds
    );
    shop.audit(results).await;
}

/// Submits all of them, so many at a time, and waits for their results.
async fn results(node: Node, tasks: u64, done: watch::Sender<u64>) -> BTreeMap<u64, Run> {
    let one = async |number| {
        let run = result(&node, number, false).await;
        done.send_modify(|count| *count += 1);
        (number, run)
    };
    stream::iter(0..tasks).map(one).buffer_unordered(IN_FLIGHT).collect().await
}

/// Submits one, again under the same id if need be, and waits for its result.
async fn result(node: &Node, number: u64, stops: bool) -> Run {
    let submit = async || {
        node.submit(Submit::new(CAN, Count { number, stops }).id(id(number)).attempts(ATTEMPTS)).await
    };
    let handle = until("the queue takes it", submit).await;
    match handle.result().await {
        Ok(run) => run,
        Err(error) => panic!("task {number} has no result: {error}; {:?}", handle.record().await),
    }
}

fn id(number: u64) -> TaskId {
    TaskId::from_parts(UnixMillis(1_700_000_000_000), u128::from(number))
}

/// What is done to a process once so many tasks are done.
#[derive(Debug, Clone, Copy)]
enum Act {
    Kill(usize),
    Stop(usize),
    /// Whoever is stopped goes on.
    GoOn,
}

/// Acts in the order of their moments; the last of them is that whoever is stopped goes on.
fn plan(dice: &mut StdRng, tasks: u64, kills: usize, stops: usize) -> Vec<(u64, Act)> {
    let moment = |dice: &mut StdRng| dice.random_range(1..tasks * 9 / 10);
    let place = |dice: &mut StdRng| dice.random_range(0..PLACES.len());
    let mut acts: Vec<(u64, Act)> = (0..kills).map(|_| (moment(dice), Act::Kill(place(dice)))).collect();
    for _ in 0..stops {
        let begin = moment(dice);
        acts.push((begin, Act::Stop(place(dice))));
        acts.push((begin + dice.random_range(1..=tasks / 20), Act::GoOn));
    }
    acts.sort_by_key(|(moment, _)| *moment);
    acts.push((tasks * 9 / 10, Act::GoOn));
    acts
}

/// Three processes with workers, and whoever submits.
struct Shop {
    node: Node,
    ledger: Ledger,
    processes: Vec<Process>,
    stopped: BTreeSet<usize>,
    starts: usize,
    orders: Orders,
    completions: Arc<Mutex<BTreeMap<TaskId, Vec<u64>>>>,
    auditor: JoinHandle<()>,
    /// What processes had counted before they were killed.
    counted: Vec<TaskCounts>,
    _home: tempfile::TempDir,
}

impl Shop {
    async fn open(url: &str) -> Shop {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_str().expect("it is text").to_owned();
        let orders = Orders { part: WORKS, url: url.to_owned(), home, replicas: 1, agents: WORKERS };
        let node = Node::start(working("street", &orders)).await.unwrap();
        let completions = Arc::default();
        let auditor = tokio::spawn(note_completions(node.clone(), Arc::clone(&completions)));
        let mut shop = Shop {
            node,
            ledger: Ledger::new(),
            processes: Vec::new(),
            stopped: BTreeSet::new(),
            starts: 0,
            orders,
            completions,
            auditor,
            counted: Vec::new(),
            _home: directory,
        };
        for place in 0..PLACES.len() {
            let process = shop.start(place);
            shop.processes.push(process);
        }
        shop
    }

    fn start(&mut self, place: usize) -> Process {
        self.starts += 1;
        let by = Speaker { place: PLACES[place].to_owned(), start: self.starts };
        Process::start(by, &self.orders, None, &self.ledger)
    }

    /// Hands over one task whose first worker stops; its result comes from another one.
    async fn submit(&self, number: u64, stops: bool) -> JoinHandle<Run> {
        let node = self.node.clone();
        tokio::spawn(async move { result(&node, number, stops).await })
    }

    /// A worker whose process was stopped when it was done finds, going on, that another one has completed its task.
    async fn comes_too_late(&self, number: u64, result: JoinHandle<Run>) {
        let text = number.to_string();
        let did = self.ledger.find(0, |line| line.after("did").is_some_and(|words| words[0] == text));
        let late = in_the_end("a worker does it, and stops", did).await.by;
        let run = in_the_end("another one does it", result).await.unwrap();
        assert!(run.term > 1 && !run.worker.starts_with(&late.place), "{run:?} after {late}");
        let process = self.processes.iter().find(|process| process.by == late).expect("it was started");
        process.go_on();
        let refused = async || match self.tally(&late.place).await {
            Some(counts) if counts.refused_stale > 0 => Ok(()),
            other => Err(format!("{other:?}")),
        };
        until("the late completion is refused and counted", refused).await;
        println!("{late} completed task {number} too late, and was refused");
    }

    async fn tally(&self, place: &str) -> Option<TaskCounts> {
        self.node.agent(&foreman(place)).unwrap().call_within(TRY, Tally).await.ok()
    }

    async fn go_through(
        &mut self,
        acts: Vec<(u64, Act)>,
        tasks: u64,
        mut progress: watch::Receiver<u64>,
        began: Instant,
    ) {
        let tellings = (1..=TELLINGS).map(|telling| (telling * tasks / TELLINGS, None));
        let mut moments: Vec<_> =
            acts.into_iter().map(|(moment, act)| (moment, Some(act))).chain(tellings).collect();
        moments.sort_by_key(|(moment, _)| *moment);
        for (moment, act) in moments {
            in_the_end("tasks go on", progress.wait_for(|done| *done >= moment))
                .await
                .expect("they are counted");
            match act {
                Some(act) => self.act(act).await,
                None => {
                    let (passed, starts) = (began.elapsed(), self.starts);
                    let rate = moment as f64 / passed.as_secs_f64();
                    println!(
                        "{moment} of {tasks} tasks at {passed:.1?}, {rate:.0} a second; {starts} processes so far"
                    );
                }
            }
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Kill(place) => {
                if !self.stopped.remove(&place) {
                    self.counted.extend(self.tally(PLACES[place]).await);
                }
                self.processes[place].kill();
                self.processes[place] = self.start(place);
            }
            Act::Stop(place) if self.stopped.is_empty() => {
                self.processes[place].stop();
                self.stopped.insert(place);
            }
            // The others have the work of two already.
            Act::Stop(_) => {}
            Act::GoOn => {
                for place in std::mem::take(&mut self.stopped) {
                    self.processes[place].go_on();
                }
            }
        }
    }

    async fn audit(&mut self, results: BTreeMap<u64, Run>) {
        // A result may be here before what its worker said is read.
        let told = async || {
            let runs = self.runs();
            let is_told = |(number, _): (&u64, &Run)| runs.contains_key(number);
            if results.iter().all(is_told) { Ok(runs) } else { Err("not all") }
        };
        let runs = until("whoever did a task says so", told).await;
        for (number, run) in &results {
            let of_task =
                runs.get(number).unwrap_or_else(|| panic!("task {number}: nobody says that it did it"));
            let given = of_task.iter().filter(|(_, did)| did == run).count();
            assert_eq!(given, 1, "task {number}: its result is {run:?}; it was done by {of_task:?}");
            let terms: BTreeSet<u64> = of_task.iter().map(|(_, did)| did.term).collect();
            assert_eq!(terms.len(), of_task.len(), "task {number}: two did it under one term: {of_task:?}");
            let newest = terms.last().copied();
            assert_eq!(newest, Some(run.term), "task {number}: begun after it was completed: {of_task:?}");
        }
        self.completed_once(&results).await;
        for (number, run) in &results {
            let again = self.node.task::<Count>(id(*number)).result().await;
            assert_eq!(again.as_ref(), Ok(run), "task {number} still has the result that it had");
        }
        let again: usize = runs.values().map(|runs| runs.len() - 1).sum();
        println!(
            "audit: {} tasks completed once each; {again} runs more, of workers that died or came too late",
            results.len()
        );
        for place in PLACES {
            let tally = async || self.tally(place).await.ok_or("it does not");
            self.counted.push(until("a foreman answers", tally).await);
        }
        let counts = self.counted.iter().copied().fold(TaskCounts::default(), |sum, counts| sum + counts);
        println!("the processes counted, but for their last moments: {counts:?}");
        assert!(counts.refused_stale > 0);
        self.auditor.abort();
    }

    /// Who says that it did which task.
    fn runs(&self) -> BTreeMap<u64, Vec<(Speaker, Run)>> {
        let mut runs: BTreeMap<u64, Vec<(Speaker, Run)>> = BTreeMap::new();
        for line in self.ledger.since(0) {
            let Some([number, term, _, worker]) = line.after("did") else { continue };
            let (number, term) = (number.parse().unwrap(), term.parse().unwrap());
            let run = Run { number, term, worker: worker.clone() };
            runs.entry(number).or_default().push((line.by.clone(), run));
        }
        runs
    }

    /// Each record was written as completed once.
    async fn completed_once(&self, results: &BTreeMap<u64, Run>) {
        let seen = async || {
            let completions = self.completions.lock().unwrap();
            if results.keys().all(|number| completions.contains_key(&id(*number))) {
                Ok(())
            } else {
                Err("not all")
            }
        };
        until("the auditor has seen every completion", seen).await;
        for (task, revisions) in self.completions.lock().unwrap().iter() {
            assert_eq!(revisions.len(), 1, "task {task} was completed at revisions {revisions:?}");
        }
    }
}

/// Takes down each writing of a record as completed.
async fn note_completions(node: Node, completions: Arc<Mutex<BTreeMap<TaskId, Vec<u64>>>>) {
    let bucket = node.ports().streams.bucket(tasks_bucket()).await.unwrap();
    let mut watch = bucket.watch("").await.unwrap();
    loop {
        let entry = watch.next().await.unwrap();
        let Some(record) = entry.value.map(|value| TaskRecord::decode(&value).unwrap()) else { continue };
        if record.state == TaskState::Completed {
            completions.lock().unwrap().entry(record.id).or_default().push(entry.revision.0);
        }
    }
}
