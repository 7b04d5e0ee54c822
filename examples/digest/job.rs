//! The job: every document counted, then every document digested, each by a task that some worker does once.
//!
//! A task's id is made of the corpus and its place in it, so a job that was interrupted goes on where it was: what is
//! done is answered from the store, and is not done again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use connectome::codecs::{Sequence, TaskId, UnixMillis};
use connectome::prelude::*;
use connectome::{EventFilter, TaskHandle};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::analysis::DocumentDigest;
use crate::corpus::Corpus;
use crate::crew::{Crew, Failure};
use crate::fingerprint::Fingerprint;
use crate::messages::{Count, Counted, Digest, Digested, ReadDigests};
use crate::progress::Progress;
use crate::worker::CAPABILITY;

/// Tasks submitted and not yet answered at a time: enough for every worker of three nodes, few enough in memory.
const AHEAD: usize = 64;

/// What came of it.
pub struct Outcome {
    pub digests: Vec<DocumentDigest>,
    /// Results that arrived a second time.
    pub twice: usize,
    /// Tasks without a result.
    pub lost: usize,
}

pub struct Job<'a> {
    pub crew: &'a Crew,
    pub corpus: &'a Corpus,
    pub progress: &'a Progress,
    pub kill: bool,
    pub killed: AtomicBool,
}

impl Job<'_> {
    /// Both phases. A node is killed halfway.
    pub async fn run(&self) -> Result<Outcome, Failure> {
        let tasks = 2 * self.corpus.documents.len();
        let (done, twice) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let fingerprint = self.corpus.fingerprint();
        self.progress.begin("counting terms", tasks);
        stream::iter(self.corpus.documents.iter())
            .map(|document| async {
                let id = task_id(fingerprint, 1, document.index);
                let counts = self.do_task(id, Count { document: document.clone() }).await?;
                let news = self.crew.editor()?.call(Counted { index: document.index, counts }).await?;
                self.done(&done, &twice, news, tasks).await;
                Ok::<(), Failure>(())
            })
            .buffer_unordered(AHEAD)
            .try_collect::<()>()
            .await?;
        self.progress.phase("digesting");
        stream::iter(self.corpus.documents.iter())
            .map(|document| async {
                let id = task_id(fingerprint, 2, document.index);
                let digest = self
                    .do_task(
                        id,
                        Digest { documents: self.corpus.documents.len(), document: document.clone() },
                    )
                    .await?;
                let news = self.crew.editor()?.call(Digested { digest }).await?;
                self.done(&done, &twice, news, tasks).await;
                Ok::<(), Failure>(())
            })
            .buffer_unordered(AHEAD)
            .try_collect::<()>()
            .await?;
        let digests = self.read_digests().await?;
        let lost = tasks - done.load(Ordering::Relaxed);
        Ok(Outcome { digests, twice: twice.load(Ordering::Relaxed) + self.completed_twice().await?, lost })
    }

    async fn do_task<M: Message>(&self, id: TaskId, message: M) -> Result<M::Reply, Failure> {
        let task: TaskHandle<M> = self.crew.office().submit(Submit::new(CAPABILITY, message).id(id)).await?;
        Ok(task.result().await?)
    }

    async fn done(&self, done: &AtomicUsize, twice: &AtomicUsize, news: bool, tasks: usize) {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        twice.fetch_add(usize::from(!news), Ordering::Relaxed);
        let counts = self.crew.counts();
        self.progress.step(done, self.crew.panics(), counts.redelivered, self.crew.nodes());
        if self.kill && self.is_time_to_kill(done, tasks) && !self.killed.swap(true, Ordering::Relaxed) {
            let node = self.crew.kill_one();
            self.progress
                .note(&format!("node {node} was killed without warning; its tasks will be taken over"));
        }
    }

    /// Halfway, and at a moment when the node has something to lose; should there be none, shortly before the end.
    fn is_time_to_kill(&self, done: usize, tasks: usize) -> bool {
        (2 * done >= tasks && self.crew.doomed_in_hand() > 0) || 10 * done >= 9 * tasks
    }

    async fn read_digests(&self) -> Result<Vec<DocumentDigest>, Failure> {
        let mut digests = Vec::new();
        let mut all = self.crew.editor()?.stream(ReadDigests).await?;
        while let Some(digest) = all.next().await? {
            digests.push(digest);
        }
        Ok(digests)
    }

    /// The same asked of the cluster's own record: tasks whose completion was accepted more than once.
    async fn completed_twice(&self) -> Result<usize, Failure> {
        let completed = EventFilter::default().of(EventType::TaskCompleted);
        let mut times: BTreeMap<TaskId, usize> = BTreeMap::new();
        for heard in self.crew.office().event_history(&completed, Sequence(1), usize::MAX).await? {
            if let Fact::TaskCompleted(completed) = heard.event.fact {
                *times.entry(completed.task).or_default() += 1;
            }
        }
        Ok(times.values().filter(|times| **times > 1).count())
    }
}

fn task_id(corpus: Fingerprint, phase: u64, index: usize) -> TaskId {
    let random = (u128::from(u64::from_be_bytes(corpus.to_bytes())) << 16)
        ^ (index as u128) << 1
        ^ u128::from(phase & 1);
    TaskId::from_parts(UnixMillis(phase), random)
}
