//! What has happened around registrations, in numbers that only rise.

/// What a node has done and seen around registrations since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationCounts {
    /// Registrations that this node published.
    pub published: u64,
    /// Of its agents: those whose entry was seen in the bucket.
    pub confirmed: u64,
    /// Of its agents: those that were refused.
    pub refused: u64,
    /// Entries that it wrote again before they could expire.
    pub refreshed: u64,
    /// Entries of its own that it removed.
    pub removed: u64,
    /// Entries of nodes that are down that it removed.
    pub swept: u64,
    /// As a registrar: what it let stand.
    pub admitted: u64,
    /// As a registrar: what it refused.
    pub turned_away: u64,
    /// Entries that it read and did not believe.
    pub forged: u64,
    /// Entries that stand under another agent's name.
    pub foreign: u64,
    /// Entries that were signed longer ago than they hold.
    pub stale: u64,
    /// Entries that are too long.
    pub oversized: u64,
    /// Entries that can't be read.
    pub malformed: u64,
}

/// Why an entry was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadRefusal {
    /// Its signature is not that of the node it names.
    #[error("the signature is not that of its node")]
    Forged,
    /// It names another agent than the one it stands for.
    #[error("it is about another agent than its subject or key")]
    Foreign,
    /// It was signed longer ago than it holds, or in the future.
    #[error("it was signed longer ago than it holds, or in the future: sign it anew, or set the clock")]
    Stale,
    /// It is longer than one may be.
    #[error("it has {length} bytes, at most {max} are allowed: shorten what the agent says of itself")]
    Oversized {
        /// Its bytes.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// It can't be read, or breaks a rule.
    #[error("it can't be read: {0}")]
    Malformed(String),
}

impl RegistrationCounts {
    pub(super) fn note(&mut self, refusal: &ReadRefusal) {
        *match refusal {
            ReadRefusal::Forged => &mut self.forged,
            ReadRefusal::Foreign => &mut self.foreign,
            ReadRefusal::Stale => &mut self.stale,
            ReadRefusal::Oversized { .. } => &mut self.oversized,
            ReadRefusal::Malformed(_) => &mut self.malformed,
        } += 1;
    }
}
