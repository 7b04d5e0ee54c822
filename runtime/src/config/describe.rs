//! The effective configuration, to look at: a table for people, or rows for `--json`.

use std::fmt;

use serde::Serialize;

use super::key::KEYS;
use super::problem::Origin;
use super::{Config, key};

/// Every key with its value. It holds no secret: those are in files, and only their paths are here.
///
/// ```
/// use connectome::config::Config;
///
/// let config = Config::load(None, [("CONNECTOME_NAME", "till-3")], [])?;
/// let shown = config.describe().to_string();
/// assert!(shown.lines().any(|line| line.starts_with("name ") && line.ends_with("environment CONNECTOME_NAME")));
/// # Ok::<(), connectome::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Description {
    /// In the order of the keys.
    pub rows: Vec<Row>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Its name in the file and among the flags.
    pub key: &'static str,
    /// Its effective value, as one would write it.
    pub value: String,
    /// Where that comes from.
    pub origin: Origin,
    /// The variable that sets it.
    pub variable: String,
    /// What it is for.
    pub about: &'static str,
}

pub(super) fn describe(config: &Config) -> Description {
    let mut copy = config.clone();
    Description { rows: KEYS.iter().map(|key| row(config, &mut copy, key)).collect() }
}

fn row(config: &Config, copy: &mut Config, key: &key::Key) -> Row {
    let value = (key.field)(copy).to_string();
    let origin = config.origin(key.name, &value);
    Row { key: key.name, value, origin, variable: key.variable(), about: key.about }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Row) -> usize| self.rows.iter().map(of).max().unwrap_or_default();
        let (key, value) = (width(|row| row.key.len()), width(|row| row.value.chars().count()));
        for row in &self.rows {
            writeln!(f, "{:key$}  {:value$}  {}", row.key, row.value, row.origin)?;
        }
        Ok(())
    }
}
