//! What kind of text a file holds, told by its name alone, and how its language marks a comment.
//!
//! A new language is one variant and one row in each `match`. Data formats (JSON, TOML, lock files) are
//! left out on purpose: they hold values, not sentences. The words a language reserves are in `stop_words`.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// What a document is made of, and so how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Plain text: paragraphs between blank lines.
    Prose,
    /// CommonMark, with tables and footnotes.
    Markdown,
    /// A program, whose prose is in its comments.
    Source(Language),
}

/// A programming language whose comments we can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    Rust,
    C,
    Cpp,
    CSharp,
    Go,
    Haskell,
    Java,
    JavaScript,
    Kotlin,
    Lua,
    Php,
    Python,
    Ruby,
    Scala,
    Shell,
    Sql,
    Swift,
    TypeScript,
    Zig,
}

/// How comments are marked: to the end of a line, and between two marks.
pub struct Marks {
    /// Marks that begin a comment line, longest first.
    pub line: &'static [&'static str],
    /// Pairs that open and close a comment.
    pub block: &'static [(&'static str, &'static str)],
}

/// What [`Kind::of`] knows, in words, for the error that finds none of it.
pub const KNOWN: &str = "plain text (.txt, .rst, .adoc, README, LICENSE and the like), Markdown (.md), and source code \
     (.rs, .py, .js, .ts, .go, .java, .c, .cpp, .sh and others)";

const SLASHES: Marks =
    Marks { line: &["///", "//!", "//"], block: &[("/**", "*/"), ("/*!", "*/"), ("/*", "*/")] };
const HASH: Marks = Marks { line: &["#"], block: &[] };
const PYTHON: Marks = Marks { line: &["#"], block: &[("\"\"\"", "\"\"\""), ("r\"\"\"", "\"\"\"")] };
const RUBY: Marks = Marks { line: &["#"], block: &[("=begin", "=end")] };
const DASHES: Marks = Marks { line: &["--"], block: &[("/*", "*/")] };
const LUA: Marks = Marks { line: &["---", "--"], block: &[("--[[", "]]")] };
const HASKELL: Marks = Marks { line: &["-- |", "-- ^", "--"], block: &[("{-|", "-}"), ("{-", "-}")] };
const PHP: Marks = Marks { line: &["//", "#"], block: &[("/**", "*/"), ("/*", "*/")] };

/// Names without an extension that are prose all the same.
const PROSE_NAMES: &[&str] = &[
    "authors",
    "changelog",
    "changes",
    "contributing",
    "copying",
    "install",
    "license",
    "news",
    "notes",
    "notice",
    "readme",
    "todo",
];

impl Kind {
    /// The kind of the file at `path`, or `None` when it is not one we read.
    pub fn of(path: &Path) -> Option<Self> {
        let Some(extension) = path.extension() else {
            return Self::of_bare_name(path);
        };
        match extension.to_str()?.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdown" | "mkd" => Some(Self::Markdown),
            "txt" | "text" | "rst" | "adoc" | "asciidoc" | "org" => Some(Self::Prose),
            other => Language::of_extension(other).map(Self::Source),
        }
    }

    /// The word a reader knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prose => "text",
            Self::Markdown => "Markdown",
            Self::Source(language) => language.name(),
        }
    }

    fn of_bare_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let stem = name.split(['-', '_']).next().unwrap_or(&name);
        PROSE_NAMES.contains(&stem).then_some(Self::Prose)
    }
}

impl Language {
    fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension {
            "rs" => Self::Rust,
            "c" | "h" => Self::C,
            "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => Self::Cpp,
            "cs" => Self::CSharp,
            "go" => Self::Go,
            "hs" => Self::Haskell,
            "java" => Self::Java,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "kt" | "kts" => Self::Kotlin,
            "lua" => Self::Lua,
            "php" => Self::Php,
            "py" | "pyi" => Self::Python,
            "rb" => Self::Ruby,
            "scala" => Self::Scala,
            "sh" | "bash" | "zsh" => Self::Shell,
            "sql" => Self::Sql,
            "swift" => Self::Swift,
            "ts" | "tsx" | "mts" => Self::TypeScript,
            "zig" => Self::Zig,
            _ => return None,
        })
    }

    /// The language's own spelling of its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::Cpp => "C++",
            Self::CSharp => "C#",
            Self::Go => "Go",
            Self::Haskell => "Haskell",
            Self::Java => "Java",
            Self::JavaScript => "JavaScript",
            Self::Kotlin => "Kotlin",
            Self::Lua => "Lua",
            Self::Php => "PHP",
            Self::Python => "Python",
            Self::Ruby => "Ruby",
            Self::Scala => "Scala",
            Self::Shell => "shell",
            Self::Sql => "SQL",
            Self::Swift => "Swift",
            Self::TypeScript => "TypeScript",
            Self::Zig => "Zig",
        }
    }

    /// How its comments are marked.
    pub fn marks(self) -> &'static Marks {
        match self {
            Self::Rust | Self::C | Self::Cpp | Self::CSharp | Self::Go | Self::Java => &SLASHES,
            Self::JavaScript | Self::Kotlin | Self::Scala | Self::Swift | Self::TypeScript | Self::Zig => {
                &SLASHES
            }
            Self::Shell => &HASH,
            Self::Python => &PYTHON,
            Self::Ruby => &RUBY,
            Self::Sql => &DASHES,
            Self::Lua => &LUA,
            Self::Haskell => &HASKELL,
            Self::Php => &PHP,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Option<Kind> {
        Kind::of(Path::new(path))
    }

    #[test]
    fn a_name_tells_the_kind() {
        // Property: extension first, in any case; a few bare names are prose; anything else is not read.
        assert_eq!(kind("a/README.MD"), Some(Kind::Markdown));
        assert_eq!(kind("LICENSE-MIT"), Some(Kind::Prose));
        assert_eq!(kind("src/lib.rs"), Some(Kind::Source(Language::Rust)));
        assert_eq!(kind("Cargo.lock"), None);
        assert_eq!(kind("picture.png"), None);
        assert_eq!(kind("Makefile"), None);
    }
}
