//! The editor: gathers what the workers found, and lends it to whoever needs all of it.
//!
//! It lives on the first node. Workers of other nodes read from it over the cluster, at their own pace.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectome::prelude::*;
use tokio::sync::watch;

use crate::analysis::DocumentDigest;
use crate::messages::{Counted, Digested, ReadCounts, ReadDigests};
use crate::terms::TermCounts;

/// The editor's name.
pub const EDITOR: &str = "editor";

#[derive(Agent, Default)]
#[agent(handles(Counted, Digested, ReadCounts, ReadDigests))]
pub struct Editor {
    /// Shared with readers while they read, who wait until it is complete.
    counts: watch::Sender<Arc<BTreeMap<usize, TermCounts>>>,
    digests: Arc<BTreeMap<usize, DocumentDigest>>,
}

impl Handle<Counted> for Editor {
    async fn handle(
        &mut self,
        Counted { index, counts }: Counted,
        _: &mut Context<'_>,
    ) -> Result<bool, HandlerError> {
        let mut is_new = false;
        self.counts.send_modify(|known| is_new = Arc::make_mut(known).insert(index, counts).is_none());
        Ok(is_new)
    }
}

impl Handle<Digested> for Editor {
    async fn handle(
        &mut self,
        Digested { digest }: Digested,
        _: &mut Context<'_>,
    ) -> Result<bool, HandlerError> {
        Ok(Arc::make_mut(&mut self.digests).insert(digest.index, digest).is_none())
    }
}

impl Handle<ReadCounts> for Editor {
    /// A job that goes on where it was may digest before the editor has been told all counts again: then it waits.
    async fn handle(
        &mut self,
        ReadCounts { documents }: ReadCounts,
        ctx: &mut Context<'_>,
    ) -> Result<(), HandlerError> {
        let (sink, mut counts) = (ctx.sink::<ReadCounts>(), self.counts.subscribe());
        ctx.pipe(async move {
            let counts = counts.wait_for(|known| known.len() >= documents).await?.clone();
            for (index, counts) in counts.iter() {
                sink.push((*index, counts.clone())).await?;
            }
            Ok(())
        })
    }
}

impl Handle<ReadDigests> for Editor {
    async fn handle(&mut self, _: ReadDigests, ctx: &mut Context<'_>) -> Result<(), HandlerError> {
        let (sink, digests) = (ctx.sink::<ReadDigests>(), self.digests.clone());
        ctx.pipe(async move {
            for digest in digests.values() {
                sink.push(digest.clone()).await?;
            }
            Ok(())
        })
    }
}
