//! What streams, consumers, buckets and keys may be called: one rule each, one error for all.
//!
//! The rules are the strictest of every store behind the port, so that a name that works here works everywhere.

use connectome_actors::port::StreamError;

/// The longest stream or bucket name, in bytes: it becomes part of subjects and of file names elsewhere.
const PLACE_NAME_MAX: usize = 64;

/// The longest consumer name, in bytes: an agent's name with a prefix, below the 255 of a file name.
const CONSUMER_NAME_MAX: usize = 200;

/// The longest key, in bytes: as long as a subject, since a distributed store makes a subject of it.
const KEY_MAX: usize = 256;

/// A rule for names.
#[derive(Debug)]
pub(crate) struct Rule {
    what: &'static str,
    max: usize,
    letters: &'static str,
    allows: fn(u8) -> bool,
}

/// Names of streams.
pub(crate) const STREAM: Rule = Rule {
    what: "stream name",
    max: PLACE_NAME_MAX,
    letters: "A-Z, 0-9 and _",
    allows: |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_',
};

/// Names of consumers.
pub(crate) const CONSUMER: Rule = Rule {
    what: "consumer name",
    max: CONSUMER_NAME_MAX,
    letters: "A-Z, a-z, 0-9, _, - and /",
    allows: |c| c.is_ascii_alphanumeric() || b"_-/".contains(&c),
};

/// Names of buckets.
pub(crate) const BUCKET: Rule = Rule {
    what: "bucket name",
    max: PLACE_NAME_MAX,
    letters: "A-Z, a-z, 0-9, _ and -",
    allows: |c| c.is_ascii_alphanumeric() || b"_-".contains(&c),
};

/// Keys of a bucket.
pub(crate) const KEY: Rule = Rule {
    what: "key",
    max: KEY_MAX,
    letters: "A-Z, a-z, 0-9 and _ / = . : -",
    allows: |c| c.is_ascii_alphanumeric() || b"_/=.:-".contains(&c),
};

impl Rule {
    /// Passes a name, or says what is wrong with it and what would be right.
    ///
    /// # Errors
    /// [`StreamError::Invalid`].
    pub(crate) fn check(&self, name: &str) -> Result<(), StreamError> {
        match self.problem(name) {
            Some(problem) => Err(self.error(name, &problem)),
            None => Ok(()),
        }
    }

    fn problem(&self, name: &str) -> Option<String> {
        if name.is_empty() {
            return Some("it is empty".to_owned());
        }
        if name.len() > self.max {
            return Some(format!("it has {} bytes", name.len()));
        }
        let wrong = name.chars().find(|&c| !u8::try_from(c).is_ok_and(self.allows))?;
        Some(format!("it holds {wrong:?}"))
    }

    fn error(&self, name: &str, problem: &str) -> StreamError {
        let shown: String = name.chars().take(self.max).collect();
        let Self { what, max, letters, .. } = self;
        StreamError::Invalid(format!("{what} {shown:?}: {problem}; use 1 to {max} of {letters}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_design_pass() {
        for name in ["AGENT_MESSAGES", "TASK_ROUTING", "S1"] {
            STREAM.check(name).unwrap();
        }
        CONSUMER.check("agent/writer-1_a").unwrap();
        BUCKET.check("prekeys").unwrap();
        KEY.check("did:key/z6Mk=.:-").unwrap();
    }

    #[test]
    fn an_error_names_the_letter_and_what_would_be_right() {
        let error = STREAM.check("a b").unwrap_err().to_string();
        assert_eq!(error, "stream name \"a b\": it holds 'a'; use 1 to 64 of A-Z, 0-9 and _");
    }

    #[test]
    fn empty_and_long_names_are_refused() {
        for rule in [&STREAM, &CONSUMER, &BUCKET, &KEY] {
            rule.check("").unwrap_err();
            rule.check(&"A".repeat(rule.max)).unwrap();
            rule.check(&"A".repeat(rule.max + 1)).unwrap_err();
            rule.check("Ä").unwrap_err();
            rule.check("A*").unwrap_err();
        }
    }
}
