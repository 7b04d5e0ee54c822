//! What is wrong with a message that has the right type.

/// Which field breaks the rules of its message, why, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Invalid {
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// Fails with what `problem` says unless the rule holds.
pub(crate) fn ensure(
    holds: bool,
    field: &'static str,
    problem: impl FnOnce() -> String,
) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid::new(field, problem())) }
}

/// At most `max` items, or bytes.
pub(crate) fn at_most(field: &'static str, unit: &str, count: usize, max: usize) -> Result<(), Invalid> {
    ensure(count <= max, field, || format!("{count} {unit}, at most {max} are allowed; shorten or split it"))
}

/// A label that may be missing, but is not empty when it is there.
pub(crate) fn label(field: &'static str, label: Option<&str>, max: usize) -> Result<(), Invalid> {
    let Some(label) = label else { return Ok(()) };
    ensure(!label.is_empty(), field, || "it is empty; leave it out".into())?;
    at_most(field, "bytes", label.len(), max)
}
