//! Messages that share a signature.

use super::proof::Proof;
use super::tree::{BATCH_MAX, root_and_ways};
use crate::key::{Digest, Label, SigningKey};
use crate::session::{Draft, Sealed};

/// A batch that has [`BATCH_MAX`] messages already: sign it, and begin another. Here is the message back.
#[derive(Debug, thiserror::Error)]
#[error("the batch has {BATCH_MAX} messages: sign it, and begin another")]
pub struct BatchFull(pub Draft);

/// Messages, of whatever sessions of an instance, that wait to be signed together. Whoever fills it decides for how
/// long: 2 ms under load, not at all when nothing else waits.
///
/// ```
/// use connectome_codecs::key::{Secret, SigningKey};
/// use connectome_codecs::signature::Batch;
///
/// let key = SigningKey::from_seed(&Secret::read(&[7; 32]).expect("32 bytes"));
/// assert!(Batch::default().sign(&key).is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Batch(Vec<Draft>);

impl Batch {
    /// Adds a message.
    ///
    /// # Errors
    /// Gives it back when the batch is full.
    pub fn add(&mut self, draft: Draft) -> Result<(), Box<BatchFull>> {
        if self.0.len() >= BATCH_MAX {
            return Err(Box::new(BatchFull(draft)));
        }
        self.0.push(draft);
        Ok(())
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signs all of them, and seals each, in the order in which they were added. The key is the instance's.
    pub fn sign(self, key: &SigningKey) -> Vec<Sealed> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let leaves: Vec<Digest> = self.0.iter().map(Draft::statement).collect();
        let (root, ways) = root_and_ways(&leaves);
        let signature = key.sign(Label::Batch, &[&[leaves.len() as u8], &root]);
        let finish = |(draft, way): (Draft, _)| draft.finish(Some(&Proof::Batch { way, signature }));
        self.0.into_iter().zip(ways).map(finish).collect()
    }
}
