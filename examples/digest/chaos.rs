//! What goes wrong on purpose: a worker that panics now and then, and a node that is killed halfway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clumsy worker panics at most this often: four times in the period in which five crashes would be too many.
const EVERY: Duration = Duration::from_millis(2_600);

/// The text of a panic on purpose.
const OOPS: &str = "dropped the document (on purpose)";

/// When the clumsy worker panicked last, over all its incarnations.
#[derive(Clone)]
pub struct Clumsiness {
    began: Instant,
    /// Milliseconds after which the next panic is due.
    next: Arc<AtomicU64>,
    panics: Arc<AtomicU64>,
}

impl Clumsiness {
    pub fn new() -> Clumsiness {
        Clumsiness { began: Instant::now(), next: Arc::default(), panics: Arc::default() }
    }

    /// Panics, if it is time.
    #[expect(clippy::panic, reason = "this is the crash that the cluster is to survive")]
    pub fn stumble(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = self.next.load(Ordering::Relaxed);
        if now >= due {
            self.next.store(now + EVERY.as_millis() as u64, Ordering::Relaxed);
            self.panics.fetch_add(1, Ordering::Relaxed);
            panic!("{OOPS}");
        }
    }

    /// How often it panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

/// Keeps panics on purpose from spoiling the progress bar; all others are shown as ever.
pub fn hide_panics_on_purpose() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<&str>() != Some(&OOPS)
            && panic.payload().downcast_ref::<String>().is_none_or(|text| text != OOPS)
        {
            show(panic);
        }
    }));
}
