//! What a file mentions: a path written out, or imported, one by one or in a group.
//!
//! It does not see a path through a `use` of its parent (`use std::time; time::Instant`), a macro or a re-export.

use super::code::places_of;
use super::tree::File;

/// Where code mentions one of these paths, and which.
pub(super) fn mentions<'p>(code: &str, paths: &[&'p str]) -> Vec<(usize, &'p str)> {
    let imports = imports(code);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for &path in paths {
        // A module of ours may have the name of the crate that it speaks.
        let is_foreign = |at: &usize| !code[..*at].ends_with("transport::");
        found.extend(places_of(code, path).into_iter().filter(is_foreign).map(|at| (at, path)));
        let begins = |import: &str| {
            import.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        found.extend(imports.iter().filter(|(_, import)| begins(import)).map(|&(at, _)| (at, path)));
    }
    found.sort();
    found.dedup();
    found
}

/// Where the shipped part of a file mentions one of these paths, one place a line.
pub(super) fn shipped_mentions<'p>(file: &File, paths: &[&'p str]) -> Vec<(String, &'p str)> {
    let mentions = mentions(&file.shipped, paths);
    let mut places: Vec<_> = mentions.into_iter().map(|(at, path)| (file.place(at), path)).collect();
    places.dedup();
    places
}

/// Every path that code imports, with its groups taken apart, and where its `use` stands.
pub(super) fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in places_of(code, "use ") {
        let end = code[at..].find(';').map_or(code.len(), |length| at + length);
        let mut paths = Vec::new();
        take_apart("", code[at + 4..end].trim(), &mut paths);
        found.extend(paths.into_iter().map(|path| (at, path)));
    }
    found
}

fn take_apart(before: &str, import: &str, paths: &mut Vec<String>) {
    let Some((head, group)) = import.split_once('{') else {
        let path = import.split(" as ").next().unwrap_or(import).trim();
        paths.push(
            format!("{before}{}", path.trim_end_matches("::self")).trim_end_matches("::self").to_owned(),
        );
        return;
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    for part in split_group(group) {
        take_apart(&format!("{before}{}", head.trim()), part.trim(), paths);
    }
}

/// The parts of a group: between the commas that stand in no inner group.
fn split_group(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let commas = |c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    };
    group.split(commas).filter(|part| !part.trim().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups in groups, `self` and renames come out as plain paths.
    #[test]
    fn groups_are_taken_apart() {
        let code = "use std::{fs::{self, File}, time::Instant as Now};\nuse tokio::net;";
        let paths: Vec<String> = imports(code).into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["std::fs", "std::fs::File", "std::time::Instant", "tokio::net"]);
        assert_eq!(mentions(code, &["std::time::Instant", "std::f"]), [(0, "std::time::Instant")]);
    }
}
