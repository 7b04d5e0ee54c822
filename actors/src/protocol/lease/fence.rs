//! The place of effect's part: never an older term after a newer one.

use connectome_codecs::Term;

/// The newest term that a place of effect has seen.
///
/// ```
/// use connectome_actors::protocol::lease::Fence;
/// use connectome_codecs::Term;
///
/// let mut fence = Fence::default();
/// assert!(fence.admit(Term(4)).is_ok());
/// assert!(fence.admit(Term(3)).is_err());
/// assert!(fence.admit(Term(4)).is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fence {
    newest: Term,
}

impl Fence {
    /// A fence that goes on where a stored one was.
    pub const fn at(newest: Term) -> Self {
        Self { newest }
    }

    /// Lets the holder of this term through, and remembers it.
    ///
    /// # Errors
    /// [`Stale`] when a newer term was seen: the holder must stop.
    pub fn admit(&mut self, term: Term) -> Result<(), Stale> {
        if term < self.newest {
            return Err(Stale { yours: term, newest: self.newest });
        }
        self.newest = term;
        Ok(())
    }

    /// The newest term that was seen; 0 before the first.
    pub const fn newest(&self) -> Term {
        self.newest
    }
}

/// Somebody with a newer term was here. Whoever used the older one is not the owner any more and must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("term {yours} is over: term {newest} has begun, so another is the owner now; stop")]
pub struct Stale {
    /// The term that was refused.
    pub yours: Term,
    /// The newest one.
    pub newest: Term,
}
