//! `CONTROL`: what calls, streams and monitors need between nodes. The envelope's `correlation` says which call.
//!
//! On the wire it is one flat map whose `action` says which of the other fields matter, so that an older node can
//! read, and pass over, what a newer one adds.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, at_most, ensure};
use super::{Body, Kind};
use crate::limits::{CREDIT_MAX, DETAIL_MAX};
use crate::text::{check_code, open_enum};

/// What calls, streams and monitors need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub enum Control {
    /// The caller does not wait any more: stop the work.
    Cancel,
    /// The caller can take this many more items of a stream.
    Credit {
        /// How many, 1 to 65,536.
        items: u32,
    },
    /// Tell me when the agent that the envelope addresses goes down.
    Watch {
        /// The watcher's own number for this watch.
        watcher: u64,
    },
    /// Do not tell me any more.
    Unwatch {
        /// The number that it watched with.
        watcher: u64,
    },
    /// An incarnation of a watched agent went down; said once for each.
    Down {
        /// The number that it was watched with.
        watcher: u64,
        /// The incarnation that went down.
        incarnation: u64,
        /// Why.
        reason: DownReason,
        /// For people; may be empty.
        detail: String,
    },
    /// The mailbox that the envelope addresses is full: write nothing more to it until told to, or for two seconds.
    Hold,
    /// It has room again.
    Resume,
    /// Publish the keys of the mail of the agent that the envelope addresses: I have something for it.
    MailKeys,
    /// Keep this durable message for the agent that the envelope addresses, and answer when it is stored.
    Keep {
        /// The name of the outbox that it waits in.
        outbox: u64,
        /// Where it stands there: for one agent always further.
        sequence: u64,
        /// The message: an envelope.
        envelope: Bytes,
    },
    /// One from a later version.
    Unknown {
        /// What it is called there.
        action: String,
    },
}

open_enum! {
    /// Why an agent went down.
    DownReason, "down reason", {
        /// It ended as it should.
        Normal = "normal",
        /// It was told to stop.
        Shutdown = "shutdown",
        /// It failed or panicked.
        Crashed = "crashed",
        /// It did not stop in time.
        Killed = "killed",
        /// There is no such agent.
        NotFound = "not_found",
        /// Its node cannot be reached.
        NodeLost = "node_lost",
    }
}

impl Body for Control {
    const KIND: Kind = Kind::Control;

    fn validate(&self) -> Result<(), Invalid> {
        match self {
            Self::Credit { items } => ensure((1..=CREDIT_MAX).contains(items), "items", || {
                format!("{items} is out of range; grant 1 to {CREDIT_MAX}")
            }),
            Self::Down { detail, .. } => at_most("detail", "bytes", detail.len(), DETAIL_MAX),
            Self::Unknown { action } => {
                check_code("control action", action).map_err(|e| Invalid::new("action", e.to_string()))
            }
            Self::Cancel
            | Self::Hold
            | Self::Resume
            | Self::MailKeys
            | Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Keep { .. } => Ok(()),
        }
    }
}

const CANCEL: &str = "cancel";
const CREDIT: &str = "credit";
const WATCH: &str = "watch";
const UNWATCH: &str = "unwatch";
const DOWN: &str = "down";
const HOLD: &str = "hold";
const RESUME: &str = "resume";
const MAIL_KEYS: &str = "mail_keys";
const KEEP: &str = "keep";

#[derive(Default, Serialize, Deserialize)]
struct Wire {
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    watcher: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incarnation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<DownReason>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbox: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<Bytes>,
}

impl From<Control> for Wire {
    fn from(control: Control) -> Self {
        let (none, action) = (Self::default(), str::to_owned);
        match control {
            Control::Cancel => Self { action: action(CANCEL), ..none },
            Control::Credit { items } => Self { action: action(CREDIT), items: Some(items), ..none },
            Control::Watch { watcher } => Self { action: action(WATCH), watcher: Some(watcher), ..none },
            Control::Unwatch { watcher } => Self { action: action(UNWATCH), watcher: Some(watcher), ..none },
            Control::Down { watcher, incarnation, reason, detail } => Self {
                action: action(DOWN),
                watcher: Some(watcher),
                incarnation: Some(incarnation),
                reason: Some(reason),
                detail,
                ..none
            },
            Control::Hold => Self { action: action(HOLD), ..none },
            Control::Resume => Self { action: action(RESUME), ..none },
            Control::MailKeys => Self { action: action(MAIL_KEYS), ..none },
            Control::Keep { outbox, sequence, envelope } => Self {
                action: action(KEEP),
                outbox: Some(outbox),
                sequence: Some(sequence),
                envelope: Some(envelope),
                ..none
            },
            Control::Unknown { action } => Self { action, ..none },
        }
    }
}

impl TryFrom<Wire> for Control {
    type Error = Invalid;

    fn try_from(wire: Wire) -> Result<Self, Invalid> {
        Ok(match wire.action.as_str() {
            CANCEL => Self::Cancel,
            CREDIT => Self::Credit { items: needed("items", wire.items)? },
            WATCH => Self::Watch { watcher: needed("watcher", wire.watcher)? },
            UNWATCH => Self::Unwatch { watcher: needed("watcher", wire.watcher)? },
            DOWN => Self::Down {
                watcher: needed("watcher", wire.watcher)?,
                incarnation: needed("incarnation", wire.incarnation)?,
                reason: needed("reason", wire.reason)?,
                detail: wire.detail,
            },
            HOLD => Self::Hold,
            RESUME => Self::Resume,
            MAIL_KEYS => Self::MailKeys,
            KEEP => Self::Keep {
                outbox: needed("outbox", wire.outbox)?,
                sequence: needed("sequence", wire.sequence)?,
                envelope: needed("envelope", wire.envelope)?,
            },
            _ => Self::Unknown { action: wire.action },
        })
    }
}

fn needed<T>(field: &'static str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "missing; this action needs it"))
}
