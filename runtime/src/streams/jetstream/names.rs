//! What our streams, consumers, buckets, keys and subjects are called on the server.
//!
//! | ours | there |
//! |---|---|
//! | stream `TASK_ROUTING` | `<namespace>_TASK_ROUTING` |
//! | consumer `agent/writer` | `agent=writer`: the server allows no `/` in it |
//! | bucket `leases` | the stream `KV_<namespace>-leases` |
//! | key `a.b` of it | the subject `$KV.<namespace>-leases.a.b`; an empty token is written `%` |
//! | subject `task.sum` | itself, or behind the prefix of the options |

/// What stands for a token that is empty; no key holds it.
const EMPTY: &str = "%";

/// The words of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Names {
    namespace: String,
    prefix: Option<String>,
}

impl Names {
    pub(super) fn new(namespace: String, prefix: Option<String>) -> Names {
        Names { namespace, prefix }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn stream(&self, name: &str) -> String {
        format!("{}_{name}", self.namespace)
    }

    /// The stream that keeps which messages of a stream ran out of deliveries.
    pub(super) fn exhausted(&self, stream: &str) -> String {
        format!("{}_{stream}-exhausted", self.namespace)
    }

    pub(super) fn bucket(&self, name: &str) -> String {
        format!("KV_{}-{name}", self.namespace)
    }

    /// What the subjects of a bucket begin with.
    pub(super) fn keys(&self, bucket: &str) -> String {
        format!("$KV.{}-{bucket}.", self.namespace)
    }

    pub(super) fn subject(&self, ours: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}.{ours}"),
            None => ours.to_owned(),
        }
    }

    /// Our subject for the server's.
    pub(super) fn ours<'s>(&self, theirs: &'s str) -> &'s str {
        let rest = self.prefix.as_ref().and_then(|prefix| theirs.strip_prefix(prefix.as_str()));
        rest.and_then(|rest| rest.strip_prefix('.')).unwrap_or(theirs)
    }
}

pub(super) fn consumer(ours: &str) -> String {
    ours.replace('/', "=")
}

pub(super) fn our_consumer(theirs: &str) -> String {
    theirs.replace('=', "/")
}

/// A key as tokens of a subject.
pub(super) fn tokens(key: &str) -> String {
    let written = key.split('.').map(|token| if token.is_empty() { EMPTY } else { token });
    written.collect::<Vec<_>>().join(".")
}

/// The key that these tokens were written for.
pub(super) fn key(tokens: &str) -> String {
    let read = tokens.split('.').map(|token| if token == EMPTY { "" } else { token });
    read.collect::<Vec<_>>().join(".")
}

/// The narrowest filter below the keys of a bucket that lets through all keys that begin with `prefix`.
pub(super) fn keys_filter(prefix: &str) -> String {
    match prefix.rsplit_once('.') {
        Some((whole, _)) => format!("{}.>", tokens(whole)),
        None => ">".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names go there and come back.
    #[test]
    fn names_come_back() {
        for (prefix, theirs) in [(Some("p".to_owned()), "p.a.b"), (None, "a.b")] {
            let names = Names::new("ns".into(), prefix);
            assert_eq!(names.subject("a.b"), theirs);
            assert_eq!(names.ours(theirs), "a.b");
        }
        assert_eq!(our_consumer(&consumer("agent/a-b")), "agent/a-b");
    }

    /// Any key is a valid subject, and is read back; a filter for a prefix lets its keys through.
    #[test]
    fn keys_come_back() {
        for text in ["a", "a.b", ".", "a.", ".a", "a..b", "did:key/z6=.:-_"] {
            assert_eq!(key(&tokens(text)), text);
            assert!(tokens(text).split('.').all(|token| !token.is_empty()));
        }
        for (prefix, filter) in [("", ">"), ("a", ">"), ("a.", "a.>"), ("a.b", "a.>"), ("a..b", "a.%.>")] {
            assert_eq!(keys_filter(prefix), filter);
        }
    }
}
