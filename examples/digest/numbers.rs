//! Gives each term of a text a number, and remembers every written form it was reached by.
//!
//! Most words of a text were seen before: the work of finding what a form is counted as is done once a form.

use std::collections::HashMap;

use crate::words::term_of;

/// The terms of one text by number, from 0 in the order of appearance.
#[derive(Debug, Default)]
pub struct Numbers<'t> {
    is_source: bool,
    by_form: HashMap<&'t str, Option<usize>>,
    by_term: HashMap<String, usize>,
    terms: Vec<String>,
}

impl<'t> Numbers<'t> {
    /// No terms yet; `is_source` says whether the reserved words of programming are passed over.
    pub fn new(is_source: bool) -> Self {
        Self { is_source, ..Self::default() }
    }

    /// The number of what `written` is counted as, or `None` when it is not counted.
    pub fn number(&mut self, written: &'t str) -> Option<usize> {
        if let Some(known) = self.by_form.get(written) {
            return *known;
        }
        let number = term_of(written, self.is_source).map(|term| self.number_of_term(term));
        self.by_form.insert(written, number);
        number
    }

    fn number_of_term(&mut self, term: String) -> usize {
        if let Some(known) = self.by_term.get(&term) {
            return *known;
        }
        self.terms.push(term.clone());
        self.by_term.insert(term, self.terms.len() - 1);
        self.terms.len() - 1
    }

    /// The terms; the one at `i` has number `i`.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_term_share_a_number() {
        // Property: numbers go up from 0, one a term; what is not counted has none.
        let mut numbers = Numbers::new(false);
        let found: Vec<_> =
            ["Agents", "the", "agent", "lease", "Agents"].iter().map(|it| numbers.number(it)).collect();
        assert_eq!(found, [Some(0), None, Some(0), Some(1), Some(0)]);
        assert_eq!(numbers.terms(), ["agent", "lease"]);
    }
}
