//! How a [`Doc`] looks to a person: aligned tables, labelled parts, and nothing that could steer a terminal.

use serde_json::Value;

use crate::doc::{Doc, Table, hex};
use crate::time;

/// Bytes of a body that people are shown: enough to recognise it. Scripts get all of them.
const OCTETS_SHOWN: usize = 32;

/// Characters of one cell, and of a structure on one line: both should fit a wide terminal. A cell is cut; `show` has the
/// whole text.
const CELL_MAX: usize = 100;

/// Between two columns.
const GAP: &str = "  ";

/// The text of a document; each line ends with a newline.
pub(crate) fn render(doc: &Doc) -> String {
    let mut text = String::new();
    block(doc, 0, &mut text);
    text
}

fn block(doc: &Doc, indent: usize, out: &mut String) {
    match doc {
        Doc::Nothing => {}
        Doc::Record(parts) => record(parts, indent, out),
        Doc::Table(table) => rows(table, indent, out),
        Doc::Tree(value) => tree("", value, "", indent, out),
        Doc::Said(sentence, _) => line(indent, &clean(sentence), out),
        Doc::Text(text) => text.lines().for_each(|line_of| line(indent, &clean(line_of), out)),
        Doc::Truth(_) | Doc::Number(_) | Doc::Moment(_) | Doc::Octets(_) => line(indent, &cell(doc), out),
    }
}

fn record(parts: &[(&'static str, Doc)], indent: usize, out: &mut String) {
    let parts = || parts.iter().filter(|(_, part)| *part != Doc::Nothing);
    let width = parts().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, part) in parts() {
        if fits_a_line(part) {
            line(indent, &format!("{:width$}{GAP}{}", label(name), whole(part)), out);
        } else {
            line(indent, &label(name), out);
            block(part, indent + GAP.len(), out);
        }
    }
}

fn rows(table: &Table, indent: usize, out: &mut String) {
    if table.rows.is_empty() {
        return line(indent, table.empty, out);
    }
    let head: Vec<String> =
        table.columns[..table.shown].iter().map(|name| label(name).to_uppercase()).collect();
    let body = table.rows.iter().map(|row| row.iter().take(table.shown).map(cell).collect());
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width =
        |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..table.shown).map(width).collect();
    for cells in &lines {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(indent, padded.join(GAP).trim_end(), out);
    }
}

/// JSON, with whatever fits a line on one line. `before` and `after` are what surrounds the value: its key, its comma.
fn tree(before: &str, value: &Value, after: &str, indent: usize, out: &mut String) {
    let flat = value.to_string();
    let fits = flat.len() <= CELL_MAX;
    let children = |open: &str, children: Vec<(String, &Value)>, close: &str, out: &mut String| {
        line(indent, &format!("{before}{open}"), out);
        let last = children.len();
        for (number, (before, child)) in (1..).zip(children) {
            tree(&before, child, if number == last { "" } else { "," }, indent + GAP.len(), out);
        }
        line(indent, &format!("{close}{after}"), out);
    };
    match value {
        Value::Array(items) if !fits => {
            children("[", items.iter().map(|item| (String::new(), item)).collect(), "]", out);
        }
        Value::Object(entries) if !fits => {
            let keyed = |(key, value)| (clean(&format!("{}: ", Value::from(key))), value);
            children(
                "{",
                entries.iter().map(|(key, value)| keyed((key.as_str(), value))).collect(),
                "}",
                out,
            );
        }
        Value::Array(_)
        | Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => {
            line(indent, &format!("{before}{}{after}", clean(&flat)), out);
        }
    }
}

/// `attempts_max` reads as `attempts max`.
fn label(name: &str) -> String {
    name.replace('_', " ")
}

fn line(indent: usize, text: &str, out: &mut String) {
    out.extend([" ".repeat(indent).as_str(), text, "\n"]);
}

fn fits_a_line(doc: &Doc) -> bool {
    match doc {
        Doc::Record(_) | Doc::Table(_) => false,
        Doc::Tree(value) => is_flat(value),
        Doc::Text(text) => !text.contains('\n'),
        Doc::Nothing | Doc::Truth(_) | Doc::Number(_) | Doc::Moment(_) | Doc::Octets(_) | Doc::Said(..) => {
            true
        }
    }
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// One line, cut where it is too long for a cell.
fn cell(doc: &Doc) -> String {
    let text = whole(doc);
    match text.char_indices().nth(CELL_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// One line.
fn whole(doc: &Doc) -> String {
    match doc {
        Doc::Nothing => "-".to_owned(),
        Doc::Truth(true) => "yes".to_owned(),
        Doc::Truth(false) => "no".to_owned(),
        Doc::Number(number) => number.to_string(),
        Doc::Text(text) | Doc::Said(text, _) => clean(text),
        Doc::Moment(moment) => time::show(*moment),
        Doc::Octets(bytes) if bytes.is_empty() => "0 bytes".to_owned(),
        Doc::Octets(bytes) => {
            let more = if bytes.len() > OCTETS_SHOWN { "…" } else { "" };
            format!("{} bytes: {}{more}", bytes.len(), hex(&bytes[..bytes.len().min(OCTETS_SHOWN)]))
        }
        Doc::Tree(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Doc::Tree(value) => clean(&inline("", value)),
        Doc::Record(parts) => {
            let parts = parts.iter().filter(|(_, part)| *part != Doc::Nothing);
            parts.map(|(name, part)| format!("{name}={}", whole(part))).collect::<Vec<_>>().join(" ")
        }
        Doc::Table(table) => format!("{} rows", table.rows.len()),
    }
}

/// A value as pairs: `task=01K… attempt=2 error.code=handler`. The depth is that of a decoded body, at most 32.
fn inline(name: &str, value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let pairs = entries.iter().filter(|(_, value)| !value.is_null());
            let pairs = pairs.map(|(key, value)| match name {
                "" => inline(key, value),
                outer => inline(&format!("{outer}.{key}"), value),
            });
            pairs.collect::<Vec<_>>().join(" ")
        }
        Value::Array(items) => {
            named(name, &items.iter().map(|item| inline("", item)).collect::<Vec<_>>().join(","))
        }
        Value::String(text) => named(name, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => named(name, &value.to_string()),
    }
}

fn named(name: &str, text: &str) -> String {
    if name.is_empty() { text.to_owned() } else { format!("{name}={text}") }
}

/// Texts come from anywhere: what could steer a terminal is shown as an escape.
pub(crate) fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut clean, c| {
        if c.is_control() {
            clean.extend(c.escape_default())
        } else {
            clean.push(c)
        }
        clean
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        let doc = Doc::Record(vec![("cause", Doc::text("\u{1b}[2Jgone\r\u{9b}1m"))]);
        assert_eq!(render(&doc), "cause  \\u{1b}[2Jgone\\r\\u{9b}1m\n");
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = vec![vec![Doc::Number(7), Doc::text("née")], vec![Doc::Number(1_000), Doc::Nothing]];
        let table = Table { columns: &["at_seq", "name"], shown: 2, rows, empty: "none" };
        assert_eq!(render(&Doc::Table(table)), "AT SEQ  NAME\n7       née\n1000    -\n");
    }

    #[test]
    fn structures_are_broken_where_they_do_not_fit_a_line() {
        let value = json!({"short": [1, [2, 3]], "long": ["x".repeat(60), "y".repeat(60)], "none": {}});
        let (x, y) = ("x".repeat(60), "y".repeat(60));
        let wanted = format!(
            "{{\n  \"long\": [\n    \"{x}\",\n    \"{y}\"\n  ],\n  \"none\": {{}},\n  \"short\": [1,[2,3]]\n}}\n"
        );
        assert_eq!(render(&Doc::Tree(value)), wanted);
    }

    #[test]
    fn long_cells_are_cut_between_characters() {
        let shown = cell(&Doc::text("é".repeat(200)));
        assert_eq!(shown.chars().count(), CELL_MAX + 1);
    }
}
