//! `connectome status`: how the running nodes of a cluster are, asked over NATS.

use std::time::Duration;

use connectome::metrics::Status;

use crate::args::StatusCommand;
use crate::doc::{Doc, Table};
use crate::failure::Failure;

pub(crate) fn run(command: &StatusCommand, json: bool) -> Result<Doc, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(format!("the operating system refused a timer: {error}")))?;
    let mut statuses = runtime.block_on(ask(command))?;
    if let Some(name) = &command.node {
        statuses.retain(|status| status.metrics.name == *name || status.metrics.node.to_string() == *name);
    }
    if statuses.is_empty() {
        let waited = command.wait_ms;
        return Err(Failure::new(format!(
            "no node answered within {waited} ms: see that nats.url and namespace are those of the nodes, and that they run"
        )));
    }
    let doc = if json { Doc::tree(&statuses) } else { shown(&statuses, command.node.is_some()) };
    match statuses.iter().filter(|status| !status.health.ready).count() {
        0 => Ok(doc),
        _ if !command.check => Ok(doc),
        unready => {
            Err(Failure::new(format!("{unready} of {} nodes are not ready", statuses.len())).with(doc))
        }
    }
}

#[cfg(feature = "nats")]
async fn ask(command: &StatusCommand) -> Result<Vec<Status>, Failure> {
    use connectome::transport::nats::NatsConnection;

    let config = command.config.load()?;
    let Some(options) = config.nats.connection("connectome command")? else { return Err(alone()) };
    let connection = NatsConnection::open(&options).await?;
    Ok(connection.statuses(&config.namespace, Duration::from_millis(command.wait_ms)).await?)
}

#[cfg(not(feature = "nats"))]
async fn ask(_: &StatusCommand) -> Result<Vec<Status>, Failure> {
    Err(alone())
}

fn alone() -> Failure {
    Failure::new(
        "no NATS servers are configured, and a node on its own can't be asked: name them with --set nats.url=..., or let the \
         node log its status with --set log.status_every=10s",
    )
}

fn shown(statuses: &[Status], whole: bool) -> Doc {
    let mut parts = vec![("nodes", nodes(statuses)), ("causes", causes(statuses))];
    if whole {
        parts.extend([("streams", streams(statuses)), ("parts", tree(statuses))]);
    }
    Doc::Record(parts)
}

fn nodes(statuses: &[Status]) -> Doc {
    let row = |status: &Status| {
        let metrics = &status.metrics;
        let backlog =
            metrics.streams.iter().filter_map(|stream| stream.kept.as_ref()).map(|kept| kept.backlog);
        vec![
            Doc::text(&metrics.name),
            Doc::text(status.health.state.as_str()),
            Doc::Number(metrics.agents.here as u64),
            Doc::Number(metrics.agents.accounts.handled),
            Doc::Number(metrics.agents.accounts.pending),
            Doc::Number(backlog.sum()),
            Doc::text(format!("{:.1}/s", metrics.tasks.completed_per_second)),
            Doc::maybe(metrics.connection.map(|connection| connection.figures.connected)),
            Doc::text(metrics.node),
        ]
    };
    let columns = &["name", "state", "agents", "handled", "pending", "backlog", "tasks", "connects", "node"];
    let rows = statuses.iter().map(row).collect();
    Doc::Table(Table { columns, shown: 9, rows, empty: "none" })
}

fn causes(statuses: &[Status]) -> Doc {
    let of_node = |status: &Status| {
        let name = status.metrics.name.clone();
        let causes = status.health.causes.clone().into_iter();
        causes.map(move |cause| vec![Doc::text(&name), Doc::text(cause.what), Doc::text(cause.remedy)])
    };
    let rows = statuses.iter().flat_map(of_node).collect();
    Doc::Table(Table { columns: &["node", "what", "remedy"], shown: 3, rows, empty: "nothing is wrong" })
}

fn streams(statuses: &[Status]) -> Doc {
    let of_node = |status: &Status| {
        let streams = status.metrics.streams.clone().into_iter();
        streams.map(|stream| {
            let kept = stream.kept.unwrap_or_default();
            vec![
                Doc::Text(stream.name),
                Doc::Number(kept.messages),
                Doc::Number(kept.bytes),
                Doc::Number(kept.backlog),
                Doc::text(format!("{:.1}/s", stream.published.per_second)),
                Doc::text(format!("{} / {} us", stream.publish.p50_us, stream.publish.p99_us)),
                Doc::text(format!("{:.1}/s", stream.delivered.per_second)),
                Doc::Number(stream.redelivered.total),
            ]
        })
    };
    let columns =
        &["name", "messages", "bytes", "backlog", "published", "p50_and_p99", "delivered", "redelivered"];
    Doc::Table(Table { columns, shown: 8, rows: statuses.iter().flat_map(of_node).collect(), empty: "none" })
}

fn tree(statuses: &[Status]) -> Doc {
    let below = statuses.iter().filter_map(|status| status.tree.as_ref()).flat_map(|tree| tree.all());
    let rows = below.map(|(path, branch)| {
        let state = format!("{:?}", branch.state).to_lowercase();
        vec![
            Doc::text(path),
            Doc::text(state),
            Doc::Number(branch.restarts),
            Doc::Number(branch.count as u64),
        ]
    });
    let columns = &["part", "state", "restarts", "children"];
    Doc::Table(Table { columns, shown: 4, rows: rows.collect(), empty: "none" })
}
