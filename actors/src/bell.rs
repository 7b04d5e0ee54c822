//! What an agent with an empty mailbox waits for: anyone rings, the incarnation that runs hears.
//!
//! Ringing twice before it is heard is ringing once. It tells only that there is something to look at, never what.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Ends when the bell has been rung since the last time. For one listener at a time.
    pub(crate) async fn heard(&self) {
        poll_fn(|context| {
            if self.silence() {
                return Poll::Ready(());
            }
            self.listener.register(context.waker());
            // It may have been rung before the listener was known.
            if self.silence() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn silence(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_ring_is_heard_once_whether_it_comes_before_or_after_the_listener() {
        let bell = Bell::default();
        assert!(bell.heard().now_or_never().is_none());
        bell.ring();
        bell.ring();
        assert!(bell.heard().now_or_never().is_some());
        assert!(bell.heard().now_or_never().is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_ring_is_lost_between_threads() {
        let (there, back) = (std::sync::Arc::new(Bell::default()), std::sync::Arc::new(Bell::default()));
        let (heard, answers) = (there.clone(), back.clone());
        let other = tokio::spawn(async move {
            for _ in 0..10_000 {
                heard.heard().await;
                answers.ring();
            }
        });
        for _ in 0..10_000 {
            there.ring();
            back.heard().await;
        }
        other.await.unwrap();
    }
}
