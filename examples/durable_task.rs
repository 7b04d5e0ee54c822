//! Work that outlives its workers: a node is killed in the middle of a task, another one does it again, and the
//! results are still there when the whole cluster is gone.

use std::time::Duration;

use connectome::port::Start;
use connectome::prelude::*;
use connectome::{EventFilter, LocalCluster, NodeOptions};

#[derive(Message, Serialize, Deserialize)]
#[message(name = "square", reply = u64)]
struct Square(u64);

#[derive(Agent, Clone)]
#[agent(handles(Square))]
struct Worker {
    stuck_at: Option<u64>,
}

impl Handle<Square> for Worker {
    async fn handle(&mut self, Square(n): Square, ctx: &mut Context<'_>) -> Result<u64, HandlerError> {
        match self.stuck_at {
            Some(stuck_at) if n == stuck_at => ctx.pipe(std::future::pending()),
            Some(_) | None => Ok(n * n),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let cluster = LocalCluster::on_disk(directory.path(), options())?;
    let desk = cluster.start("desk").await?;
    let mut tasks = Vec::new();
    for n in 1..=5 {
        tasks.push(desk.submit(Submit::new("square", Square(n))).await?);
    }

    let third = about(EventType::TaskAssigned, tasks[2].id());
    let mut assigned = desk.listen(third, Start::New).await?;
    let doomed = cluster.start("doomed").await?;
    doomed.spawn_with(worker("first", Some(3))).await?;
    assigned.next().await?;
    cluster.kill("doomed");
    println!("a node was killed in the middle of task 3");

    let spare = cluster.start("spare").await?;
    spare.spawn_with(worker("second", None)).await?;
    for (n, task) in (1..).zip(&tasks) {
        let done = about(EventType::TaskCompleted, task.id());
        let heard = desk.listen(done, Start::First).await?.next().await?;
        if let Fact::TaskCompleted(done) = heard.event.fact {
            let (result, worker, attempt) = (task.result().await?, done.worker, done.attempt);
            println!("task {n}: {result}, by the {worker} worker, attempt {attempt}");
        }
    }
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id()).collect();
    cluster.stop().await;
    drop((tasks, assigned, desk, doomed, spare, cluster));

    let reopened = LocalCluster::on_disk(directory.path(), options())?;
    let archivist = reopened.start("archivist").await?;
    for id in ids {
        println!("kept: {}", archivist.task::<Square>(id).result().await?);
    }
    Ok(reopened.stop().await)
}

fn worker(name: &str, stuck_at: Option<u64>) -> AgentSpec<Worker> {
    AgentSpec::new(name, move || Worker { stuck_at }).capability("square")
}

/// A worker that is not heard of for a second has lost its task.
fn options() -> NodeOptions {
    let mut options = NodeOptions::default();
    options.router.task_lease = Duration::from_secs(1);
    options
}

fn about(event: EventType, task: TaskId) -> EventFilter {
    EventFilter::default().of(event).about(task)
}
