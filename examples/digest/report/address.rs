//! Where a document lies, as a link from the report.

use std::fmt::{self, Display, Formatter};

/// The address of a file below a base, with what addresses do not hold in percent signs.
pub(super) struct Address<'d>(pub(super) &'d str, pub(super) &'d str);

impl Display for Address<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let separator = if self.0.is_empty() || self.0.ends_with('/') { "" } else { "/" };
        for byte in self.0.bytes().chain(separator.bytes()).chain(self.1.bytes()) {
            if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_no_sign_that_ends_it() {
        // Property: spaces, quotes, brackets and other scripts are in percent signs; the parts of a path stay; none is a scheme.
        assert_eq!(Address("../my docs", "a/b\">é.md").to_string(), "../my%20docs/a/b%22%3E%C3%A9.md");
        assert_eq!(Address("", "a.md").to_string(), "a.md");
        assert_eq!(Address("", "script:a").to_string(), "script%3Aa");
    }
}
