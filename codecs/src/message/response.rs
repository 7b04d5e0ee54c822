//! `RESPONSE`: the answer to a call, whole or in numbered items.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, ensure};
use super::{Body, Kind};

/// The answer to the message that the envelope's `correlation` names. What `result` is says the envelope's
/// `content_type`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// The answer, or one item of it.
    pub result: Bytes,
    /// The number of this item, from 0, when the answer is a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
    /// Whether nothing follows.
    pub last: bool,
}

impl Response {
    /// The answer as a whole.
    pub fn whole(result: Bytes) -> Self {
        Self { result, item: None, last: true }
    }
}

impl Body for Response {
    const KIND: Kind = Kind::Response;

    fn validate(&self) -> Result<(), Invalid> {
        ensure(self.item.is_some() || self.last, "last", || {
            "false without an item number; number the items of a stream, or say true".into()
        })
    }
}
