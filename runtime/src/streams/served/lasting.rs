//! A loop that goes on where it was when somebody else runs it: when a node takes over what worked without one, and when it stops.
//!
//! Only after a crash it begins anew.

use std::borrow::Cow;
use std::sync::Arc;

use connectome_actors::port::Notice;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc};

use crate::transport::looped::{Attended, Run};

/// Notices that wait for whoever runs the loop; one more is left, and is in the log all the same.
const NOTICES_MAX: usize = 16;

/// Where a loop says what happened.
pub(super) type Says = mpsc::Sender<Notice>;

/// Begins a loop, which `make` makes anew after a crash.
pub(super) fn start(
    name: impl Into<Cow<'static, str>>,
    make: impl Fn(Says) -> BoxFuture<'static, ()> + Send + Sync + 'static,
) -> Attended {
    let (says, notices) = mpsc::channel(NOTICES_MAX);
    let life: Arc<Mutex<Option<BoxFuture<'static, ()>>>> = Arc::default();
    let (make, notices) = (Arc::new(make), Arc::new(Mutex::new(notices)));
    Attended::start(name, move |run: Run<'_>| {
        let (make, says, life, notices) = (make.clone(), says.clone(), life.clone(), notices.clone());
        // At once, and not when it is polled: whoever has the turn may be asked for it before that.
        if run.follows_a_crash
            && let Ok(mut life) = life.try_lock()
        {
            *life = None;
        }
        async move {
            let (mut life, mut notices) = (life.lock().await, notices.lock().await);
            let going = life.get_or_insert_with(|| make(says));
            loop {
                tokio::select! {
                    biased;
                    Some(notice) = notices.recv() => run.notices.tell(notice).await,
                    () = &mut *going => break,
                }
            }
            *life = None;
            Ok(())
        }
        .boxed()
    })
}
