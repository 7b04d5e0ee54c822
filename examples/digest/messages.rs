//! What the agents of the digest say to each other.

use connectome::prelude::*;

use crate::analysis::DocumentDigest;
use crate::corpus::Document;
use crate::terms::TermCounts;

/// Phase 1, a task: the terms of one document.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.count", reply = TermCounts)]
pub struct Count {
    pub document: Document,
}

/// Phase 2, a task: what a reader wants to know of one document, given what is known of all.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.digest", reply = DocumentDigest)]
pub struct Digest {
    /// How many there are in all: so many counts are needed.
    pub documents: usize,
    pub document: Document,
}

/// To the editor: the terms of one document are known. Answers whether that was news.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.counted", reply = bool)]
pub struct Counted {
    pub index: usize,
    pub counts: TermCounts,
}

/// To the editor: one document is digested. Answers whether that was news.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.digested", reply = bool)]
pub struct Digested {
    pub digest: DocumentDigest,
}

/// To the editor: the terms of all documents, one by one, once they are known.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.read-counts", reply = (), item = (usize, TermCounts))]
pub struct ReadCounts {
    pub documents: usize,
}

/// To the editor: what it has, in order of the documents.
#[derive(Message, Serialize, Deserialize)]
#[message(name = "digest.read-digests", reply = (), item = DocumentDigest)]
pub struct ReadDigests;
