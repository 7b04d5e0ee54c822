//! Standard output and standard error: what is written where, and with which exit code the command ends.
//!
//! Whoever reads the output may stop reading: `connectome event ls | head` is no failure.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::doc::Doc;
use crate::failure::{Failure, USAGE};
use crate::plain;

/// Prints what was found.
pub(crate) fn print(doc: &Doc, json: bool) -> ExitCode {
    match write(doc, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&Failure::new(format!("the output could not be written: {error}")), json),
    }
}

/// Says what went wrong; scripts get the details of it too, where there are any.
pub(crate) fn fail(failure: &Failure, json: bool) -> ExitCode {
    complain(failure);
    if json && failure.details != Doc::Nothing {
        // That it failed is said already, whoever reads this or not.
        drop(write(&failure.details, json));
    }
    ExitCode::from(failure.code)
}

/// Prints help, or says what is wrong with the command line.
pub(crate) fn usage(refused: &clap::Error) -> ExitCode {
    // A closed pipe changes nothing about what was asked.
    drop(refused.print());
    if refused.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Says something beside the output: a warning, or how much was left out.
pub(crate) fn note(what: impl Display) {
    // Without a standard error there is nobody to tell.
    drop(writeln!(io::stderr(), "{}", plain::clean(&what.to_string())));
}

fn complain(what: impl Display) {
    for (number, line) in what.to_string().lines().enumerate() {
        let prefix = if number == 0 { "error: " } else { "" };
        note(format_args!("{prefix}{line}"));
    }
}

/// Writes a document to the standard output, whole, at once.
pub(crate) fn write(doc: &Doc, json: bool) -> io::Result<()> {
    let text = match (json, doc) {
        (false, _) => plain::render(doc),
        (true, Doc::Nothing) => String::new(),
        (true, _) => serde_json::to_string_pretty(doc)? + "\n",
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
