//! The workers: each takes one task at a time. One of them is clumsy, and panics now and then.

use std::sync::Arc;

use connectome::prelude::*;
use tokio::sync::OnceCell;

use crate::analysis::{self, DocumentDigest, Knowledge};
use crate::chaos::Clumsiness;
use crate::editor::EDITOR;
use crate::idf::Gathering;
use crate::messages::{Count, Digest, ReadCounts};
use crate::terms::{self, TermCounts};

/// What a worker can do, and what tasks ask for.
pub const CAPABILITY: &str = "digest";

/// What the workers of one node know of all documents: read from the editor once, by whoever needs it first.
pub type Shelf = Arc<OnceCell<Arc<Knowledge>>>;

#[derive(Agent, Clone)]
#[agent(handles(Count, Digest))]
pub struct Worker {
    pub shelf: Shelf,
    /// Only one worker has it.
    pub clumsy: Option<Clumsiness>,
}

impl Handle<Count> for Worker {
    async fn handle(
        &mut self,
        Count { document }: Count,
        _: &mut Context<'_>,
    ) -> Result<TermCounts, HandlerError> {
        self.stumble();
        Ok(terms::count(&document))
    }
}

impl Handle<Digest> for Worker {
    async fn handle(
        &mut self,
        Digest { documents, document }: Digest,
        ctx: &mut Context<'_>,
    ) -> Result<DocumentDigest, HandlerError> {
        let editor = ctx.agent(EDITOR)?;
        let knowledge = self.shelf.get_or_try_init(|| read_all(editor, documents)).await?;
        self.stumble();
        Ok(analysis::digest(&document, knowledge))
    }
}

impl Worker {
    fn stumble(&self) {
        if let Some(clumsy) = &self.clumsy {
            clumsy.stumble();
        }
    }
}

async fn read_all(editor: AgentRef, documents: usize) -> Result<Arc<Knowledge>, HandlerError> {
    let mut gathering = Gathering::default();
    let mut all = editor.stream(ReadCounts { documents }).await?;
    while let Some((index, counts)) = all.next().await? {
        gathering.add(index, counts);
    }
    // On a thread of its own: the agent stays awake, and keeps its lease, however large the corpus is.
    Ok(tokio::task::spawn_blocking(|| Arc::new(Knowledge::from(gathering))).await?)
}
