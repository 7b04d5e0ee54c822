//! What a supervisor is told before it starts: its flags, and what it needs to know of each child.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::Backoff;

/// What else is restarted when one child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Nothing else.
    #[default]
    OneForOne,
    /// All children.
    OneForAll,
    /// The children that were started after it.
    RestForOne,
    /// Nothing else; children come and go, none is known beforehand, and one that ended for good is forgotten.
    /// OTP's `simple_one_for_one`. They are stopped together, not one by one.
    Dynamic,
}

/// When a child that ended is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it ended abnormally ([`super::Exit::is_abnormal`]).
    Transient,
    /// Never, not even with its siblings; its specification goes with it.
    Temporary,
}

/// When a supervisor shuts itself down because children ended of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoShutdown {
    /// Never; no child may be significant.
    #[default]
    Never,
    /// When any significant child ends for good.
    AnySignificant,
    /// When the last significant child ends for good.
    AllSignificant,
}

/// Whose restarts are counted together, for the intensity and for the back-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IntensityScope {
    /// All children's, as in OTP: too many, and the supervisor ends.
    #[default]
    Supervisor,
    /// Each child's own: too many, and only that child is given up. The same as a transient supervisor around each
    /// child, so only for [`Strategy::OneForOne`] and [`Strategy::Dynamic`].
    Child,
}

/// How many restarts are too many.
///
/// The default is 5 in 10 s (OTP's is 1 in 5 s): enough for a dependency that needs a few seconds to come back,
/// few enough that a child that can never start is reported within seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are allowed within the period; one more is too many. 0 allows none.
    pub restarts: u32,
    /// A restart counts for this long, its last instant included.
    pub period: Duration,
    /// Whose restarts are counted together.
    pub scope: IntensityScope,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts: 5, period: Duration::from_secs(10), scope: IntensityScope::Supervisor }
    }
}

/// A supervisor's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// What else is restarted when one child is.
    pub strategy: Strategy,
    /// How many restarts are too many.
    pub intensity: Intensity,
    /// Waits before restarts after the first in a period. `None` is exactly OTP: every restart is immediate.
    pub backoff: Option<Backoff>,
    /// When the supervisor shuts itself down.
    pub auto_shutdown: AutoShutdown,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            intensity: Intensity::default(),
            backoff: Some(BACKOFF),
            auto_shutdown: AutoShutdown::default(),
        }
    }
}

/// 100 ms is longer than most races and shorter than anyone's patience; five restarts at these waits are over within
/// 2 s, so a hopeless child is given up well inside the default period.
pub const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(100), cap: Duration::from_secs(5), jitter_percent: 20 };

/// How long a child may take to stop before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopWithin {
    /// No time: it is killed at once. OTP's `brutal_kill`.
    Kill,
    /// This long.
    Time(Duration),
    /// As long as it needs: for supervisors, whose children have deadlines of their own.
    Forever,
}

/// What a child is, for counting and for the default deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChildKind {
    /// It does work.
    #[default]
    Worker,
    /// It has children of its own.
    Supervisor,
}

/// A child's name, unique under its supervisor. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ChildId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl Borrow<str> for ChildId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a supervisor knows of a child. How to start it is the shell's to know.
///
/// ```
/// use connectome_actors::protocol::restart::{ChildSpec, Restart};
///
/// let child = ChildSpec::worker("consumer").restart(Restart::Transient);
/// assert_eq!(child.id.as_str(), "consumer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// Its name.
    pub id: ChildId,
    /// When it is restarted.
    pub restart: Restart,
    /// Whether its end may shut the supervisor down ([`AutoShutdown`]).
    pub significant: bool,
    /// How long it may take to stop.
    pub stop_within: StopWithin,
    /// What it is.
    pub kind: ChildKind,
}

impl ChildSpec {
    /// A permanent worker with 5 s to stop, as in OTP.
    pub fn worker(id: impl Into<ChildId>) -> Self {
        Self {
            id: id.into(),
            restart: Restart::Permanent,
            significant: false,
            stop_within: StopWithin::Time(Duration::from_secs(5)),
            kind: ChildKind::Worker,
        }
    }

    /// A permanent supervisor with all the time it needs to stop.
    pub fn supervisor(id: impl Into<ChildId>) -> Self {
        Self { stop_within: StopWithin::Forever, kind: ChildKind::Supervisor, ..Self::worker(id) }
    }

    /// The same child, restarted like this.
    pub fn restart(self, restart: Restart) -> Self {
        Self { restart, ..self }
    }

    /// The same child, whose end may shut the supervisor down.
    pub fn significant(self) -> Self {
        Self { significant: true, ..self }
    }

    /// The same child, with this long to stop.
    pub fn stop_within(self, stop_within: StopWithin) -> Self {
        Self { stop_within, ..self }
    }

    /// Whether the supervisor's flags allow it.
    pub(super) fn check(&self, flags: &Flags) -> Result<(), SpecError> {
        let id = || self.id.clone();
        match (self.significant, self.restart, flags.auto_shutdown) {
            (true, Restart::Permanent, _) => Err(SpecError::SignificantPermanent(id())),
            (true, _, AutoShutdown::Never) => Err(SpecError::SignificantWithoutAutoShutdown(id())),
            (true | false, _, _) => Ok(()),
        }
    }
}

/// Flags or specifications that contradict each other. The caller must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A permanent child never ends for good, so its end can't mean anything.
    #[error("child {0} is significant and permanent: make it transient or temporary")]
    SignificantPermanent(ChildId),
    /// No child's end may shut this supervisor down.
    #[error("child {0} is significant, but the supervisor never shuts itself down: set auto_shutdown")]
    SignificantWithoutAutoShutdown(ChildId),
    /// Two children have one name.
    #[error("two children are named {0}: give each its own name")]
    Duplicate(ChildId),
    /// A child can't be given up alone when its siblings are restarted with it.
    #[error(
        "{0:?} restarts children together, so their restarts are counted together: use IntensityScope::Supervisor"
    )]
    ScopeOfOne(Strategy),
    /// A dynamic supervisor starts empty.
    #[error("child {0} was given to a dynamic supervisor beforehand: add it once the supervisor runs")]
    DynamicStartsEmpty(ChildId),
}
