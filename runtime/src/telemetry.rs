//! Logs: what a program prints of the spans and events that the library emits.
//!
//! The library itself never calls this: whoever embeds it has a subscriber of his own. Metrics are not here.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: compact, in colour on a terminal that wants it.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Logs could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter makes no sense; the text says where.
    #[error(
        "the log filter {filter:?} is not right ({cause}): write targets and levels, such as info,connectome=debug"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Somebody has set them up before; that goes on as it was.
    #[error("logs are set up already: do it once, in main")]
    AlreadySet,
}

/// Sends what passes the filter to the standard error, for the whole process.
///
/// ```
/// use connectome::telemetry::{Format, TelemetryError, init};
///
/// init("info,connectome=debug", Format::Text)?;
/// assert!(matches!(init("info", Format::Text), Err(TelemetryError::AlreadySet)));
/// # Ok::<(), TelemetryError>(())
/// ```
///
/// # Errors
/// When the filter is not right, or logs are set up already; in both cases nothing has changed.
pub fn init(filter: &str, format: Format) -> Result<(), TelemetryError> {
    check_filter(filter)?;
    // Whoever read the log may be gone; to say so would be to write there again, and a failed write of that kind panics.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .log_internal_errors(false);
    let set = match format {
        Format::Text => logs.compact().with_ansi(wants_colour()).try_init(),
        Format::Json => logs.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| TelemetryError::AlreadySet)
}

/// Whether a filter makes sense.
///
/// # Errors
/// [`TelemetryError::Filter`] when it does not.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    match EnvFilter::try_new(filter) {
        Ok(_) => Ok(()),
        Err(error) => Err(TelemetryError::Filter { filter: filter.to_owned(), cause: error.to_string() }),
    }
}

/// A terminal that has not asked for plain text (<https://no-color.org>).
fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_its_text() {
        let error = check_filter("connectome=loud").unwrap_err().to_string();
        assert!(error.contains("\"connectome=loud\"") && error.contains("info,connectome=debug"), "{error}");
    }

    #[test]
    fn filters_of_targets_levels_and_spans_are_taken() {
        for filter in ["", "info", "off", "warn,connectome=trace", "connectome[call]=debug"] {
            assert!(check_filter(filter).is_ok(), "{filter}");
        }
    }
}
