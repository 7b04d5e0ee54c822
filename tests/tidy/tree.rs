//! The files of the repository, as git would see them, or a sample made for a test.

use std::fs;
use std::path::Path;

use ignore::WalkBuilder;

use super::code;

/// All files, in the order of their paths.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One file. What is no text has an empty text.
pub(super) struct File {
    /// From the root, with `/` between the parts.
    pub(super) path: String,
    pub(super) text: String,
    /// Of a Rust file: the text with its comments and strings blanked, line by line and column by column the same.
    pub(super) code: String,
    /// The code without what is only compiled for tests.
    pub(super) shipped: String,
    pub(super) executable: bool,
}

impl Tree {
    /// The repository that this test was built from.
    pub(super) fn repository() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace");
        let walk = WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        let entries = walk.map(|entry| entry.expect("the repository can be read"));
        let files = entries.filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
        Tree::of(files.map(|entry| read(root, entry.path())).collect())
    }

    /// A tree of `(path, text)`.
    pub(super) fn sample(files: &[(&str, &str)]) -> Tree {
        Tree::of(files.iter().map(|(path, text)| File::new(path, text, false)).collect())
    }

    fn of(mut files: Vec<File>) -> Tree {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let for_tests: Vec<String> = files.iter().flat_map(modules_for_tests).collect();
        for file in &mut files {
            let below = |module: &String| {
                file.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if is_test_path(&file.path) || for_tests.iter().any(below) {
                file.shipped = String::new();
            }
        }
        Tree { files }
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The Rust files below one of these paths.
    pub(super) fn rust_below<'t>(&'t self, prefixes: &'t [&'t str]) -> impl Iterator<Item = &'t File> {
        self.rust().filter(|file| prefixes.iter().any(|prefix| file.path.starts_with(prefix)))
    }

    /// The Markdown files.
    pub(super) fn documents(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl File {
    fn new(path: &str, text: &str, executable: bool) -> File {
        let is_rust = path.ends_with(".rs");
        let code = if is_rust { code::without_comments_and_strings(text) } else { String::new() };
        let shipped = code::without_tests(&code);
        File { path: path.to_owned(), text: text.to_owned(), code, shipped, executable }
    }

    /// The place of a byte of the text.
    pub(super) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, code::line_of(&self.text, at))
    }
}

fn read(root: &Path, path: &Path) -> File {
    let name = path.strip_prefix(root).expect("the walk starts at the root");
    let name = name.to_string_lossy().replace('\\', "/");
    let text = String::from_utf8(fs::read(path).expect("the file can be read")).unwrap_or_default();
    File::new(&name, &text, is_executable(path))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

/// Whether cargo builds it for tests and benches alone.
fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/") || path.starts_with("benches/") || path.contains("/tests/")
}

/// The modules that a file declares for tests alone, as paths without `.rs`.
fn modules_for_tests(file: &File) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let (directory, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let is_root = matches!(name, "lib" | "main" | "mod") || directory.ends_with("bin");
    let home = if is_root { directory } else { stem };
    code::modules_for_tests(&file.code).into_iter().map(|module| format!("{home}/{module}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that its parent declares for tests alone is not shipped, wherever it stands.
    #[test]
    fn modules_for_tests_are_not_shipped() {
        let tree = Tree::sample(&[
            ("runtime/src/lib.rs", "#[cfg(test)]\nmod model;\nmod store;\n"),
            ("runtime/src/model.rs", "fn check() {}"),
            ("runtime/src/model/naive.rs", "fn naive() {}"),
            ("runtime/src/store.rs", "fn keep() {}"),
        ]);
        let shipped: Vec<&str> = tree.rust().map(|file| file.shipped.trim()).collect();
        assert_eq!(shipped, ["mod store;", "", "", "fn keep() {}"]);
    }

    /// The walk sees what git keeps, and nothing that is built.
    #[test]
    fn the_repository_is_seen_whole() {
        let tree = Tree::repository();
        assert!(tree.file("Cargo.toml").is_some() && tree.file("tests/tidy/tree.rs").is_some());
        assert!(tree.file(".ci/run").is_some_and(|run| run.executable), ".ci/run can be run");
        assert!(!tree.files.iter().any(|file| file.path.starts_with("target/")));
    }
}
