//! Asking the running nodes of a namespace how they are, and answering: one request, an answer from each node.
//!
//! The subject is `<namespace>.status`, the answer the JSON of a [`Status`]; an empty request is enough, so the tools of NATS
//! can ask too. Whoever may publish there may know all figures; what agents say to each other is not among them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::connection::NatsConnection;
use super::options::NatsError;
use super::subjects::Subjects;
use crate::metrics::Status;
use crate::transport::looped::{Attended, Run};

/// Nodes that are heard at the most: more than a cluster has.
const NODES_MAX: usize = 1_000;

/// Where a namespace is asked.
fn subject(namespace: &str) -> Result<String, NatsError> {
    // Checks the word.
    Subjects::new(namespace).map(|_| format!("{namespace}.status"))
}

/// Answers with what `say` gives, one request after the other: a flood of them costs others nothing.
pub(crate) fn answering(
    connection: &NatsConnection,
    namespace: &str,
    say: impl Fn() -> BoxFuture<'static, Bytes> + Send + Sync + 'static,
) -> Result<Attended, NatsError> {
    let (client, subject, say) = (connection.client().clone(), subject(namespace)?, Arc::new(say));
    Ok(Attended::start("status", move |_: Run<'_>| {
        let (client, subject, say) = (client.clone(), subject.clone(), Arc::clone(&say));
        async move {
            let asked = client.subscribe(subject).await;
            let mut asked = asked.map_err(|error| format!("nobody can ask for the status: {error}"))?;
            while let Some(request) = asked.next().await {
                if let Some(reply) = request.reply {
                    // Whoever asked may have gone, and asks again if not.
                    drop(client.publish(reply, say().await).await);
                }
            }
            Err("the NATS connection was closed".to_owned())
        }
        .boxed()
    }))
}

impl NatsConnection {
    /// How the nodes of a namespace are: one status from each that answers within `patience`, sorted by name.
    ///
    /// # Errors
    /// [`NatsError::Namespace`]; [`NatsError::Subjects`] when the server does not let us ask.
    pub async fn statuses(&self, namespace: &str, patience: Duration) -> Result<Vec<Status>, NatsError> {
        let subject = subject(namespace)?;
        let refused = |problem: String| NatsError::Subjects { subjects: subject.clone(), problem };
        let inbox = self.client().new_inbox();
        let answers = self.client().subscribe(inbox.clone()).await;
        let mut answers = answers.map_err(|error| refused(error.to_string()))?;
        let asked = self.client().publish_with_reply(subject.clone(), inbox, Bytes::new()).await;
        asked.map_err(|error| refused(error.to_string()))?;
        let (end, mut statuses) = (Instant::now() + patience, Vec::new());
        while statuses.len() < NODES_MAX
            && let Ok(Some(answer)) = timeout_at(end, answers.next()).await
        {
            if answer.status.is_some() {
                break;
            }
            match serde_json::from_slice::<Status>(&answer.payload) {
                Ok(status) => statuses.push(status),
                Err(error) => {
                    tracing::warn!(%error, "a node's status can't be read: it is of another version")
                }
            }
        }
        statuses.sort_by(|a: &Status, b| a.metrics.name.cmp(&b.metrics.name));
        Ok(statuses)
    }
}
