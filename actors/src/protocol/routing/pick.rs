//! The power of two choices: draw two, take the less busy one.
//!
//! Taking the least busy of all sends every node's next message to the same agent; drawing one at random leaves some
//! agents idle and others flooded. The better of two is close to the best of all, and nobody herds.

use std::cmp::Ordering;
use std::time::Duration;

/// Somebody who could take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Whether it lives on this node.
    pub local: bool,
    /// Whether its node is suspected to be gone.
    pub suspected: bool,
    /// Messages it works on, or that wait for it, as far as this node knows.
    pub in_flight: u64,
    /// How long it takes to answer, smoothed; zero when nobody knows yet.
    pub latency: Duration,
}

/// Chooses one, by its place in the list; `None` only from an empty list. `dice` is 64 random bits.
///
/// Of two that are drawn, the one with less expected waiting is taken: messages in flight times latency where both
/// latencies are known, else messages in flight alone. On a tie the local one is taken, then the one drawn first.
///
/// ```
/// use std::time::Duration;
/// use connectome_actors::protocol::routing::{Candidate, pick};
///
/// let idle = Candidate { local: false, suspected: false, in_flight: 0, latency: Duration::from_millis(2) };
/// let busy = Candidate { in_flight: 9, ..idle };
/// let gone = Candidate { suspected: true, ..idle };
/// assert_eq!(pick(&[busy, idle, gone], 7), Some(1));
/// assert_eq!(pick(&[gone], 7), Some(0));
/// assert_eq!(pick(&[], 7), None);
/// ```
pub fn pick(candidates: &[Candidate], dice: u64) -> Option<usize> {
    let healthy = candidates.iter().filter(|candidate| !candidate.suspected).count();
    let among = if healthy == 0 { candidates.len() } else { healthy };
    let eligible = |candidate: &Candidate| healthy == 0 || !candidate.suspected;
    let nth = |n| candidates.iter().enumerate().filter(|(_, candidate)| eligible(candidate)).nth(n);
    let (first, second) = two_of(among, dice)?;
    let ((first, left), (second, right)) = (nth(first)?, nth(second)?);
    Some(if prefer(left, right) == Ordering::Greater { second } else { first })
}

/// Two different places below `among`, or twice the only one.
fn two_of(among: usize, dice: u64) -> Option<(usize, usize)> {
    let first = scale(dice >> 32, among);
    match among {
        0 => None,
        1 => Some((0, 0)),
        _ => Some((first, (first + 1 + scale(dice & u64::from(u32::MAX), among - 1)) % among)),
    }
}

/// Spreads 32 random bits over `0..bound`.
fn scale(bits: u64, bound: usize) -> usize {
    ((u128::from(bits) * bound as u128) >> 32) as usize
}

/// Less is better.
fn prefer(left: &Candidate, right: &Candidate) -> Ordering {
    waiting(left, right).cmp(&waiting(right, left)).then(right.local.cmp(&left.local))
}

/// What a message can expect to wait at one, in units that its rival shares.
fn waiting(of: &Candidate, rival: &Candidate) -> u128 {
    let known = !of.latency.is_zero() && !rival.latency.is_zero();
    let each = if known { of.latency.as_nanos() } else { 1 };
    (u128::from(of.in_flight) + 1).saturating_mul(each)
}
