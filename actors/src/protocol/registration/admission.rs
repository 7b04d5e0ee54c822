//! What a registrar accepts: one question, one answer, and every node would give the same.
//!
//! Whether the signature is right was asked before; whether the entry is still as it was is the store's to say, by
//! compare-and-set.

use std::time::Duration;

use connectome_codecs::registration::{Presence, RefusalCode, Registration};
use connectome_codecs::{NodeId, UnixMillis};

/// How far the clock of a node may be from the registrar's, either way, and how old a registration may be when it is
/// decided: what is older was captured, or waited while nobody was there, and its node signs another one.
pub const FRESH: Duration = Duration::from_secs(120);

/// Deliveries at which a registrar stops waiting to hear of a node that it has not heard yet: twelve, 250 ms apart, are
/// six heartbeats.
pub const DELIVERIES_UNHEARD: u32 = 12;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The agent is there.
    Register,
    /// It still is.
    Refresh,
    /// It is not any more.
    Unregister,
}

/// What the registrar knows of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is heard, or was a moment ago.
    Present,
    /// It was heard, and is down.
    Fallen,
    /// It was never heard by this one.
    Unknown,
}

/// A question to a registrar.
#[derive(Debug, Clone, Copy)]
pub struct Application<'a> {
    /// What is wanted.
    pub wish: Wish,
    /// The record that came, whose signature is right.
    pub record: &'a Registration,
    /// What the registrar knows of its node.
    pub standing: Standing,
    /// How often it has been delivered, this time included.
    pub attempt: u32,
    /// What the bucket holds under the name, and what the registrar knows of that one's node.
    pub held: Option<(&'a Registration, Standing)>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Write it over what is held.
    Accept,
    /// Remove what is held.
    Remove,
    /// It was done before: nothing is left to do.
    Known,
    /// Ask again a little later.
    Later,
    /// No.
    Refuse {
        /// Why.
        code: RefusalCode,
        /// Who has the name, where that is why.
        holder: Option<NodeId>,
        /// Why, for people.
        detail: String,
    },
}

/// Decides at this moment of the registrar's clock on the wall.
///
/// ```
/// # use connectome_codecs::message::AgentRecord;
/// # use connectome_codecs::registration::{Presence, Registration};
/// # use connectome_codecs::{NodeId, UnixMillis};
/// use connectome_actors::protocol::registration::{Application, Standing, Verdict, Wish, admit};
/// # let agent = AgentRecord {
/// #     name: "greeter".parse()?, id: None, role: None, capabilities: vec![],
/// #     version: "1".into(), in_flight: 0, term: None,
/// # };
/// # let (incarnation, issued, ttl_s, presence) = (1, UnixMillis(1_000), 900, Presence::Node);
/// # let record = Registration { agent, node: NodeId([1; 32]), incarnation, issued, ttl_s, presence };
///
/// let (wish, standing) = (Wish::Register, Standing::Present);
/// let free = Application { wish, record: &record, standing, attempt: 1, held: None };
/// assert_eq!(admit(UnixMillis(1_001), free), Verdict::Accept);
///
/// let other = Registration { node: NodeId([2; 32]), ..record.clone() };
/// let taken = Application { held: Some((&other, Standing::Present)), ..free };
/// assert!(matches!(admit(UnixMillis(1_001), taken), Verdict::Refuse { holder: Some(_), .. }));
/// # Ok::<(), connectome_codecs::ParseError>(())
/// ```
pub fn admit(wall: UnixMillis, asked: Application<'_>) -> Verdict {
    if let Some(no) = out_of_date(wall, asked.record) {
        return no;
    }
    if asked.record.presence == Presence::Node {
        match asked.standing {
            Standing::Present => {}
            Standing::Unknown if asked.attempt < DELIVERIES_UNHEARD => return Verdict::Later,
            Standing::Unknown | Standing::Fallen => {
                return no(
                    RefusalCode::NodeNotHeard,
                    "its node is not heard: look at the path between nodes",
                );
            }
        }
    }
    match asked.held {
        None => unheld(asked.wish),
        Some((held, _)) if held.node == asked.record.node => after(asked.wish, asked.record, held),
        Some((held, holder)) => contest(&asked, held, holder),
    }
}

fn unheld(wish: Wish) -> Verdict {
    match wish {
        Wish::Register => Verdict::Accept,
        Wish::Refresh => no(RefusalCode::NotRegistered, "it is not registered: register it first"),
        Wish::Unregister => Verdict::Known,
    }
}

/// The same node speaks again: what it signed later counts.
fn after(wish: Wish, record: &Registration, held: &Registration) -> Verdict {
    let moment = |of: &Registration| (of.incarnation, of.issued);
    match moment(record).cmp(&moment(held)) {
        std::cmp::Ordering::Less => no(RefusalCode::Stale, "a newer one of its node is known"),
        std::cmp::Ordering::Equal if wish != Wish::Unregister => Verdict::Known,
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => match wish {
            Wish::Register | Wish::Refresh => Verdict::Accept,
            Wish::Unregister => Verdict::Remove,
        },
    }
}

/// Another node has the name: a newer term takes it, and so does anyone from a node that is down.
fn contest(asked: &Application<'_>, held: &Registration, holder: Standing) -> Verdict {
    match asked.wish {
        Wish::Register => {}
        Wish::Refresh | Wish::Unregister => {
            return no(RefusalCode::NotRegistered, "another node has registered the name");
        }
    }
    if asked.record.agent.term.is_some() && asked.record.agent.term > held.agent.term {
        return Verdict::Accept;
    }
    match holder {
        Standing::Fallen if held.presence == Presence::Node => Verdict::Accept,
        Standing::Unknown if held.presence == Presence::Node => {
            if asked.attempt < DELIVERIES_UNHEARD {
                Verdict::Later
            } else {
                Verdict::Accept
            }
        }
        // What lives on no node has the name for as long as its entry lasts.
        Standing::Present | Standing::Fallen | Standing::Unknown => Verdict::Refuse {
            code: RefusalCode::NameTaken,
            holder: Some(held.node),
            detail: format!("{} has the name {}: choose another", held.node, held.agent.name),
        },
    }
}

fn out_of_date(wall: UnixMillis, record: &Registration) -> Option<Verdict> {
    let apart = wall.since(record.issued).max(record.issued.since(wall));
    (apart > FRESH).then(|| {
        let detail = format!(
            "it was signed {} s away from the registrar's clock, {} are allowed: sign it anew, or set the clock",
            apart.as_secs(),
            FRESH.as_secs()
        );
        Verdict::Refuse { code: RefusalCode::Stale, holder: None, detail }
    })
}

fn no(code: RefusalCode, detail: &str) -> Verdict {
    Verdict::Refuse { code, holder: None, detail: detail.to_owned() }
}
