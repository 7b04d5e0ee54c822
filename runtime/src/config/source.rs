//! Where settings come from: a file, an environment, flags. Here they become pairs of a key and a text.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::key::{self, KEYS, Key};
use super::problem::{Origin, Problem, Wrong};
use super::reserved::{self, Verdict};

/// The largest file that is read, in bytes: twenty times what all keys need, with comments.
const FILE_MAX: u64 = 64 * 1024;

/// The variable that names the file.
const FILE_VARIABLE: &str = "CONNECTOME_CONFIG";

/// Names longer than this are not compared with ours: no slip of the finger makes one of them.
const COMPARED_MAX: usize = 64;

/// One value for one key, as somebody wrote it.
pub(super) struct Setting {
    pub(super) key: &'static Key,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// What an environment says.
#[derive(Default)]
pub(super) struct Environment {
    /// The file it names.
    pub(super) file: Option<PathBuf>,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<String>,
}

/// Takes what is meant for us out of an environment.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    problems: &mut Vec<Problem>,
) -> Environment {
    let pairs = variables.into_iter().filter_map(|(name, value)| {
        let (name, value) = (name.into().into_string().ok()?, value.into());
        (!value.is_empty()).then_some((name, value))
    });
    let mut variables: BTreeMap<String, OsString> = pairs.collect();
    let mut environment =
        Environment { file: variables.remove(FILE_VARIABLE).map(PathBuf::from), ..Default::default() };
    for key in KEYS {
        environment.settings.extend(variable_of(key, &mut variables, problems));
    }
    for name in variables.into_keys() {
        match reserved::variable(&name) {
            Verdict::Problem(problem) => problems.push(problem),
            Verdict::Warning(warning) => environment.warnings.push(warning),
            Verdict::Free if name.starts_with("CONNECTOME_") => problems.push(unknown_variable(&name)),
            Verdict::Free => {}
        }
    }
    environment
}

/// A key's own variable, else the first of its aliases that is set. All of them are taken out.
fn variable_of(
    key: &'static Key,
    variables: &mut BTreeMap<String, OsString>,
    problems: &mut Vec<Problem>,
) -> Option<Setting> {
    let names = std::iter::once(key.variable()).chain(key.aliases.iter().map(|alias| (*alias).to_owned()));
    let set: Vec<_> = names.filter_map(|name| variables.remove(&name).map(|value| (name, value))).collect();
    let (variable, value) = set.into_iter().next()?;
    let origin = Origin::Environment { variable: variable.clone() };
    match value.into_string() {
        Ok(text) => Some(Setting { key, text, origin }),
        Err(value) => {
            let wrong = Wrong::new("not UTF-8", "write it in UTF-8");
            problems.push(Problem::new(&variable, Some(&value.to_string_lossy()), origin, wrong));
            None
        }
    }
}

fn unknown_variable(name: &str) -> Problem {
    let ours = KEYS.iter().map(Key::variable).chain([FILE_VARIABLE.to_owned()]);
    let wrong = unknown("no variable of Connectome", suggestion(name, ours));
    Problem::new(name, None, Origin::Environment { variable: name.to_owned() }, wrong)
}

/// Takes keys and values as a command's flags give them.
pub(super) fn flags<'a>(
    flags: impl IntoIterator<Item = (&'a str, &'a str)>,
    problems: &mut Vec<Problem>,
) -> Vec<Setting> {
    let settings = flags.into_iter().map(|(name, text)| setting(name, text.to_owned(), Origin::Flag));
    sort_out(settings, problems)
}

/// Reads a TOML file.
pub(super) fn file(path: &Path, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let text = match read(path) {
        Ok(text) => text,
        Err(error) => {
            let wrong = Wrong::new(error.to_string(), "name a TOML file that this user can read");
            problems.push(Problem::new("file", None, Origin::File { path: path.to_owned(), line: 0 }, wrong));
            return Vec::new();
        }
    };
    settings(path, &text, problems)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than the {FILE_MAX} bytes that are read")));
    }
    Ok(text)
}

/// The settings in the text of a TOML file.
pub(super) fn settings(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Vec<Setting> {
    let origin =
        |at: usize| Origin::File { path: path.to_owned(), line: 1 + text[..at].matches('\n').count() };
    let (table, errors) = DeTable::parse_recoverable(text);
    problems.extend(errors.into_iter().map(|error| {
        let wrong = Wrong::new(error.message().replace('\n', ", "), "write it as TOML: name = \"value\"");
        Problem::new("file", None, origin(error.span().map_or(0, |span| floor(text, span.start))), wrong)
    }));
    let mut found = Vec::new();
    flatten("", table.get_ref(), &mut |name, at, value| {
        found.push(setting(&name, value, origin(floor(text, at))))
    });
    sort_out(found, problems)
}

/// A place in the text that a line can be counted to.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Every value with the dotted name of its key and its place. The parser bounds the depth.
fn flatten(prefix: &str, table: &DeTable<'_>, found: &mut dyn FnMut(String, usize, String)) {
    for (name, value) in table {
        let name = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => flatten(&format!("{name}."), table, found),
            single => found(name, value.span().start, text_of(single)),
        }
    }
}

fn text_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(values) => {
            values.iter().map(|value| text_of(value.get_ref())).collect::<Vec<_>>().join(",")
        }
        DeValue::Table(_) => "{}".to_owned(),
    }
}

fn setting(name: &str, text: String, origin: Origin) -> Result<Setting, Problem> {
    match key::find(name) {
        Some(key) => Ok(Setting { key, text, origin }),
        None => {
            let ours = KEYS.iter().map(|key| key.name.to_owned());
            let wrong = reserved::key(name).unwrap_or_else(|| unknown("no such key", suggestion(name, ours)));
            Err(Problem::new(name, None, origin, wrong))
        }
    }
}

fn sort_out(
    settings: impl IntoIterator<Item = Result<Setting, Problem>>,
    problems: &mut Vec<Problem>,
) -> Vec<Setting> {
    let mut good = Vec::new();
    for setting in settings {
        match setting {
            Ok(setting) => good.push(setting),
            Err(problem) => problems.push(problem),
        }
    }
    good
}

fn unknown(problem: &str, suggestion: Option<String>) -> Wrong {
    let right = suggestion.map_or_else(
        || "take it out; `connectome config` lists what there is".to_owned(),
        |ours| format!("did you mean {ours}?"),
    );
    Wrong::new(problem, right)
}

/// The one of our names that somebody may have meant: the same last part, or a few letters off.
fn suggestion(name: &str, ours: impl Iterator<Item = String>) -> Option<String> {
    if name.len() > COMPARED_MAX {
        return None;
    }
    let distance = |ours: &str| match ours.rsplit('.').next() {
        Some(last) if last == name => 0,
        Some(_) | None => strsim::damerau_levenshtein(ours, name),
    };
    let (distance, best) = ours.map(|ours| (distance(&ours), ours)).min()?;
    (distance <= 2 + name.len() / 8).then_some(best)
}
