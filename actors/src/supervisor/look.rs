//! Looking at a tree of supervisors while it runs, and killing a part of it to see it come back.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Ask, Orders, State, Supervisor, SupervisorError};
use crate::protocol::restart::{ChildId, ChildState, Refusal, Strategy};

/// Children of one supervisor that are shown by name: a node may have a hundred thousand agents.
pub const CHILDREN_SHOWN_MAX: usize = 64;

/// One actor of the tree, and what stands below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Branch {
    /// Its name, unique below its supervisor.
    pub name: String,
    /// What it does now.
    pub state: BranchState,
    /// How often it was started again. Not counted for children that come and go, such as agents: 0.
    pub restarts: u64,
    /// How many children it has.
    pub count: usize,
    /// The first [`CHILDREN_SHOWN_MAX`] of them, in start order.
    pub children: Vec<Branch>,
}

/// What an actor of the tree does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BranchState {
    /// It runs.
    Running,
    /// It has been asked to start.
    Starting,
    /// It crashed, and waits to be started again.
    Restarting,
    /// It does not run and will not by itself.
    Stopped,
}

impl Branch {
    /// The actor at a path below this one: `ports/connection`.
    pub fn find(&self, path: &str) -> Option<&Branch> {
        let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let child = self.children.iter().find(|child| child.name == name)?;
        rest.map_or(Some(child), |rest| child.find(rest))
    }

    /// All actors below this one that are shown, each with its path.
    pub fn all(&self) -> Vec<(String, &Branch)> {
        let below = |child: &'_ Branch| child.name.clone();
        self.children
            .iter()
            .flat_map(|child| {
                let inner = child
                    .all()
                    .into_iter()
                    .map(|(path, branch)| (format!("{}/{path}", below(child)), branch));
                std::iter::once((below(child), child)).chain(inner).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// What a supervisor tells of one child.
pub(crate) struct Seen {
    name: String,
    state: BranchState,
    restarts: u64,
    supervisor: Option<Supervisor>,
}

/// What a supervisor tells of all its children.
pub(crate) struct View {
    count: usize,
    shown: Vec<Seen>,
}

impl Supervisor {
    /// What runs below it now.
    ///
    /// # Errors
    /// When the supervisor has ended.
    pub async fn look(&self) -> Result<Branch, SupervisorError> {
        let view = self.ask(Ask::Look).await?;
        let mut children = Vec::with_capacity(view.shown.len());
        for seen in view.shown {
            children.push(seen.branch().await);
        }
        let (name, state) = (self.name.to_string(), BranchState::Running);
        Ok(Branch { name, state, restarts: 0, count: view.count, children })
    }

    /// Ends a child at once, as a crash would; what follows is the supervisor's to decide. For drills: it shows that the
    /// rest lives on, and that the child comes back.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] when it does not run; when the supervisor has ended.
    pub async fn kill(&self, child: &str) -> Result<(), SupervisorError> {
        let id = ChildId::from(child);
        match self.ask(|reply| Ask::Kill(id, reply)).await? {
            true => Ok(()),
            false => Err(SupervisorError::Refused { name: child.to_owned(), refusal: Refusal::NotFound }),
        }
    }

    /// The supervisor at a path below this one, such as `streams/tasks`.
    pub(crate) fn below<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Supervisor, SupervisorError>> {
        async move {
            let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
            let view = self.ask(Ask::Look).await?;
            let child =
                view.shown.into_iter().find(|seen| seen.name == name).and_then(|seen| seen.supervisor);
            let not_found = || SupervisorError::Refused { name: name.to_owned(), refusal: Refusal::NotFound };
            let child = child.ok_or_else(not_found)?;
            match rest {
                Some(rest) => child.below(rest).await,
                None => Ok(child),
            }
        }
        .boxed()
    }
}

impl Seen {
    fn branch(self) -> BoxFuture<'static, Branch> {
        async move {
            let Seen { name, state, restarts, supervisor } = self;
            let below = match supervisor {
                // One that ends meanwhile has nothing below it.
                Some(supervisor) => supervisor.look().await.ok(),
                None => None,
            };
            let (count, children) = below.map_or((0, Vec::new()), |branch| (branch.count, branch.children));
            Branch { name, state, restarts, count, children }
        }
        .boxed()
    }
}

impl State {
    pub(super) fn look(&self, reply: oneshot::Sender<View>) {
        let children = self.supervision.children();
        let shown =
            children.take(CHILDREN_SHOWN_MAX).map(|(spec, state)| self.seen(&spec.id, state)).collect();
        // Whoever asked may have gone away.
        drop(reply.send(View { count: self.supervision.children().count(), shown }));
    }

    fn seen(&self, child: &ChildId, state: ChildState) -> Seen {
        let orders = self.running.get(child).map(|(_, running)| Arc::clone(&running.orders));
        Seen {
            name: child.to_string(),
            state: match state {
                ChildState::Running(_) => BranchState::Running,
                ChildState::Starting(_) => BranchState::Starting,
                ChildState::Restarting(_) => BranchState::Restarting,
                ChildState::Stopped => BranchState::Stopped,
            },
            restarts: self.started.get(child).map_or(0, |started| started.saturating_sub(1)),
            supervisor: orders.and_then(|orders| orders.supervisor()),
        }
    }

    pub(super) fn kill(&self, child: &ChildId, reply: oneshot::Sender<bool>) {
        let running = self.running.get(child);
        if let Some((_, running)) = running {
            Orders::kill(&*running.orders);
        }
        // Whoever asked may have gone away.
        let _ = reply.send(running.is_some());
    }

    /// Counts a start, where children stay.
    pub(super) fn note_started(&mut self, child: &ChildId) {
        if self.flags.strategy != Strategy::Dynamic {
            *self.started.entry(child.clone()).or_default() += 1;
        }
    }
}
