//! Whether servers force each write to the disk: their clients can't see it, but their monitoring endpoints tell.
//!
//! One request to `/varz` of each endpoint, once, when a node with the profile `durable` starts. Which server an endpoint
//! belongs to, and whether there are others, is the configuration's word.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::options::NatsError;
use crate::config::host_of;

/// How long an endpoint may take: it answers in milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is read of an answer, in bytes: it has some 5 KB.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Passes when every endpoint says that its server has `sync_interval: always`.
pub(crate) async fn check_durable(monitors: &str) -> Result<(), NatsError> {
    for url in monitors.split(',').map(str::trim) {
        let silent = |_| Err(format!("it did not answer within {ANSWER_MAX:?}"));
        let told = timeout(ANSWER_MAX, ask(url)).await.unwrap_or_else(silent);
        let told = told.map_err(|problem| NatsError::Monitor { url: url.to_owned(), problem })?;
        let server = told["server_name"].as_str().unwrap_or(url).to_owned();
        let config = &told["jetstream"]["config"];
        if config["sync_always"] != true {
            let every = Duration::from_nanos(config["sync_interval"].as_u64().unwrap_or_default());
            return Err(NatsError::NotDurable { server, every });
        }
    }
    Ok(())
}

async fn ask(url: &str) -> Result<Value, String> {
    let host = host_of(url).ok_or("it is no http://host:port")?;
    let unreachable = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(host).await.map_err(unreachable)?;
    let request = format!("GET /varz HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(unreachable)?;
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("its answer is no HTTP")?;
    serde_json::from_slice(&answer[head + 4..]).map_err(|error| format!("its answer can't be read: {error}"))
}
