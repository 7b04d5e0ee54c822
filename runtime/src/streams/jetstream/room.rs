//! How much may wait for the server's acknowledgement: a bound over the whole store, so that an outage fills no memory.

use connectome_actors::port::StreamError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::Store;

/// What may wait, in KiB begun: 65,536 small messages, or 64 MiB of large ones. A server takes as much in some seconds, and a
/// process has as much to spare.
const WAITING_MAX_KIB: usize = 65_536;

/// Room for what waits.
#[derive(Debug)]
pub(super) struct Room(Semaphore);

impl Default for Room {
    fn default() -> Room {
        Room(Semaphore::new(WAITING_MAX_KIB))
    }
}

impl Store {
    /// Room for a body of so many bytes, for as long as the answer lives. Without any, one waits for it while a server is
    /// connected, and is refused while none is.
    pub(super) async fn room(&self, bytes: usize) -> Result<SemaphorePermit<'_>, StreamError> {
        let wanted = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        if let Ok(permit) = self.room.0.try_acquire_many(wanted) {
            return Ok(permit);
        }
        if self.requests.connection().is_up()
            && let Ok(Ok(permit)) = timeout(self.options.deadline, self.room.0.acquire_many(wanted)).await
        {
            return Ok(permit);
        }
        Err(StreamError::Unavailable(format!(
            "{} KiB wait for the NATS server already (WAITING_MAX_KIB): wait until some are acknowledged, and see whether a \
             server is connected",
            WAITING_MAX_KIB
        )))
    }
}
