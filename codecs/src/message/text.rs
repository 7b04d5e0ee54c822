//! `TEXT`: something for a person or a model to read.

use serde::{Deserialize, Serialize};

use super::invalid::{Invalid, ensure, label};
use super::{Body, Kind};

/// Something for a person or a model to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// What is said; not empty.
    pub text: String,
    /// The language as a BCP 47 tag, such as `en` or `pt-BR`, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The longest language tag: RFC 5646, section 4.4.1, asks for room for 35 characters.
const LANGUAGE_MAX: usize = 35;

impl Body for Text {
    const KIND: Kind = Kind::Text;

    fn validate(&self) -> Result<(), Invalid> {
        ensure(!self.text.is_empty(), "text", || "it is empty; say something".into())?;
        label("language", self.language.as_deref(), LANGUAGE_MAX)?;
        let tag = self.language.as_deref().unwrap_or_default();
        let wrong = tag.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-');
        ensure(wrong.is_none(), "language", || {
            format!("{tag:?} has {wrong:?}; write a BCP 47 tag such as pt-BR")
        })
    }
}
