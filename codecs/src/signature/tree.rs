//! A root over up to 64 statements, and the way from each to it: the Merkle tree of RFC 9162, section 2.1, with labels in
//! the place of its leading bytes.
//!
//! A statement is a leaf as it is: it is the hash of a label of its own. Two nodes become
//! `SHA-256("batch-node" ‖ left ‖ right)`; a tree of `n` leaves divides at the largest power of two below `n`.

use crate::key::derive::digest;
use crate::key::{Digest, Label};

/// The most messages of a batch: their way is 6 hashes, and one more would save a hundredth of a signature.
pub const BATCH_MAX: usize = 64;

/// The hashes beside the longest way.
const HEIGHT_MAX: usize = BATCH_MAX.ilog2() as usize;

/// The way from a leaf to the root: the hashes beside it, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    size: u8,
    index: u8,
    beside: Vec<Digest>,
}

/// The root of some leaves, and each one's way to it.
pub(super) fn root_and_ways(leaves: &[Digest]) -> (Digest, Vec<Way>) {
    let size = leaves.len() as u8;
    let way = |index| Way { size, index, beside: Vec::with_capacity(HEIGHT_MAX) };
    let mut ways: Vec<Way> = (0..size).map(way).collect();
    (grow(leaves, &mut ways), ways)
}

/// The root, after each way was told what stands beside it.
fn grow(leaves: &[Digest], ways: &mut [Way]) -> Digest {
    match leaves {
        [] => [0; 32],
        [leaf] => *leaf,
        _ => {
            let middle = middle(leaves.len());
            let (left, right) = ways.split_at_mut(middle);
            let roots = (grow(&leaves[..middle], left), grow(&leaves[middle..], right));
            left.iter_mut().for_each(|way| way.beside.push(roots.1));
            right.iter_mut().for_each(|way| way.beside.push(roots.0));
            node(&roots.0, &roots.1)
        }
    }
}

/// The largest power of two below `length`.
fn middle(length: usize) -> usize {
    length.next_power_of_two() / 2
}

fn node(left: &Digest, right: &Digest) -> Digest {
    digest(Label::BatchNode, &[left, right])
}

impl Way {
    pub(super) fn size(&self) -> u8 {
        self.size
    }

    /// The root that this way leads to from a leaf.
    pub(super) fn root(&self, leaf: &Digest) -> Digest {
        climb(usize::from(self.size), usize::from(self.index), leaf, &self.beside)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.size, self.index];
        self.beside.iter().for_each(|hash| bytes.extend_from_slice(hash));
        bytes
    }

    /// A way and its length in bytes; nothing when the bytes are none.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (&[size, index], rest) = bytes.split_first_chunk()?;
        if usize::from(size) > BATCH_MAX || index >= size {
            return None;
        }
        let length = height(size.into(), index.into()) * 32;
        let beside = rest.get(..length)?.chunks_exact(32);
        let beside = beside.map(|hash| hash.try_into().expect("chunks of 32 bytes")).collect();
        Some((Self { size, index, beside }, length + 2))
    }
}

fn climb(size: usize, index: usize, leaf: &Digest, beside: &[Digest]) -> Digest {
    let Some((last, below)) = beside.split_last().filter(|_| size > 1) else { return *leaf };
    let left = middle(size);
    if index < left {
        node(&climb(left, index, leaf, below), last)
    } else {
        node(last, &climb(size - left, index - left, leaf, below))
    }
}

/// How many hashes stand beside the way of a leaf.
fn height(size: usize, index: usize) -> usize {
    if size < 2 {
        return 0;
    }
    let left = middle(size);
    1 + if index < left { height(left, index) } else { height(size - left, index - left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each leaf of each tree leads to the root, and no other leaf, place or size does.
    #[test]
    fn every_way_leads_to_the_root_and_no_other_does() {
        let leaves: Vec<Digest> = (0..BATCH_MAX as u8).map(|n| [n; 32]).collect();
        for size in 1..=leaves.len() {
            let (root, ways) = root_and_ways(&leaves[..size]);
            for (index, way) in ways.iter().enumerate() {
                assert_eq!(way.root(&leaves[index]), root);
                assert_eq!(Way::read(&way.encode()), Some((way.clone(), way.encode().len())));
                assert_ne!(way.root(&[0xff; 32]), root);
                let other = (index + 1) % size;
                let moved = Way { index: other as u8, ..way.clone() };
                assert!(size == 1 || moved.root(&leaves[index]) != root || other == index);
            }
        }
    }

    /// Bytes that are no way are refused.
    #[test]
    fn a_way_is_whole_and_within_its_tree() {
        assert_eq!(Way::read(&[0, 0]), None);
        assert_eq!(Way::read(&[1, 1]), None);
        assert_eq!(Way::read(&[[65, 0].as_slice(), &[0; 7 * 32]].concat()), None);
        assert_eq!(Way::read(&[[2, 0].as_slice(), &[0; 31]].concat()), None);
    }
}
