//! Words that later parts will understand. Until then they are not passed over: whoever sets one expects something.

use super::problem::{Origin, Problem, Wrong};

/// What a word would ask for, and how bad it is that nothing happens.
struct Reserved {
    /// The variable; one that ends in `*` stands for all that begin so.
    variable: &'static str,
    /// The key in a file.
    key: &'static str,
    what: &'static str,
    remedy: &'static str,
    /// Whether other programs use the variable too, so that it may not be meant for us.
    common: bool,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        variable: "NATS_STREAM_*",
        key: "nats.stream.*",
        what: "streams have no such setting",
        remedy: "unset it; NATS_STREAM_MAX_AGE, _MAX_BYTES, _REPLICAS, _RETENTION, _STORAGE, _SHARDS and _DUPLICATE_WINDOW do apply",
        common: false,
    },
    Reserved {
        variable: "CENTRAL_CORE_URL",
        key: "central_core_url",
        what: "this build has no connection to a central core",
        remedy: "unset it",
        common: false,
    },
    Reserved {
        variable: "WEBSOCKET_URL",
        key: "websocket_url",
        what: "this build has no gateway",
        remedy: "unset it",
        common: false,
    },
    Reserved {
        variable: "AGENT_ID",
        key: "agent.id",
        what: "an agent's id is made from the root key and the agent's name",
        remedy: "it does nothing here",
        common: true,
    },
    Reserved {
        variable: "AGENT_NAME",
        key: "agent.name",
        what: "an agent's name is given when it is spawned",
        remedy: "it does nothing here; the node's name is CONNECTOME_NAME",
        common: true,
    },
    Reserved {
        variable: "AGENT_ROLE",
        key: "agent.role",
        what: "an agent's capabilities are given when it is spawned",
        remedy: "it does nothing here",
        common: true,
    },
];

/// What a variable's presence means. Its value is not shown: it may hold a password.
pub(super) enum Verdict {
    /// Nobody reserved it.
    Free,
    /// It is to be told, and may be meant for others.
    Warning(String),
    /// It can't be left without effect.
    Problem(Problem),
}

/// Looks at a variable that no key answers to.
pub(super) fn variable(name: &str) -> Verdict {
    let Some(reserved) = RESERVED.iter().find(|reserved| matches(reserved.variable, name)) else {
        return Verdict::Free;
    };
    if reserved.common {
        return Verdict::Warning(format!("{name} is set: {}; {}", reserved.what, reserved.remedy));
    }
    let origin = Origin::Environment { variable: name.to_owned() };
    Verdict::Problem(Problem::new(name, None, origin, Wrong::new(reserved.what, reserved.remedy)))
}

/// What is wrong with a key in a file or a flag that nothing answers to yet.
pub(super) fn key(name: &str) -> Option<Wrong> {
    let reserved = RESERVED.iter().find(|reserved| matches(reserved.key, name))?;
    Some(Wrong::new(reserved.what, "take it out"))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}
