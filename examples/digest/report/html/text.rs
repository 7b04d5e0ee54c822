//! What a document says, written so that HTML shows it and never obeys it; and the links made of it.

use std::fmt::{self, Display, Formatter};

use crate::analysis::DocumentDigest;
use crate::report::Report;
use crate::report::address::Address;

/// A link to the place of a document on this page.
pub(super) struct Link<'d>(pub(super) &'d DocumentDigest);

impl Display for Link<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<a href=\"#d{}\" title=\"{}\">{}</a>",
            self.0.index,
            Text(&self.0.path),
            Text(&self.0.title)
        )
    }
}

/// A document's path, and a link to it when we know where it lies.
pub(super) struct Path<'d>(pub(super) &'d DocumentDigest, pub(super) &'d Report<'d>);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let path = Text(&self.0.path);
        match &self.1.base {
            Some(base) => write!(f, "<a class=\"path\" href=\"{}\">{path}</a>", Address(base, &self.0.path)),
            None => write!(f, "<span class=\"path\">{path}</span>"),
        }
    }
}

/// The name of a folder; the root has none of its own.
pub(super) struct Folder<'d>(pub(super) &'d str);

impl Display for Folder<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("Top level") } else { Text(self.0).fmt(f) }
    }
}

/// Text that HTML takes as it stands, between tags and in quoted attributes.
pub(super) struct Text<'t>(pub(super) &'t str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}
