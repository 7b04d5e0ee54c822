//! What is wrong with a configuration: all of it at once, each with its place and its remedy.

use std::fmt;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

/// Problems that are told one by one; of the others only the number is. More than this is not a slip but another file.
const PROBLEMS_SHOWN_MAX: usize = 32;

/// How much of a wrong value is shown, in characters: enough to find it.
const VALUE_SHOWN_MAX: usize = 64;

/// Everything that is wrong with a configuration. Whoever wrote it must act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn unless_empty(problems: Vec<Problem>) -> Result<(), ConfigError> {
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    /// Each of them, in the order they were found: file, environment, flags, then values that can't be.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for problem in self.problems.iter().take(PROBLEMS_SHOWN_MAX) {
            write!(f, "\n  {problem}")?;
        }
        match self.problems.len().checked_sub(PROBLEMS_SHOWN_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n  and {more} more"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    key: Box<str>,
    value: Option<Box<str>>,
    origin: Origin,
    wrong: Wrong,
}

impl Problem {
    /// `value` is left out where it may be a secret.
    pub(super) fn new(key: &str, value: Option<&str>, origin: Origin, wrong: Wrong) -> Problem {
        Problem {
            key: shorten(key).escape_debug().to_string().into(),
            value: value.map(|value| shorten(value).into()),
            origin,
            wrong,
        }
    }

    /// The key, or the variable, or what else it is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " ({}): {}", self.origin, self.wrong)
    }
}

/// What is wrong with a value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {right}")]
pub struct Wrong {
    pub(super) problem: String,
    pub(super) right: String,
}

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, right: impl Into<String>) -> Wrong {
        Wrong { problem: problem.into(), right: right.into() }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// Which one.
        path: PathBuf,
        /// The line, from 1; 0 for the file as a whole.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Which one.
        variable: String,
    },
    /// A flag of the command.
    Flag,
    /// The program itself.
    Program,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line: 0 } => write!(f, "{}", path.display()),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { variable } => write!(f, "environment {variable}"),
            Origin::Flag => f.write_str("flag"),
            Origin::Program => f.write_str("program"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
