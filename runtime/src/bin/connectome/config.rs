//! `connectome config`: the effective configuration, or what is wrong with it.

use connectome::config::{Config, ConfigError, Origin};

use crate::args::{ConfigAction, ConfigCommand};
use crate::doc::{Doc, Table};
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(command: &ConfigCommand) -> Result<Doc, Failure> {
    let config = command.config.load();
    match command.action {
        None => config.map(|config| show(&config)).map_err(Failure::from),
        Some(ConfigAction::Check) => check(config),
    }
}

fn show(config: &Config) -> Doc {
    config.warnings.iter().for_each(|warning| output::note(format_args!("warning: {warning}")));
    let rows = config.describe().rows.into_iter().map(|row| {
        vec![
            Doc::text(row.key),
            Doc::text(row.value),
            Doc::text(row.origin),
            Doc::text(row.variable),
            Doc::text(row.about),
        ]
    });
    let columns = &["key", "value", "origin", "variable", "about"];
    Doc::Table(Table { columns, shown: 3, rows: rows.collect(), empty: "no keys" })
}

fn check(config: Result<Config, ConfigError>) -> Result<Doc, Failure> {
    let config = config.map_err(|error| Failure::new(error.to_string()).with(problems(&error)))?;
    config.warnings.iter().for_each(|warning| output::note(format_args!("warning: {warning}")));
    let rows = config.describe().rows;
    let set = rows.iter().filter(|row| row.origin != Origin::Default).count();
    let sentence = format!(
        "the configuration is right: {set} of {} keys are set, the others have their defaults",
        rows.len()
    );
    let parts = vec![("ok", Doc::Truth(true)), ("warnings", Doc::list(&config.warnings))];
    Ok(Doc::Said(sentence, parts))
}

fn problems(error: &ConfigError) -> Doc {
    let rows = error.problems().iter();
    let rows =
        rows.map(|problem| vec![Doc::text(problem.key()), Doc::text(problem.origin()), Doc::text(problem)]);
    let table =
        Table { columns: &["key", "origin", "problem"], shown: 3, rows: rows.collect(), empty: "none" };
    Doc::Record(vec![("ok", Doc::Truth(false)), ("problems", Doc::Table(table))])
}
