//! What a lease's entry says, and what may be done about it.

use connectome_codecs::{NodeId, Term, UnixMillis};
use serde::{Deserialize, Serialize};

/// What a lease's entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Who owns it, or owned it last.
    pub holder: NodeId,
    /// The number of this ownership.
    pub term: Term,
    /// Until when, by the holder's clock; 0 when it was given back.
    pub expires: UnixMillis,
}

impl LeaseRecord {
    /// Whether it was given back.
    pub const fn is_free(&self) -> bool {
        self.expires.0 == 0
    }
}

/// What may be done about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Write this node as the holder with this term, if the entry has not changed.
    Take {
        /// One more than the last.
        term: Term,
    },
    /// Somebody owns it; look again at this moment of one's own clock on the wall, or when it changes.
    Wait {
        /// When it expires.
        until: UnixMillis,
    },
}

/// What a node that does not own a lease may do about it.
///
/// An entry in its own name is from an earlier life, whose effects may still be on the way: it takes a new term, too.
///
/// ```
/// use connectome_actors::protocol::lease::{LeaseRecord, Move, decide};
/// use connectome_codecs::{NodeId, Term, UnixMillis};
///
/// let (me, other) = (NodeId([1; 32]), NodeId([2; 32]));
/// let record = LeaseRecord { holder: other, term: Term(3), expires: UnixMillis(9_000) };
/// let (early, late) = (UnixMillis(5_000), UnixMillis(9_000));
/// assert_eq!(decide(me, None, early, false), Move::Take { term: Term(1) });
/// assert_eq!(decide(me, Some(&record), early, false), Move::Wait { until: UnixMillis(9_000) });
/// assert_eq!(decide(me, Some(&record), early, true), Move::Take { term: Term(4) });
/// assert_eq!(decide(me, Some(&record), late, false), Move::Take { term: Term(4) });
/// ```
pub fn decide(me: NodeId, record: Option<&LeaseRecord>, wall: UnixMillis, holder_suspected: bool) -> Move {
    match record {
        None => Move::Take { term: Term(1) },
        Some(record) if record.holder == me || holder_suspected || record.expires <= wall => {
            Move::Take { term: record.term.next() }
        }
        Some(record) => Move::Wait { until: record.expires },
    }
}
