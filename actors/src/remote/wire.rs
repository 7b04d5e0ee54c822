//! What nodes tell each other of failures and ends: as it is known here, and as it travels.

use std::time::Duration;

use connectome_codecs::NodeId;
use connectome_codecs::message::{self, ErrorCode};

use crate::error::{CallError, HandlerError};
use crate::monitor::DownReason;
use crate::protocol::restart::Exit;

/// The code of a call's failure, as it travels.
pub(super) fn wire_error(error: &CallError) -> message::Error {
    let code = ErrorCode::from_static(match error {
        CallError::Handler(error) if !error.is_retryable() => REJECTED,
        _ => error.code(),
    });
    message::Error::new(code, error.blame(), error.effect(), &wire_text(error))
}

/// What the receiver's own words are put around again, and at least one letter.
fn wire_text(error: &CallError) -> String {
    let text = match error {
        CallError::Crashed(why) | CallError::Stopped(why) | CallError::Cycle(why) => why.clone(),
        other => other.to_string(),
    };
    if text.is_empty() { "no reason was given".to_owned() } else { text }
}

const REJECTED: &str = "rejected";

/// A failure that came from another node. What its own code means here is kept; the rest is the handler's word.
pub(super) fn call_error(error: message::Error, within: Duration) -> CallError {
    let text = error.message.clone();
    match error.code.as_str() {
        "handler" => CallError::Handler(HandlerError::new(text)),
        REJECTED => CallError::Handler(HandlerError::rejected(text)),
        "crashed" => CallError::Crashed(text),
        "stopped" => CallError::Stopped(text),
        "cycle" => CallError::Cycle(text),
        "not_started" => CallError::NotStarted(within),
        "timed_out" => CallError::TimedOut(within),
        _ => CallError::Refused {
            code: error.code.to_string(),
            blame: error.blame,
            effect: error.effect,
            message: text,
        },
    }
}

pub(super) fn wire_reason(reason: &DownReason) -> (message::DownReason, String) {
    use message::DownReason as Wire;
    match reason {
        DownReason::NoAgent => (Wire::NotFound, String::new()),
        DownReason::NodeLost(_) => (Wire::NodeLost, String::new()),
        DownReason::Exit(exit) => exit_reason(exit),
    }
}

/// How an exit is told to others.
pub(crate) fn exit_reason(exit: &Exit) -> (message::DownReason, String) {
    use message::DownReason as Wire;
    match exit {
        Exit::Normal => (Wire::Normal, String::new()),
        Exit::Shutdown => (Wire::Shutdown, String::new()),
        Exit::Killed => (Wire::Killed, String::new()),
        Exit::Crashed(why) => (Wire::Crashed, shorten(why)),
        Exit::GaveUp | Exit::StartFailed { .. } => (Wire::Crashed, shorten(&exit.to_string())),
    }
}

/// What fits a control message.
fn shorten(text: &str) -> String {
    text[..text.floor_char_boundary(connectome_codecs::limits::DETAIL_MAX)].to_owned()
}

pub(super) fn local_reason(node: NodeId, reason: message::DownReason, detail: String) -> DownReason {
    use message::DownReason as Wire;
    match reason {
        Wire::Normal => DownReason::Exit(Exit::Normal),
        Wire::Shutdown => DownReason::Exit(Exit::Shutdown),
        Wire::Killed => DownReason::Exit(Exit::Killed),
        Wire::Crashed => DownReason::Exit(Exit::Crashed(detail)),
        Wire::NotFound => DownReason::NoAgent,
        Wire::NodeLost => DownReason::NodeLost(node),
        Wire::Unknown(code) => DownReason::Exit(Exit::Crashed(code)),
    }
}
