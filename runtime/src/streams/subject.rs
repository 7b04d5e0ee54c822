//! Subjects and filters: tokens joined by dots; in a filter `*` stands for one token and a last `>` for one or more.
//!
//! Pure, and shared by every store. It does not know streams or consumers.

use connectome_actors::port::StreamError;

/// The longest subject or filter, in bytes: a namespace, a kind, a shard and an agent's name fit twice.
pub(crate) const SUBJECT_MAX: usize = 256;

/// What a subject may be made of, in words, for errors.
const RIGHT: &str = "write tokens of A-Z, a-z, 0-9, _, /, : and -, joined by dots, at most 256 bytes";

/// Passes a subject that can be published to: no wildcards.
///
/// # Errors
/// [`StreamError::Invalid`] with what is wrong and what would be right.
pub(crate) fn check_subject(subject: &str) -> Result<(), StreamError> {
    check_length(subject, "subject")?;
    match subject.split('.').find(|token| !is_plain(token)) {
        Some(token) => Err(invalid("subject", subject, &format!("the token {token:?} does not fit"))),
        None => Ok(()),
    }
}

/// Which subjects someone wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `>`: every subject.
    All,
    /// No wildcard: one subject.
    Literal,
    /// Some wildcard.
    Pattern,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// [`StreamError::Invalid`] with what is wrong and what would be right.
    pub(crate) fn parse(text: &str) -> Result<Self, StreamError> {
        check_length(text, "filter")?;
        let tokens = text.split('.').count();
        for (at, token) in text.split('.').enumerate() {
            let fits = is_plain(token) || token == "*" || (token == ">" && at + 1 == tokens);
            if !fits {
                return Err(invalid("filter", text, &misfit(token)));
            }
        }
        Ok(Self { kind: kind_of(text), text: text.to_owned() })
    }

    /// The filter as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The one subject it matches, when it has no wildcard.
    pub(crate) fn literal(&self) -> Option<&str> {
        (self.kind == Kind::Literal).then_some(self.as_str())
    }

    /// Whether it matches `subject`.
    pub(crate) fn matches(&self, subject: &str) -> bool {
        match self.kind {
            Kind::All => true,
            Kind::Literal => self.text == subject,
            Kind::Pattern => pattern_matches(&self.text, subject),
        }
    }

    /// Whether it matches every subject that the filter `other` matches.
    #[cfg(any(feature = "nats", test))]
    pub(crate) fn covers(&self, other: &str) -> bool {
        let (mut ours, mut theirs) = (self.text.split('.'), other.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(">"), Some(_)) => return true,
                (None, Some(_)) | (Some(_), None | Some(">")) => return false,
                (Some(a), Some(b)) if a == b || a == "*" => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }

    /// Whether some subject is matched by both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.text.split('.'), other.text.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                (Some(_), Some(_)) => return false,
            }
        }
    }
}

fn pattern_matches(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut given) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(">"), Some(_)) => return true,
            (Some(a), Some(b)) if a == b || a == "*" => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn kind_of(text: &str) -> Kind {
    if text == ">" {
        Kind::All
    } else if text.split('.').any(|token| token == "*" || token == ">") {
        Kind::Pattern
    } else {
        Kind::Literal
    }
}

fn is_plain(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|c| c.is_ascii_alphanumeric() || b"_/:-".contains(&c))
}

fn check_length(text: &str, what: &str) -> Result<(), StreamError> {
    if text.is_empty() {
        return Err(invalid(what, text, "it is empty"));
    }
    if text.len() > SUBJECT_MAX {
        return Err(invalid(what, text, &format!("it has {} bytes", text.len())));
    }
    Ok(())
}

fn misfit(token: &str) -> String {
    if token == ">" {
        return "> may only be the last token".to_owned();
    }
    format!("the token {token:?} does not fit")
}

fn invalid(what: &str, text: &str, problem: &str) -> StreamError {
    let shown: String = text.chars().take(SUBJECT_MAX).collect();
    let wildcards = if what == "filter" { "; * stands for one token, a last > for one or more" } else { "" };
    StreamError::Invalid(format!("{what} {shown:?}: {problem}; {RIGHT}{wildcards}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_token_and_a_last_arrow_one_or_more() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a", false),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            (">", "a", true),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.d", false),
        ] {
            assert_eq!(filter(pattern).matches(subject), expected, "{pattern} on {subject}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_subject_is_said() {
        for (subject, problem) in [
            ("", "it is empty"),
            ("a..b", "the token \"\" does not fit"),
            (".a", "the token \"\" does not fit"),
            ("a.*", "the token \"*\" does not fit"),
            ("a b", "the token \"a b\" does not fit"),
            ("a.\u{e9}", "the token \"\u{e9}\" does not fit"),
        ] {
            let error = check_subject(subject).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
        check_subject(&"a".repeat(SUBJECT_MAX)).unwrap();
        check_subject(&"a".repeat(SUBJECT_MAX + 1)).unwrap_err();
    }

    #[test]
    fn what_is_wrong_with_a_filter_is_said() {
        for (text, problem) in
            [("a.>.b", "> may only be the last token"), ("a*", "the token \"a*\""), ("", "it is empty")]
        {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    fn subject() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab]", 1..5).prop_map(|tokens| tokens.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        (proptest::collection::vec("[ab*]", 0..4), any::<bool>()).prop_map(|(mut tokens, open)| {
            if open || tokens.is_empty() {
                tokens.push(">".to_owned());
            }
            tokens.join(".")
        })
    }

    /// Every subject of up to five tokens of two letters: enough to witness an overlap of patterns of four tokens.
    fn all_subjects() -> Vec<String> {
        let mut all: Vec<String> = vec!["a".into(), "b".into()];
        let mut longest = all.clone();
        for _ in 0..4 {
            longest = longest.iter().flat_map(|s| [format!("{s}.a"), format!("{s}.b")]).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    proptest! {
        #[test]
        fn two_filters_overlap_exactly_when_a_subject_fits_both(a in pattern(), b in pattern()) {
            let (a, b) = (filter(&a), filter(&b));
            let witness = all_subjects().into_iter().any(|s| a.matches(&s) && b.matches(&s));
            prop_assert_eq!(a.overlaps(&b), witness);
            prop_assert_eq!(b.overlaps(&a), witness);
        }

        #[test]
        fn a_filter_covers_another_exactly_when_no_subject_fits_the_other_alone(a in pattern(), b in pattern()) {
            let (a, b) = (filter(&a), filter(&b));
            let outside = all_subjects().into_iter().any(|s| b.matches(&s) && !a.matches(&s));
            prop_assert_eq!(a.covers(b.as_str()), !outside);
        }

        #[test]
        fn a_subject_is_a_filter_for_itself_only(a in subject(), b in subject()) {
            let itself = filter(&a);
            prop_assert_eq!(itself.matches(&b), a == b);
            prop_assert_eq!(itself.literal(), Some(a.as_str()));
        }

        #[test]
        fn any_text_is_taken_or_refused_without_panic(text in ".*") {
            if check_subject(&text).is_ok() {
                prop_assert!(filter(&text).matches(&text));
            }
            let _ = Filter::parse(&text);
        }
    }
}
