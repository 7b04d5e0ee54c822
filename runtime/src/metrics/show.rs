//! A status in one line, for logs.

use super::health::HealthState;
use super::snapshot::{Metrics, Status, StreamMetrics};

impl Status {
    /// Everything that matters in one line: how well, how much, how fast, and what is wrong.
    pub fn line(&self) -> String {
        let Metrics { agents, tasks, nodes_up, connection, streams, .. } = &self.metrics;
        let accounts = &agents.accounts;
        let mut parts = vec![
            self.health.state.as_str().to_owned(),
            format!("{} agents, {nodes_up} other nodes", agents.here),
            format!(
                "{} messages handled, {} pending, {} dead",
                accounts.handled, accounts.pending, accounts.dead_lettered
            ),
            format!("{:.1} tasks/s", tasks.completed_per_second),
        ];
        parts.extend(connection.map(|connection| match connection.figures.up {
            true => format!("connected {} times", connection.figures.connected),
            false => "not connected".to_owned(),
        }));
        parts.extend(streams.iter().filter(|stream| stream.published.total > 0).map(of_stream));
        parts.extend(self.health.causes.iter().map(|cause| format!("{}: {}", cause.what, cause.remedy)));
        parts.join("; ")
    }
}

fn of_stream(stream: &StreamMetrics) -> String {
    let waiting = stream.kept.as_ref().map_or(0, |kept| kept.messages);
    let (rate, p99) = (stream.published.per_second, stream.publish.p99_us);
    format!("{} {waiting} kept, {rate:.1}/s, p99 {p99} us", stream.name)
}

impl HealthState {
    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthState::Well => "well",
            HealthState::Degraded => "degraded",
            HealthState::NotReady => "not ready",
            HealthState::NotLive => "not live",
        }
    }
}
