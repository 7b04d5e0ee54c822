//! `STATUS`: how an agent is.

use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, ensure, label};
use super::{Body, Kind};
use crate::limits::DETAIL_MAX;
use crate::text::open_enum;

/// A full load: the load of an agent is counted in thousandths.
pub const LOAD_MAX: u32 = 1_000;

/// How an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is doing.
    pub status: AgentStatus,
    /// How busy it is, in thousandths: 0 is idle, 1,000 is as much as it can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<u32>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Body for Status {
    const KIND: Kind = Kind::Status;

    fn validate(&self) -> Result<(), Invalid> {
        check_load(self.load)?;
        label("detail", self.detail.as_deref(), DETAIL_MAX)
    }
}

pub(crate) fn check_load(load: Option<u32>) -> Result<(), Invalid> {
    let load = load.unwrap_or(0);
    ensure(load <= LOAD_MAX, "load", || format!("{load} thousandths; say 0 to {LOAD_MAX}"))
}

open_enum! {
    /// What an agent is doing.
    AgentStatus, "agent status", {
        /// It is not ready for messages yet.
        Starting = "starting",
        /// It waits for messages.
        Ready = "ready",
        /// It works on one.
        Busy = "busy",
        /// It finishes what it has and takes nothing new.
        Draining = "draining",
        /// It has ended as it should.
        Stopped = "stopped",
        /// It has ended as it should not.
        Failed = "failed",
    }
}
